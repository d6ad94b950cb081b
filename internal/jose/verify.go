package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"

	"countersign/internal/jose/der"
)

// known reports whether this package implements an algorithm.
func known(algorithm string) bool {
	return algorithm == PS256 || algorithm == ES256 || algorithm == EdDSA
}

// signatureFits checks the length of a signature before any arithmetic. An ECDSA signature is r and s side by side
// (RFC 7518 §3.4), never DER.
func signatureFits(algorithm string, length int) bool {
	if algorithm == PS256 || algorithm == RS256 {
		return length >= minRSABits/8 && length <= maxRSABits/8
	}
	return length == 64
}

// fits reports whether a key may be used with an algorithm at all.
func fits(algorithm string, public crypto.PublicKey) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return (algorithm == PS256 || algorithm == RS256) && checkRSA(public) == nil
	case *ecdsa.PublicKey:
		return algorithm == ES256 && public.Curve == elliptic.P256()
	case ed25519.PublicKey:
		return algorithm == EdDSA && len(public) == ed25519.PublicKeySize
	}
	return false
}

// Verify checks the signature with one key. The key must be of the kind that alg says. The PSS salt must be as long
// as the hash (RFC 7518 §3.5). Errors wrap [ErrNoKey] or [ErrSignature].
func (t *Token) Verify(public crypto.PublicKey) error {
	if !fits(t.Header.Algorithm, public) {
		return fmt.Errorf("%w: the key is not one for %s", ErrNoKey, t.Header.Algorithm)
	}
	if !t.signedBy(public) {
		return ErrSignature
	}
	return nil
}

// VerifyDigest checks a signature in JWS form over what has a SHA-256 digest, for PS256 and ES256: Ed25519 signs no digest.
// Errors wrap [ErrNoKey] or [ErrSignature].
func VerifyDigest(algorithm string, public crypto.PublicKey, digest, signature []byte) error {
	if algorithm == EdDSA || len(digest) != sha256.Size || !known(algorithm) || !fits(algorithm, public) {
		return fmt.Errorf("%w: the key is not one for %s", ErrNoKey, algorithm)
	}
	if !signatureFits(algorithm, len(signature)) || !signedDigest(public, digest, signature) {
		return ErrSignature
	}
	return nil
}

// signedBy checks the signature with a key that fits alg. Its length is looked at here too, for a token of [NewToken].
func (t *Token) signedBy(public crypto.PublicKey) bool {
	if !signatureFits(ownAlgorithm(public), len(t.signature)) {
		return false
	}
	message := []byte(t.signingInput)
	if public, ok := public.(ed25519.PublicKey); ok {
		return ed25519.Verify(public, message, t.signature)
	}
	digest := sha256.Sum256(message)
	if t.Header.Algorithm == RS256 {
		return signedPKCS1(public, digest[:], t.signature)
	}
	return signedDigest(public, digest[:], t.signature)
}

// signedDigest checks a signature of the right length over a SHA-256 digest.
func signedDigest(public crypto.PublicKey, digest, signature []byte) bool {
	switch public := public.(type) {
	case *rsa.PublicKey:
		exact := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.VerifyPSS(public, crypto.SHA256, digest, signature, exact) == nil
	case *ecdsa.PublicKey:
		var room [der.Max]byte
		return ecdsa.VerifyASN1(public, digest, der.Append(room[:0], signature)) // refuses r and s outside [1, n-1]
	}
	return false
}

// VerifyWith checks the signature with the keys of a set that can have made it: those whose kid is the token's, if it
// names one, and whose kty, crv, alg, use and key_ops allow it. A kid may occur more than once; each such key is tried
// (FAPI 2.0 Security Profile §5.4.3), up to 32. Errors wrap [ErrNoKey] or [ErrSignature], and say why a key that was left
// out of the set is of no use.
func (t *Token) VerifyWith(set KeySet) error {
	keyID, algorithm := t.Header.KeyID, t.Header.Algorithm
	if algorithm == RS256 {
		return t.verifyPKCS1(set)
	}
	tried := 0
	for _, at := range set.candidates(keyID, algorithm) {
		key := &set.keys[at]
		if !key.Verifies(algorithm) {
			continue
		}
		if tried++; tried > maxTried {
			return tooMany(keyID)
		}
		if t.signedBy(key.Public) {
			t.verifier.Store(key)
			return nil
		}
	}
	switch {
	case tried > 0:
		return ErrSignature
	case keyID != "":
		return fmt.Errorf("%w: the key set has no %s key with kid %s%s", ErrNoKey, algorithm, quoted(keyID), set.whyNone(keyID, algorithm))
	}
	return fmt.Errorf("%w: the key set has no %s key%s", ErrNoKey, algorithm, set.whyNone("", algorithm))
}

// tooMany is the answer when more keys can have made a signature than are tried, and none of those that were has.
func tooMany(keyID string) error {
	if keyID != "" {
		return fmt.Errorf("%w: more than %d keys of the set have the kid %s", ErrSignature, maxTried, quoted(keyID))
	}
	return fmt.Errorf("%w: more than %d keys of the set can have made the signature; name the right one by its kid", ErrNoKey, maxTried)
}

// VerifyMessage checks a signature in JWS form over a message that is no JWS, with the keys of a set that can have made it:
// those with the kid, if one is named, that may sign with the algorithm. An empty algorithm is the one that each key has. It
// returns the key and its algorithm. Errors wrap [ErrNoKey] or [ErrSignature].
func (s KeySet) VerifyMessage(keyID, algorithm string, message, signature []byte) (Key, string, error) {
	tried := 0
	token := Token{signingInput: string(message), signature: signature}
	for _, at := range s.candidates(keyID, algorithm) {
		key := &s.keys[at]
		own := ownAlgorithm(key.Public)
		if algorithm != "" && algorithm != own || !key.Verifies(own) {
			continue
		}
		if tried++; tried > maxTried {
			return Key{}, "", tooMany(keyID)
		}
		if token.signedBy(key.Public) {
			return *key, own, nil
		}
	}
	if tried > 0 {
		return Key{}, "", ErrSignature
	}
	return Key{}, "", fmt.Errorf("%w: the key set has none that can have made the signature%s", ErrNoKey, s.whyNone(keyID, algorithm))
}

// ownAlgorithm is the algorithm of a kind of key.
func ownAlgorithm(public crypto.PublicKey) string {
	switch public.(type) {
	case *rsa.PublicKey:
		return PS256
	case *ecdsa.PublicKey:
		return ES256
	}
	return EdDSA
}

// VerifiedWith returns the key with which [Token.VerifyWith] found the signature to be right; the zero value before that.
func (t *Token) VerifiedWith() Key {
	if key := t.verifier.Load(); key != nil {
		return *key
	}
	return Key{}
}

// VerifyEmbedded checks the signature with the public key in the token's own header and returns that key. It proves
// possession of the key and nothing about whose it is (RFC 9449 §4.3). Errors wrap [ErrMalformed], [ErrNoKey] or
// [ErrSignature].
func (t *Token) VerifyEmbedded() (Key, error) {
	if t.Header.JWK == nil {
		return Key{}, fmt.Errorf("%w: the header has no jwk", ErrMalformed)
	}
	key, err := ParsePublicJWK(t.Header.JWK)
	if err != nil {
		return Key{}, fmt.Errorf("jwk: %w", err)
	}
	if !key.Verifies(t.Header.Algorithm) {
		return Key{}, fmt.Errorf("%w: the jwk is not one for %s", ErrNoKey, t.Header.Algorithm)
	}
	if !t.signedBy(key.Public) {
		return Key{}, ErrSignature
	}
	return key, nil
}

// quoted makes a kid fit to be shown.
func quoted(keyID string) string {
	const most = 64
	if len(keyID) > most {
		return fmt.Sprintf("%+q…", keyID[:most])
	}
	return fmt.Sprintf("%+q", keyID)
}
