package client

import (
	"context"
	"crypto"
	"fmt"

	"countersign/internal/jose"
	"countersign/rp/internal/keys"
)

// Key is a private key of the client, with its kid and its one algorithm: PS256, ES256 or EdDSA, or RS256 if [Weak] says so. The zero
// value is no key.
type Key struct {
	public  jose.Key
	signing jose.SigningKey
}

// NewKey makes a key of any [crypto.Signer]: one in memory, of a PKCS#11 module or of a cloud's KMS. An empty algorithm is PS256 for
// RSA (2048 to 4096 bits), ES256 for P-256, EdDSA for Ed25519; an empty kid is the RFC 7638 thumbprint. Errors are a [*ConfigError].
func NewKey(private crypto.Signer, kid, algorithm string) (Key, error) {
	if private == nil {
		return Key{}, misconfigured("Key", "there is none")
	}
	public, err := keys.Describe(private.Public(), kid, algorithm)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	signing, err := jose.NewSigningKey(public.ID, public.Algorithm, private)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	return Key{public, signing}, nil
}

// KeyFunc makes a key of a function that signs a message (not a digest) and returns the signature in JWS form (RFC 7518 §3). It is
// the way to a key of package signer, and so to PKCS#11 in a process of its own:
//
//	pinned, err := s.Active(ctx, signer.UseIDToken, signer.PS256)
//	key, err := client.KeyFunc(pinned.ID, string(pinned.Algorithm), pinned.Public, pinned.Sign)
//
// The algorithm is PS256, ES256 or EdDSA. Errors are a [*ConfigError].
func KeyFunc(kid, algorithm string, public crypto.PublicKey, sign func(ctx context.Context, message []byte) ([]byte, error)) (Key, error) {
	described, err := keys.Describe(public, kid, algorithm)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	if sign == nil || described.Algorithm == jose.RS256 {
		return Key{}, misconfigured("Key", "a function is wanted that signs with PS256, ES256 or EdDSA")
	}
	return Key{described, jose.SigningKey{ID: described.ID, Algorithm: described.Algorithm, Sign: sign}}, nil
}

// GenerateKey makes a key in memory, for PS256, ES256 or EdDSA. Errors are a [*ConfigError].
func GenerateKey(algorithm string) (Key, error) {
	made, err := jose.NewPrivateKey(algorithm)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	return NewKey(made.Signer(), "", "")
}

// LoadKey reads a key from a file, PEM (PKCS#8, PKCS#1, SEC 1) or JWK (RFC 7517). Errors name the file, and nothing in it.
func LoadKey(path string) (Key, error) {
	raw, err := keys.Read(path)
	if err != nil {
		return Key{}, fmt.Errorf("client: read a key: %w", err)
	}
	key, err := ParseKey(raw)
	if err != nil {
		return Key{}, fmt.Errorf("client: read a key: %s: %w", path, err)
	}
	return key, nil
}

// ParseKey reads PEM or a JWK. Errors are a [*ConfigError].
func ParseKey(pemOrJWK []byte) (Key, error) {
	private, kid, err := keys.Parse(pemOrJWK)
	if err != nil {
		return Key{}, misconfigured("Key", "%v", err)
	}
	return NewKey(private, kid, "")
}

// ID is the kid.
func (k Key) ID() string { return k.public.ID }

// Algorithm is alg.
func (k Key) Algorithm() string { return k.signing.Algorithm }

// Public is the public key.
func (k Key) Public() crypto.PublicKey { return k.public.Public }

// Thumbprint is the RFC 7638 thumbprint, in base64url: jkt of a DPoP key.
func (k Key) Thumbprint() string { return k.public.Thumbprint() }

// IsZero reports whether k is no key.
func (k Key) IsZero() bool { return k.signing.Sign == nil }

// String is the kid, and nothing of the key.
func (k Key) String() string { return "key " + k.ID() }

// GoString is [Key.String].
func (k Key) GoString() string { return k.String() }

// Decrypter is a key that the provider may encrypt to. The zero value is none.
type Decrypter struct {
	public jose.Key
	key    jose.DecryptionKey
}

// NewDecrypter makes one of a private key: an *ecdsa.PrivateKey or an crypto/ecdh KeyExchanger on P-256 (ECDH-ES, ECDH-ES+A256KW), or an RSA
// [crypto.Decrypter], also of an HSM (RSA-OAEP-256, RSA-OAEP). An empty kid is the thumbprint. Errors are a [*ConfigError].
func NewDecrypter(private any, kid string) (Decrypter, error) {
	public, key, err := keys.Decryption(private, kid)
	if err != nil {
		return Decrypter{}, misconfigured("Decrypt", "%v", err)
	}
	return Decrypter{public, key}, nil
}

// ID is the kid.
func (d Decrypter) ID() string { return d.public.ID }
