package jose

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"testing"
)

// TestES256Range: r and s outside of [1, n-1] are refused.
func TestES256Range(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("message"))
	r, s, err := ecdsa.Sign(rand.Reader, private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	n := elliptic.P256().Params().N
	verified := func(r, s *big.Int) bool {
		var raw [64]byte
		if r.BitLen() > 256 || s.BitLen() > 256 {
			return false
		}
		r.FillBytes(raw[:32])
		s.FillBytes(raw[32:])
		return signedDigest(&private.PublicKey, digest[:], raw[:])
	}
	zero := big.NewInt(0)
	if !verified(r, s) {
		t.Error("the signature is refused")
	}
	for name, bad := range map[string][2]*big.Int{
		"r is 0": {zero, s}, "s is 0": {r, zero}, "both are 0": {zero, zero}, "r is n": {n, s}, "s is n": {r, n},
		"r is r+n": {new(big.Int).Add(r, n), s}, "s is s+n": {r, new(big.Int).Add(s, n)}, "swapped": {s, r},
	} {
		if verified(bad[0], bad[1]) {
			t.Errorf("%s: accepted", name)
		}
	}
}
