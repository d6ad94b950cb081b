package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/internal/jose"
)

// discover reads the server's metadata (RFC 8414).
func (d *demo) discover(ctx context.Context) error {
	d.screen.step("Discovery")
	address, err := metadataAddress(d.config.Issuer)
	if err != nil {
		return err
	}
	d.screen.request("GET "+address, "The client asks where the endpoints are and what they support.")
	answer, err := d.get(ctx, address, nil)
	if err != nil {
		return fmt.Errorf("the server does not answer; is it running (make run)? %w", err)
	}
	err = d.expect(answer, http.StatusOK, "The server advertises only what it enforces. A part of it:", &d.server,
		"issuer", "pushed_authorization_request_endpoint", "authorization_endpoint", "token_endpoint", "jwks_uri",
		"token_endpoint_auth_methods_supported", "dpop_signing_alg_values_supported", "require_pushed_authorization_requests")
	if err != nil {
		return err
	}
	if d.server.Issuer != d.config.Issuer {
		return fmt.Errorf("the issuer must be %s, the document says %q (RFC 8414 §3.3)", d.config.Issuer, clean(d.server.Issuer))
	}
	for name, endpoint := range map[string]string{
		"pushed_authorization_request_endpoint": d.server.PushEndpoint, "authorization_endpoint": d.server.AuthorizationEndpoint,
		"token_endpoint": d.server.TokenEndpoint, "jwks_uri": d.server.JWKSURI,
	} {
		if !strings.HasPrefix(endpoint, "https://") {
			return fmt.Errorf("%s must be an https address, it is %q", name, clean(endpoint))
		}
	}
	return nil
}

// metadataAddress puts the well-known part between host and path (RFC 8414 §3.1).
func metadataAddress(issuer string) (string, error) {
	address, err := url.Parse(issuer)
	if err != nil {
		return "", fmt.Errorf("the issuer is not an address: %w", err)
	}
	address.Path = "/.well-known/oauth-authorization-server" + strings.TrimSuffix(address.Path, "/")
	return address.String(), nil
}

// push sends the authorization request to the server's back door (RFC 9126).
func (d *demo) push(ctx context.Context, t transaction) (string, error) {
	d.screen.step("Pushed authorization request")
	answer, err := d.post(ctx, d.server.PushEndpoint,
		"The request goes to the server directly: nobody can read or change it.", []parameter{
			{"response_type", "code"}, {"client_id", d.config.ClientID}, {"redirect_uri", d.config.RedirectURI},
			{"scope", d.config.Scope}, {"state", t.state}, {"nonce", t.nonce},
			{"code_challenge", digest(t.verifier)}, {"code_challenge_method", "S256"},
		})
	if err != nil {
		return "", err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := d.expect(answer, http.StatusCreated, "A reference to the request, good for a short time and one sign-in.", &pushed); err != nil {
		return "", err
	}
	if pushed.RequestURI == "" {
		return "", errors.New("the answer must hold a request_uri (RFC 9126 §2.2)")
	}
	return pushed.RequestURI, nil
}

// authorize sends the person to the server and waits for what the browser brings back.
func (d *demo) authorize(ctx context.Context, t transaction, requestURI string) (code string, err error) {
	d.screen.step("Browser")
	query := url.Values{"client_id": {d.config.ClientID}, "request_uri": {requestURI}}
	d.screen.request("GET "+d.server.AuthorizationEndpoint, "The browser carries the reference; the person signs in and decides there.",
		parameter{"client_id", d.config.ClientID}, parameter{"request_uri", requestURI})
	address := d.server.AuthorizationEndpoint + "?" + query.Encode()
	var back url.Values
	if d.config.Auto {
		back, err = d.play(ctx, address)
	} else {
		back, err = d.wait(ctx, address)
	}
	if err != nil {
		return "", err
	}
	var shown []parameter
	for name, values := range back {
		if len(values) > 1 {
			return "", fmt.Errorf("%q must come once, it came %d times (RFC 6749 §3.1)", clean(name), len(values))
		}
		shown = append(shown, parameter{name, values[0]})
	}
	slices.SortFunc(shown, func(a, b parameter) int { return strings.Compare(a.name, b.name) })
	d.screen.request("GET "+d.config.RedirectURI, "The browser comes back to the client with the authorization response.", shown...)
	switch {
	case back.Get("state") != t.state:
		return "", errors.New("state is not the one that was sent: the answer belongs to another request")
	case back.Get("iss") != d.config.Issuer:
		return "", fmt.Errorf("iss must be %s, it is %q: the answer is another server's (RFC 9207)", d.config.Issuer, clean(back.Get("iss")))
	case back.Has("error"):
		return "", fmt.Errorf("the server answered %s: %s", clean(back.Get("error")), clean(back.Get("error_description")))
	case back.Get("code") == "":
		return "", errors.New("the answer must hold a code")
	}
	d.screen.check("state is ours: the answer belongs to this request.")
	d.screen.check("iss is the server that was asked: no mix-up (RFC 9207).")
	return back.Get("code"), nil
}

// redeem exchanges the code for tokens (RFC 6749 §4.1.3).
func (d *demo) redeem(ctx context.Context, t transaction, code string) (tokens, error) {
	d.screen.step("Token")
	answer, err := d.post(ctx, d.server.TokenEndpoint,
		"The code is good once, and only for this client, verifier and DPoP key.", []parameter{
			{"grant_type", "authorization_code"}, {"code", code}, {"redirect_uri", d.config.RedirectURI}, {"code_verifier", t.verifier},
		})
	if err != nil {
		return tokens{}, err
	}
	var issued tokens
	if err := d.expect(answer, http.StatusOK, "The tokens, signed in the HSM.", &issued); err != nil {
		return tokens{}, err
	}
	if issued.RefreshToken == "" || issued.IDToken == "" {
		return tokens{}, errors.New("the answer must hold a refresh_token and an id_token")
	}
	return issued, d.checkAccessToken(issued)
}

// checkAccessToken shows the access token, which is the resource's to read, and looks for its binding.
func (d *demo) checkAccessToken(issued tokens) error {
	if !strings.EqualFold(issued.TokenType, "DPoP") {
		return fmt.Errorf("token_type must be DPoP, it is %q: the token is bound to no key (RFC 9449 §5)", clean(issued.TokenType))
	}
	_, payload, err := decode(issued.AccessToken)
	if err != nil {
		return fmt.Errorf("the access token must be a JWT (RFC 9068): %w", err)
	}
	d.screen.token("access_token: for the resource to read (RFC 9068)", issued.AccessToken)
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fmt.Errorf("the access token's claims: %w", err)
	}
	if bound := claims.Confirmation.Thumbprint; bound != d.config.ProofKey.Key().Thumbprint() {
		return fmt.Errorf("the access token's cnf.jkt must be the thumbprint of the DPoP key, it is %q (RFC 9449 §6.1)", clean(bound))
	}
	d.screen.check("cnf.jkt is the client's DPoP key: without it a stolen token is of no use.")
	return nil
}

// checkIDToken verifies the ID token (OpenID Connect Core §3.1.3.7).
func (d *demo) checkIDToken(ctx context.Context, t transaction, idToken string) error {
	d.screen.step("ID token")
	d.screen.request("GET "+d.server.JWKSURI, "The client fetches the server's public keys to verify who signed in.")
	answer, err := d.get(ctx, d.server.JWKSURI, nil)
	if err != nil {
		return err
	}
	if err := d.expect(answer, http.StatusOK, "The keys, in short.", nil, "kty", "alg", "kid"); err != nil {
		return err
	}
	keys, err := jose.ParseKeySet(answer.body)
	if err != nil {
		return fmt.Errorf("the server's key set: %w", err)
	}
	d.screen.token("id_token: for the client to read (OpenID Connect Core)", idToken)
	parsed, err := jose.Parse(idToken, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	if err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		return fmt.Errorf("the ID token must be signed with one of the server's keys: %w", err)
	}
	var claims struct {
		Issuer   string           `json:"iss"`
		Audience jose.Audience    `json:"aud"`
		Nonce    string           `json:"nonce"`
		Expires  jose.NumericDate `json:"exp"`
	}
	if err := parsed.Claims(&claims); err != nil {
		return fmt.Errorf("the ID token: %w", err)
	}
	switch {
	case claims.Issuer != d.config.Issuer:
		return fmt.Errorf("the ID token's iss must be %s, it is %q", d.config.Issuer, clean(claims.Issuer))
	case len(claims.Audience.Values) != 1 || !claims.Audience.Contains(d.config.ClientID):
		return fmt.Errorf("the ID token's aud must be %s, it is %q", d.config.ClientID, claims.Audience.Values)
	case claims.Nonce != t.nonce:
		return errors.New("the ID token's nonce is not the one that was sent: it belongs to another sign-in")
	case !d.config.Now().Before(claims.Expires.Time()):
		return errors.New("the ID token has expired")
	}
	d.screen.check("The signature is that of the server's key " + shown("kid", parsed.Header.KeyID) + ".")
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
	answer, err := d.get(ctx, d.resource(), http.Header{"Authorization": {"Bearer " + accessToken}})
	if err != nil {
		return err
	}
	d.screen.answer(answer, "The resource refuses it.")
	if answer.status != http.StatusUnauthorized {
		return fmt.Errorf("a stolen token must be refused with 401, the resource answered %d", answer.status)
	}
	d.screen.check("The token alone is worth nothing.")
	return nil
}

// resource is the address of the API.
func (d *demo) resource() string { return d.config.Issuer + "/accounts" }

// refresh gets a new access token and uses it.
func (d *demo) refresh(ctx context.Context, before tokens) error {
	d.screen.step("Refresh")
	answer, err := d.post(ctx, d.server.TokenEndpoint,
		"The access token is short-lived; the refresh token gets the next one.", []parameter{
			{"grant_type", "refresh_token"}, {"refresh_token", before.RefreshToken},
		})
	if err != nil {
		return err
	}
	var issued tokens
	if err := d.expect(answer, http.StatusOK, "A new access token. The refresh token stays the same.", &issued); err != nil {
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
