package jose

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
)

// NewSigningKey makes a key of any crypto.Signer: one in memory, in an HSM, or in a cloud's key service. The algorithm is
// [PS256], [ES256] or [EdDSA], or [RS256] for a provider that takes nothing else. Errors wrap [ErrAlgorithm]: the key is not
// one for the algorithm.
func NewSigningKey(id, algorithm string, key crypto.Signer) (SigningKey, error) {
	algorithm = canonicalAlgorithm(algorithm)
	if key == nil || !known(algorithm) && algorithm != RS256 || !fits(algorithm, key.Public()) {
		return SigningKey{}, fmt.Errorf("jose: %w: the key is not one for %q", ErrAlgorithm, algorithm)
	}
	made := SigningKey{ID: id, Algorithm: algorithm, pkcs1: algorithm == RS256}
	made.Sign = func(_ context.Context, message []byte) ([]byte, error) { return signBy(key, algorithm, message) }
	return made, nil
}

// signBy signs a message and returns the signature in JWS form.
func signBy(key crypto.Signer, algorithm string, message []byte) ([]byte, error) {
	if _, ok := key.Public().(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	var options crypto.SignerOpts = crypto.SHA256
	if algorithm == PS256 {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := key.Sign(rand.Reader, digest[:], options)
	if err != nil {
		return nil, err
	}
	if _, ok := key.Public().(*ecdsa.PublicKey); ok {
		return sideBySideOf(signature)
	}
	return signature, nil
}

// sideBySideOf turns a DER signature of P-256 into r‖s (RFC 7518 §3.4).
func sideBySideOf(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &pair)
	if err != nil || len(rest) > 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, fmt.Errorf("jose: %w: the key did not return an ECDSA signature in DER", ErrSignature)
	}
	signature := make([]byte, 64)
	pair.R.FillBytes(signature[:32])
	pair.S.FillBytes(signature[32:])
	return signature, nil
}
