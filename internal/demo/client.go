package demo

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/url"

	"countersign/internal/flowclient"
)

func newHTTPClient(roots *x509.CertPool) *http.Client {
	return flowclient.NewHTTP(&tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12})
}

// newClient makes the client whose messages are shown.
func (d *demo) newClient() *flowclient.Client {
	c := d.config
	return flowclient.New(flowclient.Config{
		Issuer: c.Issuer, HTTP: d.http, ID: c.ClientID, RedirectURI: c.RedirectURI, Scope: c.Scope,
		Key: c.ClientKey, ProofKey: c.ProofKey, AssertionType: "client-authentication+jwt", Now: c.Now,
		Random: func() string { return d.random() },
		Challenged: func(r flowclient.Reply) {
			d.screen.answer(r, "The proof has to hold the server's nonce (RFC 9449 §8): once more, with it.")
		},
	})
}

// parameter is a parameter or a header of a message.
type parameter struct{ name, value string }

// expect shows an answer and decodes it into value, unless that is nil. An answer with another status is told as the
// server told it. If only is given, no other members are shown.
func (d *demo) expect(r flowclient.Reply, status int, explanation string, value any, only ...string) error {
	if err := r.Expect(status); err != nil {
		d.screen.answer(r, "That is not what was expected.")
		return err
	}
	d.screen.answer(r, explanation, only...)
	if value == nil {
		return nil
	}
	return r.Decode(value)
}

// showPost shows a request of the back channel as it is sent: the parameters named, the client assertion and the proof.
func (d *demo) showPost(address, explanation string, names ...string) flowclient.Change {
	return func(form url.Values, header http.Header) {
		var parameters []parameter
		for _, name := range names {
			parameters = append(parameters, parameter{name, form.Get(name)})
		}
		d.screen.request("POST "+address, explanation, parameters...)
		d.screen.token("client_assertion: the client proves itself with its key (private_key_jwt)", form.Get("client_assertion"))
		d.screen.token("DPoP: a proof of the key that the tokens will be bound to", header.Get("DPoP"))
	}
}

// callResource calls the resource with a token and a proof of its key (RFC 9449 §7.1).
func (d *demo) callResource(ctx context.Context, accessToken, explanation string) error {
	reply, err := d.client.Get(ctx, d.resource(), accessToken, func(_ url.Values, header http.Header) {
		d.screen.request("GET "+d.resource(), explanation, parameter{"Authorization", "DPoP " + shown("access_token", accessToken)})
		d.screen.token("DPoP: ath ties it to the token, htm and htu to the request", header.Get("DPoP"))
	})
	if err != nil {
		return err
	}
	return d.expect(reply, http.StatusOK, "The resource answers.", nil)
}
