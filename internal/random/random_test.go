package random_test

import (
	"encoding/base64"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/internal/random"
	"countersign/store"
)

// TestSource: identifiers with a time differ in nothing but that they begin with it.
func TestSource(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	for _, c := range []struct {
		name   string
		source random.Source
		length int
		uuid   string
	}{
		{"random", random.Source{}, random.SecretLength, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
		{"timed", random.Source{Now: func() time.Time { return now }}, random.TimedLength, `^018bcfe5-6800-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := map[string]bool{}
			for range 100 {
				secret, id := c.source.Secret(), c.source.UUID()
				tail := secret[len(secret)-random.SecretLength:]
				bits, err := base64.RawURLEncoding.Strict().DecodeString(tail)
				if len(secret) != c.length || err != nil || len(bits) != 32 || seen[tail] {
					t.Fatalf("secret %q: %d random bytes, %v, seen before: %v", secret, len(bits), err, seen[tail])
				}
				if !regexp.MustCompile(c.uuid).MatchString(id) || seen[id] {
					t.Fatalf("UUID %q, seen before: %v", id, seen[id])
				}
				seen[tail], seen[id] = true, true
			}
		})
	}
}

// TestIssuedDigest: the digest of what begins with a time does, too; that of everything else is the plain one.
func TestIssuedDigest(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	source := random.Source{Now: func() time.Time { return now }}
	first, prefixed := source.Secret(), "urn:ietf:params:oauth:request_uri:"+source.Secret()
	now = now.Add(16 * time.Millisecond)
	second := source.Secret()
	for _, secret := range []string{first, prefixed} {
		digest, plain := store.IssuedDigest(secret), store.DigestOf(secret)
		if got := hex.EncodeToString(digest[:4]); got != "bcfe5680" || [28]byte(digest[4:]) != [28]byte(plain[4:]) {
			t.Errorf("%s: digest %x of hash %x", secret, digest, plain)
		}
	}
	if a, b := store.IssuedDigest(first), store.IssuedDigest(second); string(a[:4]) >= string(b[:4]) {
		t.Errorf("%x was made before %x", a, b)
	}
	old := strings.Repeat("A", random.SecretLength)
	for _, secret := range []string{
		"", ".", old, random.Secret(), "urn:ietf:params:oauth:request_uri:" + old, "AAAA.A" + old, "AAAAA." + old, "AAAAAB." + old, "AAA AA." + old,
		"AAAAAA." + old + "A", "AAAAAA." + old[1:], "AAAAAA:" + old,
	} {
		if store.IssuedDigest(secret) != store.DigestOf(secret) {
			t.Errorf("%q has another digest, though it has no time", secret)
		}
	}
}
