package fapi_test

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"

	"countersign/internal/jose"
	"countersign/signer"
)

// reader is a client's key that it is encrypted to.
type reader struct {
	public json.RawMessage
	keys   []jose.DecryptionKey
	// rsa is the key of one for RSA-OAEP, which the server itself never decrypts with.
	rsa *rsa.PrivateKey
}

func newReader(t *testing.T, alg string) reader {
	t.Helper()
	if strings.HasPrefix(alg, "RSA") {
		return newRSAReader(t, alg)
	}
	made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	private, err := made.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	id, public := publicKey(t, alg, &made.PublicKey)
	return reader{public: public, keys: []jose.DecryptionKey{{
		ID: id, Agree: func(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) { return private.ECDH(peer) },
	}}}
}

func newRSAReader(t *testing.T, alg string) reader {
	t.Helper()
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	id, public := publicKey(t, alg, &made.PublicKey)
	if alg == jose.RSAOAEP {
		return reader{public: public, rsa: made}
	}
	return reader{public: public, keys: []jose.DecryptionKey{{ID: id, Unwrap: func(_ context.Context, wrapped []byte) ([]byte, error) {
		return rsa.DecryptOAEP(sha256.New(), nil, made, wrapped, nil)
	}}}}
}

func publicKey(t *testing.T, alg string, public crypto.PublicKey) (id string, raw json.RawMessage) {
	t.Helper()
	id, err := signer.Thumbprint(public)
	if err != nil {
		t.Fatal(err)
	}
	if raw, err = signer.PublicJWK(signer.Record{ID: id, Algorithm: signer.Algorithm(alg), Public: public}); err != nil {
		t.Fatal(err)
	}
	return id, json.RawMessage(strings.Replace(string(raw), `"use":"sig"`, `"use":"enc"`, 1))
}

// open decrypts what must be encrypted.
func (r reader) open(t *testing.T, token string) string {
	t.Helper()
	if !jose.IsEncrypted(token) {
		t.Fatalf("not encrypted: %.40s", token)
	}
	if r.rsa != nil {
		return r.openOAEP(t, token)
	}
	plaintext, err := jose.Decrypt(t.Context(), token, r.keys)
	if err != nil {
		t.Fatal(err)
	}
	return string(plaintext)
}

// openOAEP decrypts RSA-OAEP with A256GCM, step by step (RFC 7516 §5.2).
func (r reader) openOAEP(t *testing.T, token string) string {
	t.Helper()
	parts := strings.Split(token, ".")
	raw := make([][]byte, len(parts))
	for i, part := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(part); err != nil {
			t.Fatal(err)
		}
	}
	key, err := rsa.DecryptOAEP(sha1.New(), nil, r.rsa, raw[1], nil)
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	plaintext, err := gcm.Open(nil, raw[2], append(raw[3], raw[4]...), []byte(parts[0]))
	if err != nil {
		t.Fatal(err)
	}
	return string(plaintext)
}

// Covers: OC-01, OC-04, F1-11. ID tokens and UserInfo answers are signed, then encrypted to a client that registered so.
func TestEncryptsToClients(t *testing.T) {
	w, _ := wholeWorld(t)
	for _, enc := range append(jose.ContentEncryptions(), "") {
		t.Run("accepts enc "+enc, func(t *testing.T) {
			key := newReader(t, jose.ECDHES)
			c := w.register("client-"+enc, func(c *client, m map[string]any) {
				m["jwks"] = keySet(c.key.PublicJWK(), key.public)
				m["id_token_encrypted_response_alg"], m["userinfo_encrypted_response_alg"] = "ECDH-ES", "ECDH-ES"
				m["userinfo_signed_response_alg"] = "ES256"
				if enc != "" {
					m["id_token_encrypted_response_enc"], m["userinfo_encrypted_response_enc"] = enc, enc
				}
			})
			issued := c.tokens()
			_, claims := w.decode(key.open(t, issued.text("id_token")))
			if claims["sub"] != "sub-alice" || claims["nonce"] != "nonce-1" {
				t.Errorf("the ID token holds %v", claims)
			}
			info := c.get("/userinfo", issued.text("access_token"), nil)
			header, claims := w.decode(key.open(t, info.raw))
			if claims["sub"] != "sub-alice" || !header.HasType("userinfo+jwt") || info.header.Get("Content-Type") != "application/jwt" {
				t.Errorf("UserInfo answered %v with %v", claims, info.header)
			}
		})
	}
	t.Run("rejects a client without a key to encrypt to", func(t *testing.T) {
		registering(t, "no key", claim("id_token_encrypted_response_alg", "RSA-OAEP"), "id_token_encrypted_response_alg")
	})
	t.Run("rejects what nobody should use", func(t *testing.T) {
		for _, alg := range []string{"RSA1_5", "dir", "none", "A256KW", "PBES2-HS256+A128KW"} {
			registering(t, alg, claim("id_token_encrypted_response_alg", alg), "id_token_encrypted_response_alg")
		}
		registering(t, "enc without alg", claim("id_token_encrypted_response_enc", "A256GCM"), "id_token_encrypted_response_enc")
		registering(t, "an unsigned answer", claim("userinfo_encrypted_response_alg", "ECDH-ES"), "userinfo_encrypted_response_alg")
	})
	t.Run("says what it can do", func(t *testing.T) {
		for _, name := range []string{"id_token_encryption_alg_values_supported", "userinfo_encryption_alg_values_supported"} {
			listed, ok := w.document()[name].([]any)
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
