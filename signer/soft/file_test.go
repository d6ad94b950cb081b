package soft

import (
	"bytes"
	"testing"
)

// FuzzEnvelope: a file is read only if it is exactly what would be written.
func FuzzEnvelope(f *testing.F) {
	e := envelope{salt: make([]byte, saltSize), nonce: make([]byte, nonceSize), sealed: make([]byte, tagSize+100)}
	f.Add(e.encode())
	f.Add([]byte("-----BEGIN COUNTERSIGN DEVELOPMENT KEYS-----\n-----END COUNTERSIGN DEVELOPMENT KEYS-----\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		e, err := parseEnvelope(text)
		if err != nil {
			return
		}
		if len(e.salt) != saltSize || len(e.nonce) != nonceSize || len(e.sealed) < tagSize {
			t.Errorf("parts of %d, %d and %d bytes", len(e.salt), len(e.nonce), len(e.sealed))
		}
		if !bytes.Equal(e.encode(), text) {
			t.Errorf("%q is written as %q", text, e.encode())
		}
	})
}

// TestSealing: a sealed text opens with its passphrase and its salt, and is another each time.
func TestSealing(t *testing.T) {
	s, err := newSealing("a passphrase")
	if err != nil {
		t.Fatal(err)
	}
	first, second := s.seal([]byte("keys")), s.seal([]byte("keys"))
	if bytes.Equal(first.nonce, second.nonce) || bytes.Equal(first.sealed, second.sealed) {
		t.Error("a nonce was used twice")
	}
	again, err := derive("a passphrase", first.salt)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := again.open(first); err != nil || string(plain) != "keys" {
		t.Errorf("opened as %q, %v", plain, err)
	}
	other, err := derive("another", first.salt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := other.open(first); err != ErrSealed {
		t.Errorf("with another passphrase: %v", err)
	}
	first.nonce = second.nonce
	if _, err := again.open(first); err != ErrSealed {
		t.Errorf("with another nonce: %v", err)
	}
}

// TestContent: what a good passphrase seals has to be keys as well.
func TestContent(t *testing.T) {
	for _, content := range []string{"", "{}", `[{"alg":"ES256","pkcs8":""}]`, `[{"alg":"ES256","pkcs8":"AAAA"}]`, `[{"kid":"x"}]`} {
		if keys, err := decodeKeys([]byte(content)); err == nil {
			t.Errorf("%s was read as %d keys", content, len(keys))
		}
	}
	made, err := newKey("ES256")
	if err != nil {
		t.Fatal(err)
	}
	made.record.Algorithm = "PS256"
	mistaken, err := encodeKeys([]held{made})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decodeKeys(mistaken); err == nil {
		t.Error("a P-256 key was read as one for PS256")
	}
	if keys, err := decodeKeys([]byte("[]")); err != nil || len(keys) != 0 {
		t.Errorf("no keys: %v, %v", keys, err)
	}
}
