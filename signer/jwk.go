package signer

import (
	"crypto"
	"encoding/json"
	"fmt"

	"countersign/internal/jose"
)

// Thumbprint is the SHA-256 thumbprint of a public key in base64url (RFC 7638). The key is an *rsa.PublicKey, an
// *ecdsa.PublicKey or an ed25519.PublicKey; others have none.
func Thumbprint(public crypto.PublicKey) (string, error) {
	thumbprint, err := jose.Thumbprint(public)
	if err != nil {
		return "", fmt.Errorf("signer: %w", err)
	}
	return thumbprint, nil
}

// PublicJWK is a key as it is published (RFC 7517 §4), with kid, alg and use. The errors are those of [Thumbprint].
func PublicJWK(record Record) (json.RawMessage, error) {
	key, err := jose.NewKey(record.ID, string(record.Algorithm), record.Public) // refuses a private key
	if err != nil {
		return nil, fmt.Errorf("signer: %w", err)
	}
	if record.Algorithm.Decrypts() {
		key.Use = "enc"
	}
	return key.MarshalJSON()
}

// ParsePublicJWK reads what [PublicJWK] wrote: RSA of 2048 to 4096 bits, P-256 or Ed25519.
func ParsePublicJWK(raw json.RawMessage) (crypto.PublicKey, error) {
	key, err := jose.ParsePublicJWK(raw)
	if err != nil {
		return nil, fmt.Errorf("signer: the public key is not a JWK: %w", err)
	}
	return key.Public, nil
}
