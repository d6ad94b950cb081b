package jose

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/fips140"
	"crypto/rsa"
	"errors"
	"fmt"
	"slices"

	jose "github.com/go-jose/go-jose/v4"
)

// EncryptionAlgorithms are the values of alg that [KeySet.Encrypt] takes: where FIPS 140-3 is enforced, those without SHA-1.
func EncryptionAlgorithms() []string {
	if fips140.Enforced() {
		return []string{ECDHES, ECDHESA256KW, RSAOAEP256}
	}
	return []string{ECDHES, ECDHESA256KW, RSAOAEP256, RSAOAEP}
}

// receives reports whether the key may be encrypted to with an algorithm.
func (k Key) receives(alg string) bool {
	if k.Use != "" && k.Use != "enc" || k.Algorithm != "" && k.Algorithm != alg {
		return false
	}
	allowed := func(operation string) bool { return k.operations == nil || slices.Contains(k.operations, operation) }
	switch public := k.Public.(type) {
	case *rsa.PublicKey:
		return (alg == RSAOAEP || alg == RSAOAEP256) && (allowed("wrapKey") || allowed("encrypt"))
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256() && (alg == ECDHES || alg == ECDHESA256KW) && (allowed("deriveKey") || allowed("deriveBits"))
	}
	return false
}

// Receive reports whether one of the keys takes an algorithm.
func (s KeySet) Receive(alg string) bool {
	return slices.ContainsFunc(s.receiving, func(k Key) bool { return k.receives(alg) })
}

// Encrypt makes a compact JWE (RFC 7516 §7.1) for the first key that takes alg, one of use "enc" before one of no use.
// contentType becomes cty, "JWT" for a nested token (RFC 7519 §5.2); empty leaves it out. An error wraps [ErrNoKey] when
// no key takes alg, or [ErrAlgorithm].
func (s KeySet) Encrypt(plaintext []byte, alg, enc, contentType string) (string, error) {
	if !slices.Contains(EncryptionAlgorithms(), alg) || !slices.Contains(ContentEncryptions(), enc) {
		return "", fmt.Errorf("jose: encrypt: %w: %s with %s", ErrAlgorithm, alg, enc)
	}
	at := slices.IndexFunc(s.receiving, func(k Key) bool { return k.receives(alg) && k.Use == "enc" })
	if at < 0 {
		at = slices.IndexFunc(s.receiving, func(k Key) bool { return k.receives(alg) })
	}
	if at < 0 {
		return "", fmt.Errorf("jose: encrypt: %w to encrypt to with %s", ErrNoKey, alg)
	}
	options := &jose.EncrypterOptions{}
	if contentType != "" {
		options = options.WithContentType(jose.ContentType(contentType))
	}
	encrypter, err := jose.NewEncrypter(jose.ContentEncryption(enc),
		jose.Recipient{Algorithm: jose.KeyAlgorithm(alg), Key: s.receiving[at].Public, KeyID: s.receiving[at].ID}, options)
	if err != nil {
		return "", fmt.Errorf("jose: encrypt: %w", err)
	}
	sealed, err := encrypter.Encrypt(plaintext)
	if err != nil {
		return "", fmt.Errorf("jose: encrypt: %w", err)
	}
	return sealed.CompactSerialize()
}

// ecdhKey is a P-256 key in the form that agreements take.
func ecdhKey(public crypto.PublicKey) (*ecdh.PublicKey, error) {
	key, ok := public.(*ecdsa.PublicKey)
	if !ok {
		return nil, errors.New("jose: not an elliptic curve key")
	}
	return key.ECDH()
}
