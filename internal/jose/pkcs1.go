package jose

import (
	"crypto"
	"crypto/rsa"
	"fmt"
)

// RS256 (RFC 7518 §3.3) is what many providers outside of FAPI sign with, and FAPI 2.0 Security Profile §5.4.1 forbids. It
// passes only where [ParseOptions].PKCS1 says so, for programs that have to use such a provider.
const RS256 = "RS256"

// signedPKCS1 checks a signature of RS256 over a SHA-256 digest.
func signedPKCS1(public crypto.PublicKey, digest, signature []byte) bool {
	key, ok := public.(*rsa.PublicKey)
	return ok && rsa.VerifyPKCS1v15(key, crypto.SHA256, digest, signature) == nil
}

// verifyPKCS1 is [Token.VerifyWith] for RS256: the keys are those of alg RS256, and those of none.
func (t *Token) verifyPKCS1(set KeySet) error {
	tried := 0
	for i := range set.pkcs1 {
		key := &set.pkcs1[i]
		if t.Header.KeyID != "" && key.ID != t.Header.KeyID {
			continue
		}
		if tried++; tried > maxTried {
			return tooMany(t.Header.KeyID)
		}
		if t.signedBy(key.Public) {
			t.verifier.Store(key)
			return nil
		}
	}
	if tried > 0 {
		return ErrSignature
	}
	return fmt.Errorf("%w: the key set has no key for RS256 that can have made the signature", ErrNoKey)
}

// Find returns the first key of a set that may verify signatures of an algorithm, RS256 among them: one with the kid, or
// without a kid any. The error wraps [ErrNoKey].
func (s KeySet) Find(keyID, algorithm string) (Key, error) {
	algorithm, keys := canonicalAlgorithm(algorithm), s.keys
	if algorithm == RS256 {
		keys = s.pkcs1
	}
	for _, key := range keys {
		if (keyID == "" || key.ID == keyID) && key.Verifies(algorithm) {
			return key, nil
		}
	}
	return Key{}, fmt.Errorf("%w: the key set has no key for %s%s", ErrNoKey, quoted(algorithm), s.whyNone(keyID, algorithm))
}
