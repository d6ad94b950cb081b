package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
)

// jwk has the members of a public key. Those of the thumbprint come first and in the order of RFC 7638 §3.3, so that
// one type serves both.
type jwk struct {
	Curve     string `json:"crv,omitempty"`
	Exponent  string `json:"e,omitempty"`
	KeyType   string `json:"kty"`
	Modulus   string `json:"n,omitempty"`
	X         string `json:"x,omitempty"`
	Y         string `json:"y,omitempty"`
	ID        string `json:"kid,omitempty"`
	Algorithm string `json:"alg,omitempty"`
	Use       string `json:"use,omitempty"`
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func newJWK(public crypto.PublicKey) (jwk, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return jwk{KeyType: "RSA", Modulus: encode(key.N.Bytes()), Exponent: encode(big.NewInt(int64(key.E)).Bytes())}, nil
	case *ecdsa.PublicKey:
		if key.Curve != elliptic.P256() {
			return jwk{}, errors.New("signer: of elliptic curves only P-256 is used")
		}
		point, err := key.Bytes()
		if err != nil {
			return jwk{}, fmt.Errorf("signer: %w", err)
		}
		return jwk{KeyType: "EC", Curve: "P-256", X: encode(point[1:33]), Y: encode(point[33:])}, nil
	case ed25519.PublicKey:
		return jwk{KeyType: "OKP", Curve: "Ed25519", X: encode(key)}, nil
	}
	return jwk{}, fmt.Errorf("signer: keys of type %T are not used", public)
}

// Thumbprint is the SHA-256 thumbprint of a public key in base64url (RFC 7638).
func Thumbprint(public crypto.PublicKey) (string, error) {
	key, err := newJWK(public)
	if err != nil {
		return "", err
	}
	canonical, err := json.Marshal(key)
	if err != nil {
		return "", err
	}
	digest := sha256.Sum256(canonical)
	return encode(digest[:]), nil
}

// PublicJWK is a key as it is published (RFC 7517 §4), with kid, alg and use.
func PublicJWK(record Record) (json.RawMessage, error) {
	key, err := newJWK(record.Public)
	if err != nil {
		return nil, err
	}
	key.ID, key.Algorithm, key.Use = record.ID, string(record.Algorithm), "sig"
	if record.Algorithm.Decrypts() {
		key.Use = "enc"
	}
	return json.Marshal(key)
}

// ParsePublicJWK reads what [PublicJWK] wrote.
func ParsePublicJWK(raw json.RawMessage) (crypto.PublicKey, error) {
	var key jwk
	if err := json.Unmarshal(raw, &key); err != nil {
		return nil, fmt.Errorf("signer: the public key is not a JWK: %w", err)
	}
	x, errX := base64.RawURLEncoding.DecodeString(key.X)
	y, errY := base64.RawURLEncoding.DecodeString(key.Y)
	n, errN := base64.RawURLEncoding.DecodeString(key.Modulus)
	e, errE := base64.RawURLEncoding.DecodeString(key.Exponent)
	if err := errors.Join(errX, errY, errN, errE); err != nil {
		return nil, fmt.Errorf("signer: the public key is not a JWK: %w", err)
	}
	switch {
	case key.KeyType == "RSA" && len(n) > 0 && len(e) > 0 && len(e) <= 4:
		return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}, nil
	case key.KeyType == "EC" && key.Curve == "P-256" && len(x) == 32 && len(y) == 32:
		return ecdsa.ParseUncompressedPublicKey(elliptic.P256(), append(append([]byte{4}, x...), y...))
	case key.KeyType == "OKP" && key.Curve == "Ed25519" && len(x) == ed25519.PublicKeySize:
		return ed25519.PublicKey(x), nil
	}
	return nil, fmt.Errorf("signer: a JWK of kty %q, crv %q is not a key that is used", key.KeyType, key.Curve)
}
