package signer

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"

	"countersign/internal/jose"
)

// Verify reports whether signature is message's in JWS form: for PS256 with a salt of exactly 32 bytes (RFC 7518 §3.5),
// for ES256 as r‖s in exactly 64 bytes (RFC 7518 §3.4).
func Verify(public crypto.PublicKey, alg Algorithm, message, signature []byte) bool {
	digest := sha256.Sum256(message)
	switch key := public.(type) {
	case *rsa.PublicKey:
		options := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
		return alg == PS256 && rsa.VerifyPSS(key, crypto.SHA256, digest[:], signature, options) == nil
	case *ecdsa.PublicKey:
		return alg == ES256 && jose.VerifyDigest(jose.ES256, key, digest[:], signature) == nil
	case ed25519.PublicKey:
		return alg == EdDSA && ed25519.Verify(key, message, signature)
	}
	return false
}

// Fits reports whether a public key is one for alg: RSA of 2048 to 4096 bits with the exponent 65537, P-256, or Ed25519.
func Fits(public crypto.PublicKey, alg Algorithm) bool {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return (alg == PS256 || alg.Unwraps()) && key.N.BitLen() >= 2048 && key.N.BitLen() <= 4096 && key.E == 65537
	case *ecdsa.PublicKey:
		return (alg == ES256 || alg == ECDHES) && key.Curve.Params().BitSize == 256
	case ed25519.PublicKey:
		return alg == EdDSA && len(key) == ed25519.PublicKeySize
	}
	return false
}
