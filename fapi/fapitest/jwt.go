package fapitest

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

// Claims are the claims of a JWT.
type Claims = map[string]any

// SetClaim changes one claim; nil removes it.
func SetClaim(name string, value any) func(Claims) {
	return func(body Claims) {
		if value == nil {
			delete(body, name)
			return
		}
		body[name] = value
	}
}

// ChangeClaims makes several changes to claims.
func ChangeClaims(changes ...func(Claims)) func(Claims) {
	return func(body Claims) {
		for _, change := range changes {
			change(body)
		}
	}
}

// Sign signs claims with a key.
func (c *Client) Sign(key jose.PrivateKey, typ string, body Claims) string {
	token, err := jose.Sign(context.Background(), key.SigningKey(), typ, body)
	if err != nil {
		c.World.T.Fatal(err)
	}
	return token
}

// ClientAssertion makes an assertion for client authentication (RFC 7523); change, if it is not nil, alters its claims.
func (c *Client) ClientAssertion(change func(Claims)) string {
	now := c.World.Clock.Now()
	body := Claims{"iss": c.ID, "sub": c.ID, "aud": c.World.Issuer, "jti": RandomString(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix()}
	if change != nil {
		change(body)
	}
	return c.Sign(c.Key, "", body)
}

// Proof makes a DPoP proof (RFC 9449 §4.2); accessToken is "" at the authorization server.
func (c *Client) Proof(method, address, accessToken string, change func(Claims)) string {
	body := Claims{"jti": RandomString(), "htm": method, "htu": address, "iat": c.World.Clock.Now().Unix()}
	if accessToken != "" {
		digest := sha256.Sum256([]byte(accessToken))
		body["ath"] = base64.RawURLEncoding.EncodeToString(digest[:])
	}
	if change != nil {
		change(body)
	}
	proof, err := c.ProofKey.SignEmbedded(c.World.T.Context(), "dpop+jwt", body)
	if err != nil {
		c.World.T.Fatal(err)
	}
	return proof
}

// ReplaceAssertion replaces the client assertion of a request by one with changed claims.
func (c *Client) ReplaceAssertion(alter func(Claims)) Change {
	return func(form url.Values, _ http.Header) { form.Set("client_assertion", c.ClientAssertion(alter)) }
}

// ReplaceProof replaces the DPoP proof of a request by one with changed claims.
func (c *Client) ReplaceProof(path string, alter func(Claims)) Change {
	return func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", c.Base()+path, "", alter)) }
}

// RequestObjectClaims are the claims of a request object (RFC 9101) with the parameters of a form; alter, if it is not nil,
// changes them.
func (c *Client) RequestObjectClaims(form url.Values, alter func(Claims)) Claims {
	now := c.World.Clock.Now()
	body := Claims{"iss": c.ID, "aud": c.World.Issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// Signing moves the parameters of a pushed request into a request object.
func (c *Client) Signing(alter func(Claims)) Change {
	return func(form url.Values, _ http.Header) {
		inside := url.Values{}
		for name, values := range form {
			if !strings.HasPrefix(name, "client_assertion") {
				inside[name] = values
			}
			if name != "client_id" && !strings.HasPrefix(name, "client_assertion") {
				delete(form, name)
			}
		}
		form.Set("request", c.Sign(c.Key, "oauth-authz-req+jwt", c.RequestObjectClaims(inside, alter)))
	}
}

// ByValue is the address that takes a request object to the authorization endpoint, as in FAPI 1.0.
func (c *Client) ByValue(alter func(Claims)) string {
	form := c.AuthorizationForm()
	form.Set("client_id", c.ID)
	query := url.Values{"client_id": {c.ID}, "response_type": {"code id_token"}, "scope": {"openid"}}
	query.Set("request", c.Sign(c.Key, "", c.RequestObjectClaims(form, alter)))
	return c.World.Issuer + "/authorize?" + query.Encode()
}

// HandSigned makes a JWS with any header, so that what the header says is its only fault.
func HandSigned(t *testing.T, header, body map[string]any, sign func(input []byte) []byte) string {
	t.Helper()
	encode := func(value any) string {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	input := encode(header) + "." + encode(body)
	return input + "." + base64.RawURLEncoding.EncodeToString(sign([]byte(input)))
}

// ES256 signs as the algorithm ES256 does.
func ES256(t *testing.T, key jose.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		signature, err := key.SigningKey().Sign(context.Background(), input)
		if err != nil {
			t.Fatal(err)
		}
		return signature
	}
}

// KeySet is a JWK set.
func KeySet(keys ...[]byte) json.RawMessage {
	set := []byte(`{"keys":[`)
	for i, key := range keys {
		if i > 0 {
			set = append(set, ',')
		}
		set = append(set, key...)
	}
	return append(set, `]}`...)
}

// JWKWith is a public JWK with changed members.
func JWKWith(t *testing.T, key jose.PrivateKey, alter func(map[string]any)) []byte {
	t.Helper()
	var members map[string]any
	if err := json.Unmarshal(key.PublicJWK(), &members); err != nil {
		t.Fatal(err)
	}
	alter(members)
	raw, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Payload is the payload of a JWT, whose signature is not verified.
func Payload(t *testing.T, token string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// UnverifiedClaims are the claims of a JWT, whose signature is not verified.
func UnverifiedClaims(t *testing.T, token string) Claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body Claims
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// Verify verifies a JWT with the server's published keys and returns its header and claims.
func (w *World) Verify(token string) (jose.Header, map[string]any) {
	w.T.Helper()
	response := w.Browser()
	_, body, _ := response.Visit(w.Issuer + "/jwks")
	keys, err := jose.ParseKeySet([]byte(body))
	if err != nil {
		w.T.Fatal(err)
	}
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{"PS256", "ES256", "EdDSA"}})
	if err != nil {
		w.T.Fatal(err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		w.T.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(&claims); err != nil {
		w.T.Fatal(err)
	}
	return parsed.Header, claims
}

// VerifyType verifies a JWT with the server's published keys, checks its typ, and returns its claims.
func (w *World) VerifyType(t *testing.T, token, typ string) Claims {
	t.Helper()
	header, read := w.Verify(token)
	if !header.HasType(typ) {
		t.Errorf("typ %q, want %s", header.Type, typ)
	}
	return read
}

// JARM verifies the signed authorization response in the parameters of an address, which hold nothing else.
func (w *World) JARM(t *testing.T, parameters url.Values, c *Client) Claims {
	t.Helper()
	if len(parameters) != 1 {
		t.Fatalf("answered with %v, want response alone", parameters)
	}
	read := w.VerifyType(t, parameters.Get("response"), "oauth-authz-resp+jwt")
	now := w.Clock.Now().Unix()
	expires, _ := read["exp"].(float64)
	if read["iss"] != w.Issuer || read["aud"] != c.ID || int64(expires) <= now || int64(expires) > now+600 {
		t.Errorf("iss %v, aud %v, exp %v at %d", read["iss"], read["aud"], read["exp"], now)
	}
	return read
}
