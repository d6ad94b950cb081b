package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"

	"countersign/internal/flowclient"
	"countersign/rp/client"
)

// discover reads the server's metadata (OpenID Connect Discovery 1.0, RFC 8414).
func (d *demo) discover(ctx context.Context) error {
	d.screen.step("Discovery")
	made, err := d.newClient(ctx)
	if down, ok := errors.AsType[*client.UnavailableError](err); ok {
		return fmt.Errorf("the server does not answer as it should; is it running (make run)? %w", down)
	}
	if err != nil {
		return err
	}
	d.client = made
	d.screen.check("The metadata are the issuer's, and offer all that the FAPI 2.0 Security Profile demands.")
	return nil
}

// push sends the authorization request to the server's back door (RFC 9126).
func (d *demo) push(ctx context.Context) (address string, t client.Transaction, err error) {
	d.screen.step("Pushed authorization request")
	return d.client.Authorize(ctx, client.AuthorizeOptions{})
}

// authorize sends the user to the server and waits for what the browser brings back.
func (d *demo) authorize(ctx context.Context, address string) (answer url.Values, err error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	d.screen.step("Browser")
	d.screen.request("GET "+d.client.Metadata().AuthorizationEndpoint, "The browser carries the reference; the user signs in and decides there.",
		parameter{"client_id", parsed.Query().Get("client_id")}, parameter{"request_uri", parsed.Query().Get("request_uri")})
	if d.config.Auto {
		answer, err = d.play(ctx, address)
	} else {
		answer, err = d.wait(ctx, address)
	}
	if err != nil {
		return nil, err
	}
	var shown []parameter
	for _, name := range slices.Sorted(maps.Keys(answer)) {
		shown = append(shown, parameter{name, answer.Get(name)})
	}
	d.screen.request("GET "+d.config.RedirectURI, "The browser comes back to the client with the authorization response.", shown...)
	return answer, nil
}

// redeem has the client check the answer, exchange the code for tokens (RFC 6749 §4.1.3) and verify the ID token (OpenID Connect Core §3.1.3.7).
func (d *demo) redeem(ctx context.Context, t client.Transaction, answer url.Values) error {
	tokens, err := d.client.Callback(ctx, t, answer)
	if err != nil || d.problem != nil {
		return err
	}
	d.tokens = tokens
	d.screen.token("id_token: for the client to read (OpenID Connect Core)", tokens.IDToken)
	d.screen.check("The signature is that of one of the server's keys.")
	d.screen.check("iss, aud, nonce, iat and exp are as they should be.")
	return nil
}

// useResource calls the resource with the token and a proof, and then without a proof.
func (d *demo) useResource(ctx context.Context) error {
	d.screen.step("Resource")
	if err := d.callResource(ctx, "The API is called with the token and a fresh proof of the key."); err != nil {
		return err
	}
	d.screen.request("GET "+d.resource(), "Now the same token as a thief would send it, without the key.",
		parameter{"Authorization", "Bearer " + shown("access_token", d.tokens.AccessToken)})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.resource(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+d.tokens.AccessToken)
	reply, err := send(d.http, request)
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

// callResource calls the resource with a token and a proof of its key (RFC 9449 §7.1).
func (d *demo) callResource(ctx context.Context, why string) error {
	d.calling = why
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.resource(), nil)
	if err != nil {
		return err
	}
	reply, err := send(d.client.HTTP(d.tokens), request)
	if err != nil {
		return err
	}
	return reply.Expect(http.StatusOK)
}

// send sends a request and reads the whole answer.
func send(through *http.Client, request *http.Request) (flowclient.Reply, error) {
	response, err := through.Do(request)
	if err != nil {
		return flowclient.Reply{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, flowclient.MaxAnswer))
	return flowclient.Reply{Status: response.StatusCode, Header: response.Header, Body: body}, err
}

// resource is the address of the API.
func (d *demo) resource() string { return d.config.Issuer + "/accounts" }

// refresh gets a new access token and uses it.
func (d *demo) refresh(ctx context.Context) error {
	d.screen.step("Refresh")
	before := d.tokens
	issued, err := d.client.Refresh(ctx, before, client.RefreshOptions{})
	if err != nil || d.problem != nil {
		return err
	}
	switch {
	case issued.AccessToken == before.AccessToken:
		return errors.New("the access token must be a new one, it is the old one")
	case issued.RefreshToken != before.RefreshToken:
		return errors.New("the refresh token must stay the same, it was rotated (FAPI 2.0 Security Profile §5.3.2.1-9)")
	}
	d.tokens = issued
	return d.callResource(ctx, "The API is called with the new token.")
}
