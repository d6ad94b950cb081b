package tokens_test

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
)

// Covers: OC-01, OC-04, F1-11. ID tokens and UserInfo answers are signed, then encrypted to a client that registered so.
func TestEncryptsToClients(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	for _, enc := range append(jose.ContentEncryptions(), "") {
		t.Run("accepts enc "+enc, func(t *testing.T) {
			key := fapitest.NewRecipient(t, jose.ECDHES)
			c := w.Register("client-"+enc, func(c *fapitest.Client, m map[string]any) {
				m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), key.Public)
				m["id_token_encrypted_response_alg"], m["userinfo_encrypted_response_alg"] = "ECDH-ES", "ECDH-ES"
				m["userinfo_signed_response_alg"] = "ES256"
				if enc != "" {
					m["id_token_encrypted_response_enc"], m["userinfo_encrypted_response_enc"] = enc, enc
				}
			})
			issued := c.Tokens()
			_, claims := w.Verify(key.Open(t, issued.Text("id_token")))
			if claims["sub"] != "sub-alice" || claims["nonce"] != "nonce-1" {
				t.Errorf("the ID token holds %v", claims)
			}
			info := c.Get("/userinfo", issued.Text("access_token"), nil)
			header, claims := w.Verify(key.Open(t, info.Raw))
			if claims["sub"] != "sub-alice" || !header.HasType("userinfo+jwt") || info.Header.Get("Content-Type") != "application/jwt" {
				t.Errorf("UserInfo answered %v with %v", claims, info.Header)
			}
		})
	}
	t.Run("rejects a client without a key to encrypt to", func(t *testing.T) {
		fapitest.TryRegistration(t, "no key", fapitest.SetClaim("id_token_encrypted_response_alg", "RSA-OAEP"), "id_token_encrypted_response_alg")
	})
	t.Run("rejects what nobody should use", func(t *testing.T) {
		for _, alg := range []string{"RSA1_5", "dir", "none", "A256KW", "PBES2-HS256+A128KW"} {
			fapitest.TryRegistration(t, alg, fapitest.SetClaim("id_token_encrypted_response_alg", alg), "id_token_encrypted_response_alg")
		}
		fapitest.TryRegistration(t, "enc without alg", fapitest.SetClaim("id_token_encrypted_response_enc", "A256GCM"), "id_token_encrypted_response_enc")
		fapitest.TryRegistration(t, "an unsigned answer", fapitest.SetClaim("userinfo_encrypted_response_alg", "ECDH-ES"), "userinfo_encrypted_response_alg")
	})
	t.Run("says what it can do", func(t *testing.T) {
		for _, name := range []string{"id_token_encryption_alg_values_supported", "userinfo_encryption_alg_values_supported"} {
			listed, ok := w.Document()[name].([]any)
			if !ok || len(listed) != 4 || strings.Contains(strings.ToLower(toJSON(t, listed)), "rsa1_5") {
				t.Errorf("%s: %v", name, listed)
			}
		}
	})
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
