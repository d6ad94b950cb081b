package fapitest

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

// Recipient is a client's key that JWTs are encrypted to.
type Recipient struct {
	Public json.RawMessage
	keys   []jose.DecryptionKey
	// rsa is the key of one for RSA-OAEP, which the server itself never decrypts with.
	rsa *rsa.PrivateKey
}

// NewRecipient makes one for a key management algorithm.
func NewRecipient(t *testing.T, alg string) Recipient {
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
	return Recipient{Public: public, keys: []jose.DecryptionKey{{
		ID: id, Agree: func(_ context.Context, peer *ecdh.PublicKey) ([]byte, error) { return private.ECDH(peer) },
	}}}
}

func newRSAReader(t *testing.T, alg string) Recipient {
	t.Helper()
	made, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	id, public := publicKey(t, alg, &made.PublicKey)
	if alg == jose.RSAOAEP {
		return Recipient{Public: public, rsa: made}
	}
	return Recipient{Public: public, keys: []jose.DecryptionKey{{ID: id, Unwrap: func(_ context.Context, wrapped []byte) ([]byte, error) {
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

// Open decrypts a JWT, which must be encrypted.
func (r Recipient) Open(t *testing.T, token string) string {
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
func (r Recipient) openOAEP(t *testing.T, token string) string {
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
