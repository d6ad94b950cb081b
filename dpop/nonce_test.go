package dpop

import (
	"testing"
	"time"
)

func TestNonces(t *testing.T) {
	now := time.Unix(1_800_000_000, 0).Truncate(time.Minute)
	seed := []byte("0123456789abcdef0123456789abcdef")
	clock := func() time.Time { return now }
	ours := NewNonces(seed, time.Minute, clock)
	otherNode := NewNonces(seed, time.Minute, clock)
	stranger := NewNonces([]byte("another seed of thirty-two bytes"), time.Minute, clock)
	nonce := ours.Current()
	if !ours.Valid(nonce) || !otherNode.Valid(nonce) {
		t.Fatal("a fresh nonce is refused")
	}
	if ours.Current() != nonce || otherNode.Current() != nonce {
		t.Error("nodes give out different nonces in one period")
	}
	if stranger.Valid(nonce) {
		t.Error("a server with another seed accepts it")
	}
	for _, step := range []struct {
		after time.Duration
		valid bool
	}{
		{-time.Minute - time.Nanosecond, false}, {-time.Minute, true}, {0, true}, {59 * time.Second, true},
		{2*time.Minute - time.Nanosecond, true}, {2 * time.Minute, false}, {time.Hour, false},
	} {
		later := NewNonces(seed, time.Minute, func() time.Time { return now.Add(step.after) })
		if got := later.Valid(nonce); got != step.valid {
			t.Errorf("%s later: valid %t, want %t", step.after, got, step.valid)
		}
	}
	now = now.Add(time.Minute)
	if ours.Current() == nonce {
		t.Error("the next period has the same nonce")
	}
}

func TestNoncesRefuse(t *testing.T) {
	n := NewNonces(make([]byte, 32), 0, func() time.Time { return time.Unix(1_800_000_000, 0) })
	good := n.Current()
	for _, bad := range []string{"", "x", good + "=", good + "A", good[1:], good[:len(good)-1] + "!", "A" + good[1:len(good)-1] + "\n",
		flip(good, 0), flip(good, 10), flip(good, 15), flip(good, len(good)-2)} {
		if n.Valid(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// flip changes one character of a base64url text.
func flip(text string, at int) string {
	changed := []byte(text)
	if changed[at] == 'A' {
		changed[at] = 'B'
	} else {
		changed[at] = 'A'
	}
	return string(changed)
}

// FuzzNonce: nothing but what Current gave out, in its time, is valid.
func FuzzNonce(f *testing.F) {
	n := NewNonces(make([]byte, 32), 0, func() time.Time { return time.Unix(1_800_000_000, 0) })
	before := NewNonces(make([]byte, 32), 0, func() time.Time { return time.Unix(1_800_000_000-120, 0) }).Current()
	after := NewNonces(make([]byte, 32), 0, func() time.Time { return time.Unix(1_800_000_000+120, 0) }).Current()
	for _, seed := range []string{"", n.Current(), before, after, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, nonce string) {
		if n.Valid(nonce) && nonce != n.Current() && nonce != before && nonce != after {
			t.Errorf("%q is accepted", nonce)
		}
	})
}

func BenchmarkValid(b *testing.B) {
	n := NewNonces(make([]byte, 32), 0, time.Now)
	nonce := n.Current()
	for b.Loop() {
		n.Valid(nonce)
	}
}
