package rs

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"

	"countersign/internal/jose"
)

// Key is a private key of the API: to authenticate with for an introspection, or to sign answers. The zero value is none.
type Key struct {
	signing jose.SigningKey
	public  jose.Key
}

// NewKey makes a key of any [crypto.Signer]: in memory, in an HSM, in a cloud's key service. An empty algorithm is PS256 for RSA,
// ES256 for P-256 and EdDSA for Ed25519; an empty kid is the thumbprint (RFC 7638). The error says why it fits none.
func NewKey(private crypto.Signer, kid, algorithm string) (Key, error) {
	if algorithm == "" && private != nil {
		switch private.Public().(type) {
		case *rsa.PublicKey:
			algorithm = jose.PS256
		case *ecdsa.PublicKey:
			algorithm = jose.ES256
		default:
			algorithm = jose.EdDSA
		}
	}
	signing, err := jose.NewSigningKey(kid, algorithm, private)
	if err != nil {
		return Key{}, err
	}
	return newKey(signing, private.Public())
}

// KeyFunc makes a key of a function that signs a message, not a digest, and returns the signature in JWS form (RFC 7518 §3), as
// the keys of package signer do.
func KeyFunc(
	kid, algorithm string, public crypto.PublicKey, sign func(ctx context.Context, message []byte) ([]byte, error),
) (Key, error) {
	return newKey(jose.SigningKey{ID: kid, Algorithm: algorithm, Sign: sign}, public)
}

func newKey(signing jose.SigningKey, public crypto.PublicKey) (Key, error) {
	described, err := jose.NewKey(signing.ID, signing.Algorithm, public)
	if err != nil {
		return Key{}, err
	}
	if signing.ID == "" {
		signing.ID = described.Thumbprint()
		described.ID = signing.ID
	}
	return Key{signing: signing, public: described}, nil
}

// ID is the kid.
func (k Key) ID() string { return k.signing.ID }

func (k Key) isZero() bool { return k.signing.Sign == nil }
