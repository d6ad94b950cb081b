package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"strings"
	"testing"

	"countersign/internal/jose"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
)

// TestEncryption: ID tokens, signed responses and UserInfo that are encrypted to the client, by each algorithm, with the current and the previous key.
//
// Covers: RP-28.
func TestEncryption(t *testing.T) {
	t.Parallel()
	p := providertest.New(t)
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	decrypters := map[string]client.Decrypter{}
	for kid, private := range map[string]any{"ec": ec, "rsa": newRSA(t, 2048), "previous": newRSA(t, 2048), "stranger": newRSA(t, 2048)} {
		if decrypters[kid], err = client.NewDecrypter(private, kid); err != nil {
			t.Fatal(err)
		}
	}
	// keysOf is the key set that a client with some keys publishes.
	keysOf := func(t *testing.T, kids ...string) (*client.Client, jose.KeySet) {
		t.Helper()
		c := against(t, p, func(c *client.Config) {
			c.Profile = client.FAPI2MessageSigning
			for _, kid := range kids {
				c.Decrypt = append(c.Decrypt, decrypters[kid])
			}
		})
		set, err := jose.ParseKeySet(c.Keys())
		if err != nil {
			t.Fatal(err)
		}
		return c, set
	}
	encrypt := func(set jose.KeySet, alg, enc string) providertest.Behaviour {
		return providertest.Behaviour{SignedAnswers: true, Signed: func(_, token string) string {
			sealed, err := set.Encrypt([]byte(token), alg, enc, "JWT")
			if err != nil {
				t.Error(err)
			}
			return sealed
		}}
	}
	c, set := keysOf(t, "ec", "rsa", "previous")
	for _, alg := range jose.EncryptionAlgorithms() {
		for _, enc := range jose.ContentEncryptions() {
			t.Run("accepts "+alg+" with "+enc, func(t *testing.T) {
				tokens, err := through(t, p, c, encrypt(set, alg, enc), client.AuthorizeOptions{})
				if err != nil {
					t.Fatal(err)
				}
				if strings.Count(tokens.IDToken, ".") != 2 {
					t.Error("the ID token is kept encrypted: nobody else could take it as a hint")
				}
				info, err := c.UserInfo(t.Context(), tokens)
				if err != nil || info.Subject != p.Subject {
					t.Errorf("%+v, %v", info, err)
				}
			})
		}
	}
	t.Run("accepts the previous key", func(t *testing.T) {
		_, old := keysOf(t, "previous")
		if _, err := through(t, p, c, encrypt(old, jose.RSAOAEP256, jose.A256GCM), client.AuthorizeOptions{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses what was encrypted to somebody else", func(t *testing.T) {
		_, other := keysOf(t, "stranger")
		tokens, err := through(t, p, c, encrypt(other, jose.RSAOAEP256, jose.A256GCM), client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "encryption")
	})
	t.Run("refuses what is encrypted to a client without keys", func(t *testing.T) {
		none := against(t, p)
		tokens, err := through(t, p, none, encrypt(set, jose.ECDHES, jose.A256GCM), client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "encryption")
	})
	t.Run("refuses what is encrypted and not signed", func(t *testing.T) {
		b := encrypt(set, jose.ECDHES, jose.A256GCM)
		seal := b.Signed
		b.Signed = func(kind, token string) string {
			return seal(kind, resign(token, map[string]any{"alg": "none"}, func(string) []byte { return nil }))
		}
		tokens, err := through(t, p, c, b, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "alg")
	})
	t.Run("refuses a damaged ciphertext", func(t *testing.T) {
		b := encrypt(set, jose.ECDHES, jose.A256GCM)
		seal := b.Signed
		b.Signed = func(kind, token string) string {
			parts := strings.Split(seal(kind, token), ".")
			parts[3] = "AAAA" + parts[3][4:]
			return strings.Join(parts, ".")
		}
		tokens, err := through(t, p, c, b, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "encryption")
	})
	t.Run("refuses RSA1_5", func(t *testing.T) {
		b := encrypt(set, jose.RSAOAEP256, jose.A256GCM)
		seal := b.Signed
		b.Signed = func(kind, token string) string {
			parts := strings.SplitN(seal(kind, token), ".", 2)
			return "eyJhbGciOiJSU0ExXzUiLCJlbmMiOiJBMjU2R0NNIn0." + parts[1]
		}
		tokens, err := through(t, p, c, b, client.AuthorizeOptions{})
		wantCheck(t, tokens, err, "encryption")
	})
}
