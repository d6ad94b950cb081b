package fapitest

import (
	"crypto/tls"
	"net/http"
	"net/url"
)

// proving replaces the proof of a push by one with changed claims.
func (c *Client) ReplaceProof(path string, alter func(Claims)) Change {
	return func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", c.Base()+path, "", alter)) }
}

// showing is the client with another certificate, or with none.
func (c *Client) WithCertificate(certificate *tls.Certificate) *Client {
	other := *c
	other.Certificate, other.AtMTLS = certificate, true
	other.HTTP = c.World.Transport(&other)
	return &other
}
