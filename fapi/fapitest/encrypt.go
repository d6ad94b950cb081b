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
	"fmt"
	"strings"
	"testing"

	"countersign/internal/jose"
	"countersign/signer"
)

// Agree implements signer.Decrypter.
func (b *switchableBackend) Agree(ctx context.Context, key signer.Record, peer []byte) ([]byte, error) {
	return b.Backend.(signer.Decrypter).Agree(ctx, key, peer)
}

// Unwrap implements signer.Decrypter.
func (b *switchableBackend) Unwrap(ctx context.Context, key signer.Record, wrapped []byte) ([]byte, error) {
	return b.Backend.(signer.Decrypter).Unwrap(ctx, key, wrapped)
}

// probeMessageEncryption shows that signed responses, or what introspection answers, can be had encrypted.
func ProbeMessageEncryption(answer, part string) Prober {
	return func(t *testing.T, w ProbedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := NewReader(t, wanted["alg"])
		encrypted := func(c *Client, m map[string]any) {
			m["jwks"] = KeySet(c.Key.PublicJWK(), key.Public)
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		}
		var token, member string
		if answer == "authorization" {
			token, member = w.Register("client-"+Random(), All(SigningAtWill, encrypted)).Answered(t, "jwt").Get("response"), "code"
		} else {
			access := w.Register("client-"+Random(), nil).Tokens().Text("access_token")
			self := w.ResourceServer("self-"+Random(), w.Issuer)
			metadata := map[string]any{}
			encrypted(self, metadata)
			for name, value := range metadata {
				w.Change(self, name, value)
			}
			token, member = self.Introspect(access, SetHeader("Accept", "application/token-introspection+jwt")).Raw, "token_introspection"
		}
		header, _, _ := strings.Cut(token, ".")
		if raw, err := decode64(header); err != nil || !strings.Contains(string(raw), fmt.Sprintf("%q:%q", part, value)) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.Decode(key.Open(t, token)); body[member] == nil {
			t.Errorf("decrypted to %v", body)
		}
	}
}

// reader is a client's key that it is encrypted to.
type reader struct {
	Public json.RawMessage
	keys   []jose.DecryptionKey
	// rsa is the key of one for RSA-OAEP, which the server itself never decrypts with.
	rsa *rsa.PrivateKey
}

func NewReader(t *testing.T, alg string) reader {
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
	return reader{Public: public, keys: []jose.DecryptionKey{{
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
		return reader{Public: public, rsa: made}
	}
	return reader{Public: public, keys: []jose.DecryptionKey{{ID: id, Unwrap: func(_ context.Context, wrapped []byte) ([]byte, error) {
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
func (r reader) Open(t *testing.T, token string) string {
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
