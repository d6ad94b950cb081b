package jose

import (
	"context"
	"testing"
)

// BenchmarkParseVerify is a client assertion as it arrives: parse, read the claims, verify.
func BenchmarkParseVerify(b *testing.B) {
	for _, algorithm := range allAlgorithms {
		b.Run(algorithm, func(b *testing.B) {
			private := newKey(b, algorithm)
			set := NewKeySet(private.Key())
			signed := benchmarkToken(b, private)
			b.ReportAllocs()
			for b.Loop() {
				token := benchmarkParse(b, signed)
				if err := token.VerifyWith(set); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkParse is the same without the signature.
func BenchmarkParse(b *testing.B) {
	signed := benchmarkToken(b, newKey(b, ES256))
	b.ReportAllocs()
	for b.Loop() {
		benchmarkParse(b, signed)
	}
}

func benchmarkToken(b *testing.B, private PrivateKey) string {
	b.Helper()
	signed, err := Sign(context.Background(), private.SigningKey(), "client-authentication+jwt", map[string]any{
		"iss": "client-1", "sub": "client-1", "aud": "https://localhost:8443", "jti": "2zRcWjEO0XW3fGqGzB5dVQ",
		"iat": 1700000000, "nbf": 1700000000, "exp": 1700000300,
	})
	if err != nil {
		b.Fatal(err)
	}
	return signed
}

func benchmarkParse(b *testing.B, signed string) *Token {
	token, err := Parse(signed, ParseOptions{Algorithms: allAlgorithms})
	if err != nil {
		b.Fatal(err)
	}
	var claims struct {
		Issuer    string       `json:"iss"`
		Subject   string       `json:"sub"`
		Audience  Audience     `json:"aud"`
		ID        string       `json:"jti"`
		Expires   *NumericDate `json:"exp"`
		NotBefore *NumericDate `json:"nbf"`
		IssuedAt  *NumericDate `json:"iat"`
	}
	if err := token.Claims(&claims); err != nil {
		b.Fatal(err)
	}
	return token
}
