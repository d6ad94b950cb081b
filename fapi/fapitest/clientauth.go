package fapitest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// assertionOf is a client assertion with a typ.
func (c *Client) AssertionOf(typ string, alter func(Claims)) string {
	now := c.W.Clock.Now()
	body := Claims{"iss": c.ID, "sub": c.ID, "jti": Random(), "exp": now.Add(time.Minute).Unix()}
	alter(body)
	return c.Signed(c.Key, typ, body)
}

// literalAssertion is a client assertion with members as they are written, which no encoder would write so.
func (c *Client) LiteralAssertion(members string) string {
	c.W.T.Helper()
	body := JsonText(Claims{"iss": c.ID, "sub": c.ID, "jti": Random(), "exp": c.W.Clock.Now().Add(time.Minute).Unix()})
	body = "{" + members + "," + strings.TrimPrefix(body, "{")
	encode := base64.RawURLEncoding.EncodeToString
	input := encode([]byte(`{"alg":"ES256"}`)) + "." + encode([]byte(body))
	return input + "." + encode(Es256(c.W.T, c.Key)([]byte(input)))
}

func (c *Client) AssertionClaims() Claims {
	now := c.W.Clock.Now()
	return Claims{"iss": c.ID, "sub": c.ID, "aud": c.W.Issuer, "jti": Random(), "exp": now.Add(time.Minute).Unix()}
}

// unsignedAssertion is one with the algorithm none.
func (c *Client) UnsignedAssertion() string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"none"}`)) + "." + encode([]byte(JsonText(c.AssertionClaims()))) + "."
}

// proving replaces the proof of a push by one with changed claims.
func (c *Client) Proving(path string, alter func(Claims)) Change {
	return func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", c.Base()+path, "", alter)) }
}

// proofEverywhere tries a proof at PAR, at the token endpoint and at a resource. make gets the method, the address and
// the access token of the request.
func (c *Client) ProofEverywhere(t *testing.T, name string, accepted bool, make func(method, address, token string) []string) {
	t.Helper()
	issued := c.Tokens()
	token, refreshToken := issued.Text("access_token"), issued.Text("refresh_token")
	post := func(path string) Change {
		return func(_ url.Values, h http.Header) { h["Dpop"] = make("POST", c.Base()+path, "") }
	}
	atPAR, atToken, atResource := Good(name+" at PAR", post("/par")), Good(name+" at the token endpoint", post("/token")), Good(name+" at a resource", nil)
	if !accepted {
		atPAR, atToken = Bad(atPAR.Name, post("/par"), 400, "invalid_dpop_proof"), Bad(atToken.Name, post("/token"), 400, "invalid_dpop_proof")
		atResource = Bad(atResource.Name, nil, 401, "invalid_dpop_proof")
	}
	TryAll(t, c.Push, atPAR)
	TryAll(t, func(change Change) Reply { return c.Refresh(refreshToken, change) }, atToken)
	TryAll(t, func(Change) Reply {
		return c.Get("/accounts", token, func(h http.Header) { h["Dpop"] = make("GET", c.Base()+"/accounts", token) })
	}, atResource)
}

// issueAs makes a client certificate that alter may change.
func (a Authority) IssueAs(t *testing.T, now time.Time, alter func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "client"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	}
	if alter != nil {
		alter(template)
	}
	leaf := Parse(t, template, a.Certificate, key.Public(), a.Key)
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

// showing is the client with another certificate, or with none.
func (c *Client) Showing(certificate *tls.Certificate) *Client {
	other := *c
	other.Certificate, other.AtMTLS = certificate, true
	other.HTTP = c.W.Transport(&other)
	return &other
}
