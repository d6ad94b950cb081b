// Package fuzz_test has the fuzz targets of package rs: by themselves, because what the other tests need takes long to build for fuzzing.
package fuzz_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/rs"
)

// fuzzTime is the clock of the fuzz targets.
func fuzzTime() time.Time { return time.Unix(1_800_000_000, 0) }

// answers is a transport that asks nobody.
type answers func(*http.Request) (contentType, body string)

// RoundTrip implements [http.RoundTripper].
func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	kind, body := a(r)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {kind}}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// fuzzGuard is a guard whose issuer has one key.
func fuzzGuard(f *testing.F, key jose.PrivateKey, change func(*rs.Config)) *rs.Guard {
	f.Helper()
	config := rs.Config{
		Issuer: "https://login.example", Audience: "https://api.example", KeysURL: "https://login.example/jwks", Now: fuzzTime,
		HTTP: &http.Client{Transport: answers(func(*http.Request) (string, string) {
			return "application/json", `{"keys":[` + string(key.PublicJWK()) + `]}`
		})},
	}
	if change != nil {
		change(&config)
	}
	guard, err := rs.New(context.Background(), config)
	if err != nil {
		f.Fatal(err)
	}
	return guard
}

// FuzzRequest: whatever the fields of a request are, only the one token that was issued passes, with an answer that is whole otherwise.
func FuzzRequest(f *testing.F) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	guard := fuzzGuard(f, key, func(config *rs.Config) { config.Weak.Bearer = true })
	now := fuzzTime().Unix()
	token, err := jose.Sign(context.Background(), key.SigningKey(), "at+jwt", map[string]any{
		"iss": "https://login.example", "aud": "https://api.example", "sub": "alice", "client_id": "c", "jti": "j", "iat": now, "exp": now + 60, "scope": "a",
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add("Bearer "+token, "", "", "/x")
	f.Add("DPoP "+token, token, "93bac548-d2de-4546-b106-880a5018460d", "/a%2fb?access_token=x")
	f.Add("bearer  "+token, "e30.e30.e30", "x", "/\"\\")
	f.Add("Basic YTpi", "", "", "/é")
	handler := guard.Require(rs.Scope("a"), rs.ScopeFor("a"))(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusAccepted) }))
	f.Fuzz(func(t *testing.T, authorization, proof, interaction, path string) {
		r := httptest.NewRequest(http.MethodGet, "https://api.example/", nil)
		r.RequestURI, r.URL.Path = path, path
		_, r.URL.RawQuery, _ = strings.Cut(path, "?")
		r.Header = http.Header{"Authorization": {authorization}, "X-Fapi-Interaction-Id": {interaction}}
		if proof != "" {
			r.Header["Dpop"] = []string{proof}
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		scheme, sent, _ := strings.Cut(authorization, " ")
		switch {
		case w.Code == http.StatusAccepted:
			if sent != token || !strings.EqualFold(scheme, "Bearer") {
				t.Fatalf("%q passes", authorization)
			}
		case w.Code != 400 && w.Code != 401 && w.Code != 403:
			t.Fatalf("answered %d", w.Code)
		case w.Header().Get("WWW-Authenticate") == "":
			t.Fatal("no challenge")
		}
		for name, values := range w.Header() {
			for _, value := range values {
				if strings.ContainsAny(value, "\r\n\x00") {
					t.Fatalf("%s has a line break in it: %q", name, value)
				}
			}
		}
		if id := w.Header().Get("X-Fapi-Interaction-Id"); len(id) != 36 {
			t.Fatalf("the interaction is %q", id)
		}
	})
}

// FuzzToken: claims in any form, rightly signed, are a token of this issuer for this API or a refusal.
func FuzzToken(f *testing.F) {
	key, err := jose.NewPrivateKey(jose.EdDSA)
	if err != nil {
		f.Fatal(err)
	}
	guard := fuzzGuard(f, key, func(config *rs.Config) { config.Weak.Bearer = true })
	f.Add([]byte(`{"iss":"https://login.example","aud":["https://api.example"],"sub":"a","client_id":"c","jti":"j","iat":1800000000,"exp":1800000060,"scope":"a b","authorization_details":[{"type":"x"}]}`))
	f.Add([]byte(`{"iss":"https://login.example","iss":"x"}`))
	f.Add([]byte(`{"exp":1e400,"aud":null,"cnf":{"jkt":1}}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		signed, err := jose.Sign(t.Context(), key.SigningKey(), "at+jwt", rawClaims(claims))
		if err != nil {
			return // no JSON
		}
		token, err := guard.Authenticate(t.Context(), rs.Call{
			Method: http.MethodGet, URL: guard.URL("/"), Header: http.Header{"Authorization": {"Bearer " + signed}},
		}, guard.Rule())
		if err != nil {
			if _, ok := err.(*rs.Error); !ok {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if token.Issuer != "https://login.example" || !contains(token.Audience, "https://api.example") || !token.Expires.After(fuzzTime()) || token.Subject == "" {
			t.Fatalf("%s passes as %+v", claims, token)
		}
		if _, err := rs.DetailsOf[map[string]any](token, "x"); err != nil && len(token.Details) == 0 {
			t.Fatal(err)
		}
	})
}

// rawClaims are claims as they are.
type rawClaims []byte

// MarshalJSON implements [json.Marshaler].
func (r rawClaims) MarshalJSON() ([]byte, error) { return r, nil }

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

// FuzzIntrospection: whatever an introspection answers, a token that passes is active, of this issuer, and for this API.
func FuzzIntrospection(f *testing.F) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	own, err := rs.NewKey(key.Signer(), "", "")
	if err != nil {
		f.Fatal(err)
	}
	var kind, body string
	guard := fuzzGuard(f, key, func(config *rs.Config) {
		config.Weak.Bearer = true
		config.Introspection = &rs.Introspection{ClientID: "api", Key: own, URL: "https://login.example/introspect"}
		config.HTTP = &http.Client{Transport: answers(func(*http.Request) (string, string) { return kind, body })}
	})
	f.Add("application/json", `{"active":true,"aud":"https://api.example","scope":"a","sub":"s"}`)
	f.Add("application/json; charset=utf-8", `{"active":false}`)
	f.Add("text/html", `<html>`)
	f.Fuzz(func(t *testing.T, contentType, answer string) {
		kind, body = contentType, answer
		token, err := guard.Authenticate(t.Context(), rs.Call{Header: http.Header{"Authorization": {"Bearer x"}}}, guard.Rule())
		if err != nil {
			if _, ok := err.(*rs.Error); !ok {
				t.Fatalf("an error of another kind: %v", err)
			}
			return
		}
		if !contains(token.Audience, "https://api.example") || token.Issuer != "" && token.Issuer != "https://login.example" || !strings.Contains(answer, "true") {
			t.Fatalf("%s passes as %+v", answer, token)
		}
	})
}
