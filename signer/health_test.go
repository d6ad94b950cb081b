package signer

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestHealth: what requests have done lately counts and is not done again; what they have not is tried, in each HSM; one HSM
// that is away is named, and only a key that none can use is an error.
//
// Covers: FD-103.
func TestHealth(t *testing.T) {
	health := func(t *testing.T, s *Signer) (string, error) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		replicas, err := s.Health(ctx)
		away := ""
		for _, one := range replicas {
			if one.Err != nil {
				away += one.Name
			}
		}
		return away, err
	}
	expect := func(t *testing.T, s *Signer, wantAway string, wantErr error) {
		t.Helper()
		if away, err := health(t, s); away != wantAway || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("%q are away, %v; want %q, %v", away, err, wantAway, wantErr)
		}
	}
	// away has one of the HSMs fail, after both have signed.
	away := func(t *testing.T, s *Signer, a *faultyHSM) {
		t.Helper()
		expect(t, s, "", nil)
		a.fails(always(ErrUnavailable))
		time.Sleep(2 * time.Second)
		for range 5 {
			expect(t, s, "a", nil)
			time.Sleep(2 * time.Second)
		}
	}
	t.Run("accepts two that sign, without asking for what is known", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, a, b, key := two(t, nil)
			expect(t, s, "", nil)
			if a.asked.Load() == 0 || b.asked.Load() == 0 {
				t.Error("not every HSM was tried")
			}
			asked := a.asked.Load() + b.asked.Load()
			expect(t, s, "", nil)
			if a.asked.Load()+b.asked.Load() != asked {
				t.Error("HSMs were asked for what they had just done")
			}
			time.Sleep(2 * time.Second)
			for range 4 {
				if _, err := key.Sign(t.Context(), []byte("m")); err != nil {
					t.Fatal(err)
				}
			}
			asked = a.asked.Load() + b.asked.Load()
			expect(t, s, "", nil)
			if a.asked.Load()+b.asked.Load() != asked {
				t.Error("HSMs were asked for what traffic shows")
			}
		})
	})
	t.Run("accepts one that signs, and names the one that is away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, a, _, _ := two(t, nil)
			away(t, s, a)
		})
	})
	t.Run("refuses within 3 s when none signs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, a, b, _ := two(t, nil)
			away(t, s, a)
			b.fails(hangs)
			began := time.Now()
			expect(t, s, "ab", ErrUnavailable)
			if took := time.Since(began); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	})
	t.Run("accepts both when they sign again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s, a, b, _ := two(t, nil)
			away(t, s, a)
			b.fails(hangs)
			expect(t, s, "ab", ErrUnavailable)
			a.works()
			b.works()
			time.Sleep(10 * time.Second)
			if _, err := health(t, s); err != nil { // those that were left alone may still be
				t.Error(err)
			}
			time.Sleep(time.Second)
			expect(t, s, "", nil)
		})
	})
}

// TestProofs: a key that is seldom used counts for longer while its HSM is busy with others, but not once it failed.
//
// Covers: FD-103.
func TestProofs(t *testing.T) {
	start := time.Unix(1000, 0)
	var p proofs
	p.note("idle", start, nil)
	p.note("busy", start.Add(5*time.Second), nil)
	at := start.Add(5*time.Second + proofAge/2)
	t.Run("accepts keys that were used lately", func(t *testing.T) {
		if !p.well("busy", at) || !p.well("idle", at) {
			t.Error("one is not well")
		}
	})
	t.Run("refuses a key that was not used", func(t *testing.T) {
		if p.well("other", at) {
			t.Error("it is well")
		}
	})
	t.Run("refuses keys of an HSM that rests", func(t *testing.T) {
		if p.well("busy", at.Add(proofAge)) || p.well("idle", at.Add(proofAge)) {
			t.Error("one is well")
		}
	})
	p.note("busy", start.Add(20*time.Second), nil)
	t.Run("refuses a key that was not used for long", func(t *testing.T) {
		if p.well("idle", start.Add(20*time.Second)) {
			t.Error("it counts for ever")
		}
	})
	for _, nothing := range []error{ErrOverloaded, ErrCiphertext, context.Canceled} {
		p.note("busy", start.Add(20*time.Second), nothing)
	}
	t.Run("accepts a key that had too much to do", func(t *testing.T) {
		if !p.well("busy", start.Add(20*time.Second)) {
			t.Error("it is not well")
		}
	})
	p.note("busy", start.Add(20*time.Second), ErrNoKey)
	t.Run("refuses a key that failed", func(t *testing.T) {
		if p.well("busy", start.Add(20*time.Second)) {
			t.Error("it is well")
		}
	})
}
