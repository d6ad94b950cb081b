package demo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/internal/flowclient"
)

// discover reads the server's metadata (RFC 8414).
func (d *demo) discover(ctx context.Context) error {
	d.screen.step("Discovery")
	address, err := flowclient.MetadataAddress(d.config.Issuer)
	if err != nil {
		return err
	}
	d.screen.request("GET "+address, "The client asks where the endpoints are and what they support.")
	reply, err := d.client.Metadata(ctx)
	if err != nil {
		return fmt.Errorf("the server does not answer; is it running (make run)? %w", err)
	}
	err = d.expect(reply, http.StatusOK, "The server advertises only what it enforces. A part of it:", nil,
		"issuer", "pushed_authorization_request_endpoint", "authorization_endpoint", "token_endpoint", "jwks_uri",
		"token_endpoint_auth_methods_supported", "dpop_signing_alg_values_supported", "require_pushed_authorization_requests")
	if err != nil {
		return err
	}
	return d.client.UseMetadata(reply)
}

// push sends the authorization request to the server's back door (RFC 9126).
func (d *demo) push(ctx context.Context, t flowclient.Transaction) (string, error) {
	d.screen.step("Pushed authorization request")
	reply, err := d.client.Push(ctx, t, d.showPost(d.client.Endpoints.PAR,
		"The request goes to the server directly: nobody can read or change it.", "response_type", "client_id", "redirect_uri",
		"scope", "state", "nonce", "code_challenge", "code_challenge_method"))
	if err != nil {
		return "", err
	}
	if err := d.expect(reply, http.StatusCreated, "A reference to the request, good for a short time and one sign-in.", nil); err != nil {
		return "", err
	}
	if seconds, ok := reply.Members()["expires_in"].(float64); ok {
		d.lives = int(seconds)
	}
	return reply.RequestURI()
}

// authorize sends the user to the server and waits for what the browser brings back.
func (d *demo) authorize(ctx context.Context, t flowclient.Transaction, requestURI string) (code string, err error) {
	d.screen.step("Browser")
	d.screen.request("GET "+d.client.Endpoints.Authorization, "The browser carries the reference; the user signs in and decides there.",
		parameter{"client_id", d.config.ClientID}, parameter{"request_uri", requestURI})
	address := d.client.AuthorizationURL(requestURI)
	var response url.Values
	if d.config.Auto {
		response, err = d.play(ctx, address)
	} else {
		response, err = d.wait(ctx, address)
	}
	if err != nil {
		return "", err
	}
	var shown []parameter
	for _, name := range slices.Sorted(maps.Keys(response)) {
		shown = append(shown, parameter{name, response.Get(name)})
	}
	d.screen.request("GET "+d.config.RedirectURI, "The browser comes back to the client with the authorization response.", shown...)
	if code, err = d.client.Callback(t, response); err != nil {
		return "", err
	}
	d.screen.check("state is ours: the answer belongs to this request.")
	d.screen.check("iss is the server that was asked: no mix-up (RFC 9207).")
	return code, nil
}

// redeem exchanges the code for tokens (RFC 6749 §4.1.3).
func (d *demo) redeem(ctx context.Context, t flowclient.Transaction, code string) (flowclient.Tokens, error) {
	d.screen.step("Token")
	reply, err := d.client.Redeem(ctx, t, code, d.showPost(d.client.Endpoints.Token,
		"The code is good once, and only for this client, verifier and DPoP key.",
		"grant_type", "code", "redirect_uri", "code_verifier"))
	if err != nil {
		return flowclient.Tokens{}, err
	}
	var issued flowclient.Tokens
	if err := d.expect(reply, http.StatusOK, "The tokens, signed in the HSM.", &issued); err != nil {
		return flowclient.Tokens{}, err
	}
	if issued.RefreshToken == "" || issued.IDToken == "" {
		return flowclient.Tokens{}, errors.New("the answer must hold a refresh_token and an id_token")
	}
	return issued, d.checkAccessToken(issued)
}

// checkAccessToken shows the access token, which is the resource's to read, and looks for its binding.
func (d *demo) checkAccessToken(issued flowclient.Tokens) error {
	if _, _, err := flowclient.DecodeJWT(issued.AccessToken); err == nil && strings.EqualFold(issued.TokenType, "DPoP") {
		d.screen.token("access_token: for the resource to read (RFC 9068)", issued.AccessToken)
	}
	if err := d.client.CheckBinding(issued); err != nil {
		return err
	}
	d.screen.check("cnf.jkt is the client's DPoP key: without it a stolen token is of no use.")
	return nil
}

// checkIDToken verifies the ID token (OpenID Connect Core §3.1.3.7).
func (d *demo) checkIDToken(ctx context.Context, t flowclient.Transaction, idToken string) error {
	d.screen.step("ID token")
	d.screen.request("GET "+d.client.Endpoints.JWKS, "The client fetches the server's public keys to verify who signed in.")
	keys, reply, err := d.client.Keys(ctx)
	if reply.Status != 0 {
		if err := d.expect(reply, http.StatusOK, "The keys, in short.", nil, "kty", "alg", "kid"); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	d.screen.token("id_token: for the client to read (OpenID Connect Core)", idToken)
	kid, err := d.client.VerifyIDToken(t, idToken, keys)
	if err != nil {
		return err
	}
	d.screen.check("The signature is that of the server's key " + shown("kid", kid) + ".")
	d.screen.check("iss, aud, nonce and exp are as they should be.")
	return nil
}

// useResource calls the resource with the token and a proof, and then without a proof.
func (d *demo) useResource(ctx context.Context, accessToken string) error {
	d.screen.step("Resource")
	if err := d.callResource(ctx, accessToken, "The API is called with the token and a fresh proof of the key."); err != nil {
		return err
	}
	d.screen.request("GET "+d.resource(), "Now the same token as a thief would send it, without the key.",
		parameter{"Authorization", "Bearer " + shown("access_token", accessToken)})
	reply, err := d.client.Get(ctx, d.resource(), "", flowclient.SetHeader("Authorization", "Bearer "+accessToken))
	if err != nil {
		return err
	}
	d.screen.answer(reply, "The resource refuses it.")
	if reply.Status != http.StatusUnauthorized {
		return fmt.Errorf("a stolen token must be refused with 401, the resource answered %d", reply.Status)
	}
	d.screen.check("The token alone is worth nothing.")
	return nil
}

// resource is the address of the API.
func (d *demo) resource() string { return d.config.Issuer + "/accounts" }

// refresh gets a new access token and uses it.
func (d *demo) refresh(ctx context.Context, before flowclient.Tokens) error {
	d.screen.step("Refresh")
	reply, err := d.client.Refresh(ctx, before.RefreshToken, d.showPost(d.client.Endpoints.Token,
		"The access token is short-lived; the refresh token gets the next one.", "grant_type", "refresh_token"))
	if err != nil {
		return err
	}
	var issued flowclient.Tokens
	if err := d.expect(reply, http.StatusOK, "A new access token. The refresh token stays the same.", &issued); err != nil {
		return err
	}
	switch {
	case issued.AccessToken == before.AccessToken:
		return errors.New("the access token must be a new one, it is the old one")
	case issued.RefreshToken != "" && issued.RefreshToken != before.RefreshToken:
		return errors.New("the refresh token must stay the same, it was rotated (FAPI 2.0 Security Profile §5.3.2.1-9)")
	}
	if err := d.checkAccessToken(issued); err != nil {
		return err
	}
	return d.callResource(ctx, issued.AccessToken, "The API is called with the new token.")
}
