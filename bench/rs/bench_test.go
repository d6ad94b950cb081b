// Package rs_test measures package rs beside coreos/go-oidc and lestrrat-go/jwx on the same tokens. It is a module of its own, so
// that nobody who imports rs gets them. make bench-rs runs it.
package rs_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/lestrrat-go/jwx/v4/jwk"
	"github.com/lestrrat-go/jwx/v4/jwt"

	"countersign/internal/jose"
	"countersign/rs"
)

const (
	issuer   = "https://login.example"
	audience = "https://api.example"
)

// published is the key set of the issuer, as a transport answers it.
type published string

// RoundTrip implements http.RoundTripper.
func (p published) RoundTrip(*http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/json"}, "Cache-Control": {"max-age=3600"}}
	return &http.Response{StatusCode: http.StatusOK, Header: header, Body: io.NopCloser(strings.NewReader(string(p)))}, nil
}

// once takes every proof, so that one proof can be measured many times.
type once struct{}

// Use implements rs.Replay.
func (once) Use(context.Context, [32]byte, time.Time) (bool, error) { return true, nil }

// newKey makes a key of an issuer or a client.
func newKey(b *testing.B, algorithm string) jose.PrivateKey {
	b.Helper()
	key, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		b.Fatal(err)
	}
	return key
}

// tokenOf is an access token as Countersign issues it (RFC 9068), bound to a key or to nothing.
func tokenOf(b *testing.B, key jose.PrivateKey, jkt string) string {
	b.Helper()
	now := time.Now()
	claims := map[string]any{
		"iss": issuer, "aud": audience, "sub": "248289761001", "client_id": "s6BhdRkqt3", "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
		"iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "auth_time": now.Unix(), "acr": "urn:example:pwd", "amr": []string{"pwd"},
		"scope": "openid accounts payments",
	}
	if jkt != "" {
		claims["cnf"] = map[string]any{"jkt": jkt}
	}
	token, err := jose.Sign(context.Background(), key.SigningKey(), "at+jwt", claims)
	if err != nil {
		b.Fatal(err)
	}
	return token
}

func guardFor(b *testing.B, set string, weak rs.Weak) *rs.Guard {
	b.Helper()
	guard, err := rs.New(context.Background(), rs.Config{
		Issuer: issuer, Audience: audience, KeysURL: issuer + "/jwks", HTTP: &http.Client{Transport: published(set)}, Replay: once{}, Weak: weak,
	})
	if err != nil {
		b.Fatal(err)
	}
	return guard
}

// BenchmarkToken verifies one access token, by its issuer's remote key set: the signature, iss, aud and exp, with its claims read.
// Package rs checks typ and the other claims of RFC 9068 too.
func BenchmarkToken(b *testing.B) {
	for _, algorithm := range []string{jose.ES256, jose.PS256, jose.EdDSA} {
		key := newKey(b, algorithm)
		set := `{"keys":[` + string(key.PublicJWK()) + `]}`
		token := tokenOf(b, key, "")
		guard := guardFor(b, set, rs.Weak{Bearer: true})
		rule := guard.Rule(rs.Scope("accounts"))
		call := rs.Call{Method: http.MethodGet, URL: guard.URL("/accounts"), Header: http.Header{"Authorization": {"Bearer " + token}}}
		b.Run(algorithm+"/rs", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := guard.Authenticate(b.Context(), call, rule); err != nil {
					b.Fatal(err)
				}
			}
		})
		ctx := oidc.ClientContext(context.Background(), &http.Client{Transport: published(set)})
		verifier := oidc.NewVerifier(issuer, oidc.NewRemoteKeySet(ctx, issuer+"/jwks"), &oidc.Config{ClientID: audience, SupportedSigningAlgs: []string{algorithm}})
		b.Run(algorithm+"/go-oidc", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				verified, err := verifier.Verify(ctx, token)
				if err != nil {
					b.Fatal(err)
				}
				var claims struct {
					ClientID string `json:"client_id"`
					Scope    string `json:"scope"`
				}
				if err := verified.Claims(&claims); err != nil || !strings.Contains(claims.Scope, "accounts") {
					b.Fatal(err)
				}
			}
		})
		keys, err := jwk.Parse([]byte(set))
		if err != nil {
			b.Fatal(err)
		}
		raw := []byte(token)
		b.Run(algorithm+"/jwx", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				verified, err := jwt.Parse(raw, jwt.WithKeySet(keys), jwt.WithValidate(true), jwt.WithIssuer(issuer), jwt.WithAudience(audience))
				if err != nil {
					b.Fatal(err)
				}
				if _, ok := verified.Subject(); !ok {
					b.Fatal("no subject")
				}
			}
		})
	}
}

// BenchmarkRequest is a whole request with a token that is bound by DPoP: two signatures. The others have nothing for it.
func BenchmarkRequest(b *testing.B) {
	for _, algorithm := range []string{jose.ES256, jose.PS256, jose.EdDSA} {
		key, client := newKey(b, algorithm), newKey(b, jose.ES256)
		token := tokenOf(b, key, client.Key().Thumbprint())
		guard := guardFor(b, `{"keys":[`+string(key.PublicJWK())+`]}`, rs.Weak{})
		rule := guard.Rule(rs.Scope("accounts"))
		digest := sha256.Sum256([]byte(token))
		prove := func() http.Header {
			proof, err := client.SignEmbedded(context.Background(), "dpop+jwt", map[string]any{
				"jti": fmt.Sprint(time.Now().UnixNano()), "htm": http.MethodGet, "htu": guard.URL("/accounts"), "iat": time.Now().Unix(),
				"ath": base64.RawURLEncoding.EncodeToString(digest[:]),
			})
			if err != nil {
				b.Fatal(err)
			}
			return http.Header{"Authorization": {"DPoP " + token}, "Dpop": {proof}}
		}
		b.Run(algorithm+"+DPoP/rs", func(b *testing.B) {
			call := rs.Call{Method: http.MethodGet, URL: guard.URL("/accounts"), Header: prove()}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := guard.Authenticate(b.Context(), call, rule); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
