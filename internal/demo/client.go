package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
	"countersign/rp/client"
)

func newHTTPClient(roots *x509.CertPool) *http.Client {
	return flowclient.NewHTTP(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
}

// newClient makes the client whose messages are shown. It reads the server's metadata.
func (d *demo) newClient(ctx context.Context) (*client.Client, error) {
	transport, ok := d.http.Transport.(*http.Transport)
	if !ok {
		return nil, errors.New("the transport is another one")
	}
	clientKey, err := keyOf(d.config.ClientKey)
	if err != nil {
		return nil, err
	}
	proofKey, err := keyOf(d.config.ProofKey)
	if err != nil {
		return nil, err
	}
	return client.New(ctx, client.Config{
		Issuer: d.config.Issuer, ClientID: d.config.ClientID, RedirectURI: d.config.RedirectURI, Scopes: strings.Fields(d.config.Scope),
		Auth: client.PrivateKeyJWT(clientKey), Binding: client.DPoP(proofKey), Transport: transport, Now: d.config.Now,
		Middleware: func(next http.RoundTripper) http.RoundTripper { return watch{d, next} },
	})
}

func keyOf(key jose.PrivateKey) (client.Key, error) {
	return client.NewKey(key.Signer(), key.ID(), "")
}

// parameter is a parameter or a header of a message.
type parameter struct{ name, value string }

// checkBinding shows the access token of a token response, which is the resource's to read, and looks for its binding. What is wrong is kept with the
// step: the client itself cannot know it.
func (d *demo) checkBinding(reply flowclient.Reply) {
	var answer struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		RefreshToken string `json:"refresh_token"`
		IDToken      string `json:"id_token"`
	}
	if json.Unmarshal(reply.Body, &answer) != nil || !strings.EqualFold(answer.TokenType, "DPoP") {
		return // the client says so
	}
	if err := d.bound(answer.AccessToken); err != nil {
		d.problem = d.located(err)
		return
	}
	if d.tokens == nil && (answer.RefreshToken == "" || answer.IDToken == "") {
		d.problem = d.located(errors.New("the answer must hold a refresh_token and an id_token"))
		return
	}
	d.screen.check("cnf.jkt is the client's DPoP key: without it a stolen token is of no use.")
}

// bound checks that an access token is a JWT that is bound to the client's DPoP key (RFC 9449 §6.1).
func (d *demo) bound(accessToken string) error {
	_, payload, err := flowclient.DecodeJWT(accessToken)
	if err != nil {
		return fmt.Errorf("the access token must be a JWT (RFC 9068): %w", err)
	}
	d.screen.token("access_token: for the resource to read (RFC 9068)", accessToken)
	var claims struct {
		Confirmation struct {
			Thumbprint string `json:"jkt"`
		} `json:"cnf"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return fmt.Errorf("the access token's claims: %w", err)
	}
	if jkt := claims.Confirmation.Thumbprint; jkt != d.config.ProofKey.Key().Thumbprint() {
		return fmt.Errorf("the access token's cnf.jkt must be the thumbprint of the DPoP key, it is %q (RFC 9449 §6.1)", flowclient.Printable(jkt))
	}
	return nil
}
