// Package anysigner makes signatures in the form of JWS with any crypto.Signer: in memory, in an HSM, in a cloud's key service.
// Which algorithm a key is good for, its caller says.
package anysigner

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"math/big"
)

// ErrForm is what a signer returned in place of an ECDSA signature on P-256 in DER.
var ErrForm = errors.New("the key did not return an ECDSA signature in DER")

// Sign signs a message, not a digest: Ed25519 by RFC 8037 §3.1, P-256 as r and s side by side (RFC 7518 §3.4), RSA with PKCS #1 v1.5
// (§3.3), or with PSS and a salt as long as the hash (§3.5). Errors are those of the signer, or [ErrForm].
func Sign(key crypto.Signer, pss bool, message []byte) ([]byte, error) {
	public := key.Public()
	if _, ok := public.(ed25519.PublicKey); ok {
		return key.Sign(rand.Reader, message, crypto.Hash(0))
	}
	digest := sha256.Sum256(message)
	var options crypto.SignerOpts = crypto.SHA256
	if _, ok := public.(*rsa.PublicKey); ok && pss {
		options = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: crypto.SHA256}
	}
	signature, err := key.Sign(rand.Reader, digest[:], options)
	if err != nil {
		return nil, err
	}
	if _, ok := public.(*ecdsa.PublicKey); ok {
		return sideBySide(signature)
	}
	return signature, nil
}

// sideBySide turns a DER signature of P-256 into r‖s.
func sideBySide(der []byte) ([]byte, error) {
	var pair struct{ R, S *big.Int }
	rest, err := asn1.Unmarshal(der, &pair)
	if err != nil || len(rest) > 0 || pair.R.Sign() <= 0 || pair.S.Sign() <= 0 || pair.R.BitLen() > 256 || pair.S.BitLen() > 256 {
		return nil, ErrForm
	}
	signature := make([]byte, 64)
	pair.R.FillBytes(signature[:32])
	pair.S.FillBytes(signature[32:])
	return signature, nil
}
