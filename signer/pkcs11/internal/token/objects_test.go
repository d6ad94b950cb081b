//go:build cgo && !nopkcs11

package token

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/asn1"
	"encoding/binary"
	"testing"
)

// TestPoints reads points as modules write them: bare, or in a DER OCTET STRING.
func TestPoints(t *testing.T) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	wrap := func(raw []byte) []byte {
		der, err := asn1.Marshal(raw)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	for _, raw := range [][]byte{point, wrap(point)} {
		if got, err := parseP256(raw); err != nil || !got.Equal(&private.PublicKey) {
			t.Errorf("P-256 in %d bytes: %v", len(raw), err)
		}
	}
	for _, raw := range [][]byte{edwards, wrap(edwards)} {
		if got, err := parseEd25519(raw); err != nil || !got.Equal(edwards) {
			t.Errorf("Ed25519 in %d bytes: %v", len(raw), err)
		}
	}
	off := bytes.Clone(point)
	off[64] ^= 1
	for name, raw := range map[string][]byte{"off the curve": off, "short": point[:64], "nothing": nil, "at infinity": {0}, "wrapped twice": wrap(wrap(point))} {
		if _, err := parseP256(raw); err == nil {
			t.Errorf("a P-256 point %s was accepted", name)
		}
	}
}

func TestULong(t *testing.T) {
	for want, raw := range map[uint][]byte{
		0x40:     binary.NativeEndian.AppendUint64(nil, 0x40),
		0x3:      binary.NativeEndian.AppendUint32(nil, 0x3),
		^uint(0): {1, 2, 3},
	} {
		if got := ulong(raw); got != want {
			t.Errorf("%x is %#x, want %#x", raw, got, want)
		}
	}
}

// FuzzPoint reads whatever a module may give for a public key.
func FuzzPoint(f *testing.F) {
	f.Add([]byte{4, 1, 4})
	f.Add(append([]byte{4, 32}, make([]byte, 32)...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if key, err := parseP256(raw); err == nil {
			if point, err := key.Bytes(); err != nil || !bytes.HasSuffix(raw, point) {
				t.Errorf("%x became %x, %v", raw, point, err)
			}
		}
		if key, err := parseEd25519(raw); err == nil && !bytes.HasSuffix(raw, key) {
			t.Errorf("%x became %x", raw, key)
		}
		ulong(raw)
	})
}
