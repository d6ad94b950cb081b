package der_test

import (
	"bytes"
	"encoding/asn1"
	"math/big"
	"testing"

	"countersign/internal/jose/der"
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
			got := der.Append(nil, raw[:])
			if !bytes.Equal(got, want) || len(got) > der.Max {
				t.Fatalf("%x: %x, want %x", raw, got, want)
			}
		}
	}
}
