package jose

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"math/big"
	"testing"
)

// TestDER: r‖s becomes what package asn1 makes of the same numbers, at every length of them; so what is verified is the same.
func TestDER(t *testing.T) {
	numbers := []*big.Int{big.NewInt(0), big.NewInt(1), big.NewInt(0x7f), big.NewInt(0x80), big.NewInt(0xff), big.NewInt(0x100)}
	for bits := range 32 {
		one := new(big.Int).Lsh(big.NewInt(0x81), uint(8*bits))
		numbers = append(numbers, one, new(big.Int).Rsh(one, 1), new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), uint(8*bits+8)), big.NewInt(1)))
	}
	for _, r := range numbers {
		for _, s := range numbers {
			var raw [64]byte
			r.FillBytes(raw[:32])
			s.FillBytes(raw[32:])
			want, err := asn1.Marshal(struct{ R, S *big.Int }{r, s})
			if err != nil {
				t.Fatal(err)
			}
			got := appendDER(nil, raw[:])
			if !bytes.Equal(got, want) || len(got) > maxDER {
				t.Fatalf("%x: %x, want %x", raw, got, want)
			}
		}
	}
}

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
