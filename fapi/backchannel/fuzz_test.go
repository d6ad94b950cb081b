package backchannel

import (
	"encoding/json"
	"testing"
	"time"

	"countersign/fapi/endpoint"
	"countersign/internal/jose"
)

// FuzzHintToken: whatever a believed issuer signs, what is accepted keeps every rule; and nothing that it did not sign is.
func FuzzHintToken(f *testing.F) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		f.Fatal(err)
	}
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		f.Fatal(err)
	}
	const issuer, audience, host = "https://directory.example", "https://login.example", "login.example"
	now, ahead := time.Unix(1_800_000_000, 0), 30*time.Second
	for _, seed := range []string{
		`{"iss":"https://directory.example","aud":"https://login.example","jti":"1","iat":1800000000,"exp":1800000060,"sub_id":{"format":"opaque","id":"a"}}`,
		`{"iss":"https://directory.example","aud":["https://login.example"],"jti":"1","iat":1800000000,"exp":1800000060,"sub_id":{"format":"account","uri":"acct:a@login.example"}}`,
		`{"iss":"https://directory.example","aud":"https://login.example","jti":"1","iat":1900000000,"exp":1900000060,"sub_id":{"format":"opaque"}}`,
		`{"iss":"https://directory.example","iss":"x","aud":null,"jti":1,"exp":1e99,"sub_id":[]}`, `[]`, `null`, ``,
	} {
		f.Add(seed, false)
		f.Add(seed, true)
	}
	f.Fuzz(func(t *testing.T, body string, asItIs bool) {
		raw := body
		if !asItIs {
			var err error
			if raw, err = jose.Sign(t.Context(), key.SigningKey(), "JWT", json.RawMessage(body)); err != nil {
				return
			}
		}
		claims, err := verifyHintToken(raw, []HintIssuer{{Issuer: issuer, Keys: keys}}, audience, now, ahead)
		if err != nil {
			return
		}
		if asItIs {
			t.Fatalf("nobody signed %q", raw)
		}
		if claims.Issuer != issuer || !claims.Audience.Contains(audience) || claims.ID == "" || len(claims.ID) > endpoint.MaxJTI ||
			!claims.Expires.Time().After(now) || claims.Expires.Time().Sub(now) > maxHintTokenLife+ahead || claims.IssuedAt.Time().Sub(now) > ahead {
			t.Errorf("accepted %s", body)
		}
		if kind, value, err := claims.user(host); err == nil && kind != hintSubject && kind != hintUsername {
			t.Errorf("%s is %q of kind %q", body, value, kind)
		}
	})
}
