package doctor

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"countersign/fapi/claims"
	"countersign/internal/serve"
)

// claimsSource asks the operator's own system of claims about a user that does not exist.
func (d *Doctor) claimsSource(ctx context.Context) (f Findings) {
	if d.Config.ClaimsSource.Address == "" {
		return nil
	}
	source, err := serve.ClaimsSource(d.Config, d.Now)
	if err != nil {
		f.fail("claims", "%v", err)
		return f
	}
	ctx, cancel := context.WithTimeout(ctx, peerTimeout)
	defer cancel()
	const nobody = "countersign-doctor"
	answer, err := source.Ask(ctx, claims.Question{Subject: nobody + "-" + rand.Text(), ClientID: nobody, Purpose: claims.ForTokens, Names: source.Names})
	switch {
	case err != nil:
		f.fail("claims", "claims_source.address: %v; correct the address or have it answered (docs/claims-source.md)", cause(err))
	case !answer.Inactive:
		f.warn("claims", "claims_source.address says that a user is active who does not exist")
	default:
		f.ok("claims", "claims_source.address answers, and knows no user who does not exist")
	}
	return f
}

// cause is an error with what is behind it, once.
func cause(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return err.Error() + ": " + inner.Error()
	}
	return err.Error()
}

// issuer asks for the discovery document where clients ask for it, while the server runs: its name, what is in front of it, and that
// nobody redirects to somewhere else (RFC 8414 §3.1).
func (d *Doctor) issuer(ctx context.Context) (f Findings) {
	if !answers(ctx, d.Config) {
		return nil // it is not running, or the port is another's, which was said
	}
	document, err := discover(ctx, d.Config.Issuer, d.Now)
	var unknown x509.UnknownAuthorityError
	var timeout net.Error
	switch {
	case errors.As(err, &unknown): // a development authority, or one that this machine need not know
		f.warn("issuer", "%s answers with a certificate of an authority that this machine does not know: clients have to know it", d.Config.Issuer)
	case errors.As(err, &timeout) && timeout.Timeout():
		f.warn("issuer", "%s does not answer in time from this machine, which may not be let out to its own address; try it from where clients are", d.Config.Issuer)
	case err != nil:
		f.fail("issuer", "%s is not reached as clients reach it: %v; correct the DNS name, the port or what is in front of the server", d.Config.Issuer, err)
	case document != d.Config.Issuer:
		f.fail("issuer", "at %s another issuer answers, %q; correct issuer, or what is in front of the server", d.Config.Issuer, document)
	default:
		f.ok("issuer", "%s is reached as clients reach it", d.Config.Issuer)
	}
	return f
}

// discover returns the issuer that the discovery document of an issuer names.
func discover(ctx context.Context, issuer string, now func() time.Time) (string, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", http.NoBody)
	if err != nil {
		return "", err
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{Time: now, MinVersion: tls.VersionTLS12}, Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: askTimeout, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		if to := response.Header.Get("Location"); to != "" {
			return "", fmt.Errorf("it answers %d and redirects to %s", response.StatusCode, to)
		}
		return "", fmt.Errorf("it answers %d", response.StatusCode)
	}
	var document struct {
		Issuer string `json:"issuer"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document); err != nil {
		return "", fmt.Errorf("it answers no discovery document: %w", err)
	}
	return document.Issuer, nil
}
