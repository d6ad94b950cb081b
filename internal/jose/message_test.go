package jose_test

import (
	"crypto/sha256"
	"errors"
	"testing"

	"countersign/internal/jose"
)

// TestVerifyMessage: a message that is no JWS verifies with the key that signed it, by its own algorithm only.
func TestVerifyMessage(t *testing.T) {
	message := []byte("a message")
	for _, algorithm := range []string{jose.PS256, jose.ES256, jose.EdDSA} {
		key, err := jose.NewPrivateKey(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		other, err := jose.NewPrivateKey(algorithm)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := key.SigningKey().Sign(t.Context(), message)
		if err != nil {
			t.Fatal(err)
		}
		set, digest := jose.NewKeySet(other.Key(), key.Key()), sha256.Sum256(message)
		for _, asked := range []struct {
			keyID, algorithm string
			message          []byte
			signature        []byte
			want             error
		}{
			{"", "", message, signature, nil},
			{key.ID(), algorithm, message, signature, nil},
			{other.ID(), "", message, signature, jose.ErrSignature},
			{"unknown", "", message, signature, jose.ErrNoKey},
			{"", "RS256", message, signature, jose.ErrNoKey},
			{"", "", []byte("another"), signature, jose.ErrSignature},
			{"", "", message, signature[1:], jose.ErrSignature},
			{"", "", message, nil, jose.ErrSignature},
		} {
			found, by, err := set.VerifyMessage(asked.keyID, asked.algorithm, asked.message, asked.signature)
			if !errors.Is(err, asked.want) || err == nil && (found.Thumbprint() != key.Key().Thumbprint() || by != algorithm) {
				t.Errorf("%s: %+v returns %v, %s, %v", algorithm, asked, found.ID, by, err)
			}
		}
		err = jose.VerifyDigest(algorithm, key.Key().Public, digest[:], signature)
		if algorithm == jose.EdDSA && !errors.Is(err, jose.ErrNoKey) || algorithm != jose.EdDSA && err != nil {
			t.Errorf("%s: the digest: %v", algorithm, err)
		}
		for _, bad := range [][]byte{nil, digest[1:], make([]byte, sha256.Size)} {
			if err := jose.VerifyDigest(algorithm, key.Key().Public, bad, signature); err == nil {
				t.Errorf("%s: another digest passes", algorithm)
			}
		}
		if err := jose.VerifyDigest(algorithm, other.Key().Public, digest[:], signature); err == nil {
			t.Errorf("%s: another key passes", algorithm)
		}
	}
}
