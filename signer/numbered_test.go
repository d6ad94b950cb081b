package signer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"
)

// Covers: ATTACK-48. What a module signs is released only if the published key verifies it.
func TestAttack48WrongSignatures(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range []Algorithm{PS256, ES256, EdDSA} {
		keys := &softKeys{}
		keys.add(t, alg, Active, time.Now(), UseIDToken)
		s := newSigner(t, keys, time.Now)
		key, err := s.Active(t.Context(), UseIDToken, alg)
		if err != nil {
			t.Fatal(err)
		}
		accepts := func(when string) {
			t.Run("accepts a right signature with "+string(alg)+" "+when, func(t *testing.T) {
				signature, err := key.Sign(t.Context(), []byte("m"))
				if err != nil || !Verify(key.Public, alg, []byte("m"), signature) {
					t.Errorf("%x, %v", signature, err)
				}
			})
		}
		refuses := func(name string) {
			t.Run("refuses "+name+" with "+string(alg), func(t *testing.T) {
				if signature, err := key.Sign(t.Context(), []byte("m")); !errors.Is(err, ErrWrongSignature) || signature != nil {
					t.Errorf("released %x, %v", signature, err)
				}
			})
		}
		accepts("at first")
		for name, spoil := range map[string]func([]byte) []byte{
			"a flipped bit": func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b },
			"a byte short":  func(b []byte) []byte { return b[:len(b)-1] },
			"a byte long":   func(b []byte) []byte { return append(b, 0) },
			"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
			"nothing":       func([]byte) []byte { return nil },
		} {
			keys.spoil = spoil
			refuses(name)
		}
		keys.spoil, keys.swap = nil, other
		refuses("another key's signature")
		keys.swap = nil
		accepts("when the module has come to its senses")
	}
}

// Covers: ATTACK-49. A key signs only while it is active, and is published before and after that.
func TestAttack49KeyStates(t *testing.T) {
	keys := &softKeys{}
	start := time.Unix(1_800_000_000, 0)
	active := keys.add(t, ES256, Active, start, UseAccessToken)
	coming := keys.add(t, ES256, Published, time.Time{}, UseAccessToken)
	going := keys.add(t, ES256, Retiring, start.Add(time.Hour), UseAccessToken) // active after the one that is active now
	other := keys.add(t, ES256, Active, start.Add(2*time.Hour), UseIDToken)
	s := newSigner(t, keys, time.Now)
	published, err := s.Published(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]Record{"the active key": active, "the coming key": coming, "the retiring key": going} {
		t.Run("accepts "+name+" among the published", func(t *testing.T) {
			if !slices.ContainsFunc(published, func(r Record) bool { return r.ID == record.ID }) {
				t.Error("it is missing")
			}
		})
	}
	key, err := s.Active(t.Context(), UseAccessToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	for name, record := range map[string]Record{"the coming key": coming, "the retiring key": going, "a key for another use": other} {
		t.Run("refuses to sign with "+name, func(t *testing.T) {
			if key.ID == record.ID || key.ID != active.ID {
				t.Errorf("signs with %s", key.ID)
			}
		})
	}
	t.Run("refuses to sign when no key is active for the use", func(t *testing.T) {
		if key, err := s.Active(t.Context(), UseIDToken, EdDSA); !errors.Is(err, ErrNoKey) {
			t.Errorf("%s, %v", key.ID, err)
		}
	})
}
