package rs_test

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"countersign/mtls"
	"countersign/rs"
)

// Three lines: tokens of an issuer, for this API, with a scope, from the holder of the key that they are bound to.
func Example() {
	w := newExample()

	guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/accounts", guard.Require(rs.Scope("accounts"))(http.HandlerFunc(hello)))

	token := w.token(nil)
	send(mux, w.request("GET", "/accounts", token, ""))
	stolen := w.request("GET", "/accounts", token, "")
	stolen.Header.Set("Authorization", "Bearer "+token)
	stolen.Header.Del("DPoP")
	send(mux, stolen)
	// Output:
	// 200 hello, alice
	// 401 DPoP algs="PS256 ES256 EdDSA", error="invalid_token", error_description="the access token is bound by DPoP and must not be sent as Bearer"
}

// A scope with a part of the address in it, as consents in Brazil have it.
func ExampleScopeFor() {
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /consents/{id}", guard.Require(rs.ScopeFor("consent:{id}"))(http.HandlerFunc(hello)))

	token := w.token(map[string]any{"scope": "openid consent:42"})
	send(mux, w.request("GET", "/consents/42", token, ""))
	send(mux, w.request("GET", "/consents/43", token, ""))
	// Output:
	// 200 hello, alice
	// 403 DPoP algs="PS256 ES256 EdDSA", error="insufficient_scope", error_description="this needs the scope consent:43", scope="consent:43"
}

// Authorization details by their type, as values of a type of the API's own.
func ExampleDetails() {
	type payment struct {
		Amount   string `json:"amount"`
		Creditor string `json:"creditorName"`
	}
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	authorized := rs.Details("payment", func(_ context.Context, call *rs.Call, payments []payment) error {
		for _, each := range payments {
			if each.Creditor == call.Value("creditor") {
				return nil
			}
		}
		return rs.Refuse("no payment to this creditor was authorized")
	})
	mux := http.NewServeMux()
	mux.Handle("POST /payments/{creditor}", guard.Require(authorized)(http.HandlerFunc(hello)))

	token := w.token(map[string]any{"authorization_details": []any{map[string]any{"type": "payment", "amount": "5.00", "creditorName": "Baker"}}})
	send(mux, w.request("POST", "/payments/Baker", token, ""))
	send(mux, w.request("POST", "/payments/Butcher", token, ""))
	// Output:
	// 200 hello, alice
	// 403 DPoP algs="PS256 ES256 EdDSA", error="insufficient_scope", error_description="no payment to this creditor was authorized"
}

// Step-up (RFC 9470): who authenticated too long ago, or too weakly, is told what to ask for.
func ExampleMaxAge() {
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock})
	if err != nil {
		fmt.Println(err)
		return
	}
	pay := guard.Require(rs.ACR("urn:bank:key"), rs.MaxAge(5*time.Minute))(http.HandlerFunc(hello))

	send(pay, w.request("POST", "/payments", w.token(nil), ""))
	stepped := w.token(map[string]any{"acr": "urn:bank:key", "auth_time": w.now.Unix()})
	send(pay, w.request("POST", "/payments", stepped, ""))
	// Output:
	// 401 DPoP algs="PS256 ES256 EdDSA", error="insufficient_user_authentication", error_description="this needs a user who has just authenticated; ask for that with max_age", acr_values="urn:bank:key", max_age="300"
	// 200 hello, alice
}

// Introspection: a token that is revoked ends within the time of the cache. The key is any crypto.Signer.
func ExampleIntrospection() {
	w := newExample()
	key, err := rs.NewKey(w.client.Signer(), "", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock,
		Introspection: &rs.Introspection{ClientID: "accounts-api", Key: key, Cache: 5 * time.Second},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts := guard.Require(rs.Scope("accounts"))(http.HandlerFunc(hello))

	w.introspections["opaque"] = w.claims(map[string]any{"active": true})
	send(accounts, w.request("GET", "/accounts", "opaque", ""))
	delete(w.introspections, "opaque") // it is revoked
	w.now = w.now.Add(5 * time.Second)
	send(accounts, w.request("GET", "/accounts", "opaque", ""))
	// Output:
	// 200 hello, alice
	// 401 DPoP algs="PS256 ES256 EdDSA", error="invalid_token", error_description="the access token has expired, was revoked, or is not for this resource"
}

// Nonces in proofs (RFC 9449 §9), from seeds that all nodes share: a new seed is put before the old one.
func ExampleConfig_nonces() {
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock,
		NonceSeeds: [][]byte{[]byte("32 random bytes, the newest seed"), []byte("32 random bytes of the seed before")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts := guard.Require()(http.HandlerFunc(hello))

	answer := send(accounts, w.request("GET", "/accounts", w.token(nil), ""))
	send(accounts, w.request("GET", "/accounts", w.token(nil), answer.Header.Get("DPoP-Nonce")))
	// Output:
	// 401 DPoP algs="PS256 ES256 EdDSA", error="use_dpop_nonce", error_description="the DPoP proof needs a nonce of this server: use the one in the DPoP-Nonce header of this answer"
	// 200 hello, alice
}

// Behind an ingress that terminates TLS: the certificate comes in a header, which is believed if it comes from the ingress alone.
func ExampleConfig_gate() {
	secret := strings.Repeat("s", mtls.MinSecretSize) // make one with: openssl rand -base64 32
	ingress, err := mtls.NewIngressSecret([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, []byte(secret))
	if err != nil {
		fmt.Println(err)
		return
	}
	source, err := mtls.Header(mtls.SourceRFC9440)
	if err != nil {
		fmt.Println(err)
		return
	}
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock,
		Gate: &mtls.Gate{Source: source, Headers: mtls.SourceHeaders(mtls.SourceRFC9440), Ingress: ingress},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts := guard.Require()(http.HandlerFunc(hello))

	certificate := w.certificate()
	token := w.token(map[string]any{"cnf": map[string]any{"x5t#S256": mtls.Thumbprint(certificate)}})
	r := w.request("GET", "/accounts", token, "")
	r.Header.Set("Authorization", "Bearer "+token)
	for _, line := range mtls.Spell(mtls.SourceRFC9440, certificate) {
		r.Header.Set(line.Name, line.Value)
	}
	r.RemoteAddr = "10.1.2.3:4711"
	send(accounts, r) // without the secret anybody can have sent it
	r.Header.Set(mtls.SecretHeader, secret)
	send(accounts, r)
	// Output:
	// 400 DPoP algs="PS256 ES256 EdDSA", error="invalid_request", error_description="the certificate in the header of the request cannot be believed"
	// 200 hello, alice
}

// The metadata of the resource (RFC 9728), which challenges name from then on.
func ExampleGuard_Metadata() {
	w := newExample()
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock, Metadata: rs.Metadata{Name: "Accounts of the bank"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle(guard.Metadata())
	mux.Handle("/accounts", guard.Require(rs.Scope("accounts"))(http.HandlerFunc(hello)))

	path, _ := guard.Metadata()
	send(mux, w.request("GET", path, "", ""))
	r := w.request("GET", "/accounts", "", "")
	r.Header.Del("Authorization")
	send(mux, r)
	// Output:
	// 200 {"resource":"https://api.bank.example","authorization_servers":["https://login.bank.example"],"scopes_supported":["accounts"],"bearer_methods_supported":["header"],"resource_name":"Accounts of the bank","tls_client_certificate_bound_access_tokens":true,"dpop_signing_alg_values_supported":["PS256","ES256","EdDSA"],"dpop_bound_access_tokens_required":false}
	//
	// 401 DPoP algs="PS256 ES256 EdDSA", resource_metadata="https://api.bank.example/.well-known/oauth-protected-resource"
}

// Signed requests and signed answers (RFC 9421, FAPI 2.0 HTTP Signatures).
func ExampleSigned() {
	w := newExample()
	key, err := rs.NewKey(w.issuer.Signer(), "api-1", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock,
		Messages: &rs.Messages{Key: key, Keys: func(_ context.Context, token *rs.Token) (rs.ClientKeys, error) {
			// As the directory has it for token.ClientID; here the client has one key.
			return rs.ClientKeys{Set: []byte(`{"keys":[` + string(w.client.PublicJWK()) + `]}`)}, nil
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	accounts := guard.Require(rs.Signed())(http.HandlerFunc(hello))

	send(accounts, w.request("GET", "/accounts", w.token(nil), ""))
	signed := w.request("GET", "/accounts", w.token(nil), "")
	w.sign(signed)
	answer := send(accounts, signed)
	fmt.Println(strings.Contains(answer.Header.Get("Signature-Input"), `keyid="api-1"`))
	// Output:
	// 401 DPoP algs="PS256 ES256 EdDSA", error="invalid_request", error_description="the message signature is not acceptable: the Signature-Input header is missing (RFC 9421 section 4)"
	// 200 hello, alice
	// true
}

// An issuer that binds no tokens to keys: whoever finds such a token can use it.
func ExampleWeak() {
	w := newExample()
	token := w.token(map[string]any{"cnf": nil})
	for _, weak := range []rs.Weak{{}, {Bearer: true}} {
		guard, err := rs.New(context.Background(), rs.Config{Issuer: issuer, Audience: audience, HTTP: w.reach(), Now: w.clock, Weak: weak})
		if err != nil {
			fmt.Println(err)
			return
		}
		r := w.request("GET", "/accounts", token, "")
		r.Header.Set("Authorization", "Bearer "+token)
		send(guard.Require(rs.Scope("accounts"))(http.HandlerFunc(hello)), r)
	}
	// Output:
	// 401 DPoP algs="PS256 ES256 EdDSA", error="invalid_token", error_description="the access token is bound to no key and no certificate"
	// 200 hello, alice
}
