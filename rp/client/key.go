package client

import (
	"context"
	"crypto"
)

// Key is a private key of the client, with its kid and its one algorithm: PS256, ES256 or EdDSA, or RS256 if [Weak] says so.
// The zero value is no key.
type Key struct {
	id, algorithm string
	public        crypto.PublicKey
	thumbprint    string
	sign          func(ctx context.Context, message []byte) ([]byte, error)
}

// NewKey makes a key of any [crypto.Signer]: one in memory, of a PKCS#11 module or of a cloud's KMS. An empty algorithm is PS256 for
// RSA (2048 to 4096 bits), ES256 for P-256, EdDSA for Ed25519; an empty kid is the RFC 7638 thumbprint. Errors are a [*ConfigError].
func NewKey(private crypto.Signer, kid, algorithm string) (Key, error) { panic("soon") }

// KeyFunc makes a key of a function that signs a message (not a digest) and returns the signature in JWS form (RFC 7518 §3). It is
// the way to a key of package signer, and so to PKCS#11 in a process of its own:
//
//	pinned, err := s.Active(ctx, signer.UseIDToken, signer.PS256)
//	key, err := client.KeyFunc(pinned.ID, string(pinned.Algorithm), pinned.Public, pinned.Sign)
//
// Errors are a [*ConfigError].
func KeyFunc(kid, algorithm string, public crypto.PublicKey, sign func(ctx context.Context, message []byte) ([]byte, error)) (Key, error) {
	panic("soon")
}

// GenerateKey makes a key in memory, for PS256, ES256 or EdDSA.
func GenerateKey(algorithm string) (Key, error) { panic("soon") }

// LoadKey reads a key from a file, PEM (PKCS#8, PKCS#1, SEC 1) or JWK (RFC 7517). Errors name the file and nothing in it.
func LoadKey(path string) (Key, error) { panic("soon") }

// ParseKey reads PEM or a JWK. Errors are a [*ConfigError].
func ParseKey(pemOrJWK []byte) (Key, error) { panic("soon") }

// ID is the kid.
func (k Key) ID() string { return k.id }

// Algorithm is alg.
func (k Key) Algorithm() string { return k.algorithm }

// Public is the public key.
func (k Key) Public() crypto.PublicKey { return k.public }

// Thumbprint is the RFC 7638 thumbprint, in base64url: jkt of a DPoP key.
func (k Key) Thumbprint() string { return k.thumbprint }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.sign == nil }

// Decrypter is a key that the provider may encrypt to.
type Decrypter struct{}

// NewDecrypter makes one of a private key: an *ecdsa.PrivateKey or *ecdh.PrivateKey on P-256 or any [ecdh.KeyExchanger] on it (ECDH-ES,
// ECDH-ES+A256KW), or an RSA [crypto.Decrypter], also of an HSM (RSA-OAEP-256, RSA-OAEP). An empty kid is the thumbprint. Errors are a [*ConfigError].
func NewDecrypter(private any, kid string) (Decrypter, error) { panic("soon") }
