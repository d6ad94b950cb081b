package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"

	"countersign/internal/jose/anysigner"
)

// PrivateKey is a private key in memory. It is for clients (the demo and the tests). The server never has one: its
// keys stay in the HSM, behind a [SigningKey].
type PrivateKey struct {
	key       Key
	algorithm string
	signer    crypto.Signer
}

// NewPrivateKey makes a key for an algorithm: RSA with 2048 bits, P-256 or Ed25519. Its kid is its thumbprint.
func NewPrivateKey(algorithm string) (PrivateKey, error) {
	var made crypto.Signer
	var err error
	switch canonicalAlgorithm(algorithm) {
	case PS256:
		made, err = rsa.GenerateKey(rand.Reader, minRSABits)
	case ES256:
		made, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case EdDSA:
		_, made, err = ed25519.GenerateKey(rand.Reader)
	default:
		return PrivateKey{}, fmt.Errorf("jose: new key: %w: %q", ErrAlgorithm, algorithm)
	}
	if err != nil {
		return PrivateKey{}, fmt.Errorf("jose: new key: %w", err)
	}
	return newPrivateKey("", made)
}

// newPrivateKey describes a private key; an empty kid becomes the thumbprint.
func newPrivateKey(id string, private crypto.Signer) (PrivateKey, error) {
	made := PrivateKey{signer: private}
	for _, algorithm := range []string{PS256, ES256, EdDSA} {
		if fits(algorithm, private.Public()) {
			made.algorithm = algorithm
		}
	}
	if made.algorithm == "" {
		return PrivateKey{}, fmt.Errorf("%w: no algorithm fits the private key", ErrMalformed)
	}
	var err error
	if made.key, err = NewKey(id, made.algorithm, private.Public()); err != nil {
		return PrivateKey{}, err
	}
	if id == "" {
		made.key.ID = made.key.thumbprint
	}
	return made, nil
}

// ParsePrivateJWK reads a private key from a file of one's own; it is not for input from outside. Errors wrap [ErrMalformed].
func ParsePrivateJWK(raw []byte) (PrivateKey, error) {
	var wire jose.JSONWebKey
	if err := wire.UnmarshalJSON(raw); err != nil {
		return PrivateKey{}, fmt.Errorf("%w: private JWK: %w", ErrMalformed, err)
	}
	private, ok := wire.Key.(crypto.Signer)
	if !ok {
		return PrivateKey{}, fmt.Errorf("%w: not a private JWK", ErrMalformed)
	}
	return newPrivateKey(wire.KeyID, private)
}

// ID is the kid.
func (k PrivateKey) ID() string { return k.key.ID }

// Algorithm is the one algorithm that fits the key.
func (k PrivateKey) Algorithm() string { return k.algorithm }

// Key is the public key.
func (k PrivateKey) Key() Key { return k.key }

// Signer is the key itself, for instance for a TLS certificate.
func (k PrivateKey) Signer() crypto.Signer { return k.signer }

// PublicJWK is the public key as a JWK.
func (k PrivateKey) PublicJWK() json.RawMessage {
	return mustMarshal(jose.JSONWebKey{Key: k.key.Public, KeyID: k.key.ID, Algorithm: k.algorithm, Use: "sig"})
}

// PrivateJWK is the private key as a JWK. It is a secret.
func (k PrivateKey) PrivateJWK() json.RawMessage {
	return mustMarshal(jose.JSONWebKey{Key: k.signer, KeyID: k.key.ID, Algorithm: k.algorithm, Use: "sig"})
}

// mustMarshal writes a key of one of the kinds that newPrivateKey lets through, all of which can be written.
func mustMarshal(key jose.JSONWebKey) json.RawMessage {
	raw, err := key.MarshalJSON()
	if err != nil {
		panic(err)
	}
	return raw
}

// SigningKey is the key for [Sign].
func (k PrivateKey) SigningKey() SigningKey {
	return SigningKey{ID: k.key.ID, Algorithm: k.algorithm, Sign: k.sign}
}

// SignEmbedded is [SignEmbedded] with this key.
func (k PrivateKey) SignEmbedded(ctx context.Context, typ string, claims any) (string, error) {
	return SignEmbedded(ctx, k.SigningKey(), k.key.Public, typ, claims)
}

func (k PrivateKey) sign(_ context.Context, message []byte) ([]byte, error) {
	return anysigner.Sign(k.signer, true, message)
}
