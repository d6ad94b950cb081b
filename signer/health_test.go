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
	synctest.Test(t, func(t *testing.T) {
		s, a, b, key := two(t, nil)
		health := func() (string, error) {
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
		expect := func(what, wantAway string, wantErr error) {
			t.Helper()
			if away, err := health(); away != wantAway || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
				t.Errorf("%s: %q are away, %v; want %q, %v", what, away, err, wantAway, wantErr)
			}
		}
		expect("accepts two that sign", "", nil)
		if a.asked.Load() == 0 || b.asked.Load() == 0 {
			t.Error("not every HSM was tried")
		}
		asked := a.asked.Load() + b.asked.Load()
		expect("again at once", "", nil)
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
		expect("with traffic", "", nil)
		if a.asked.Load()+b.asked.Load() != asked {
			t.Error("HSMs were asked for what traffic shows")
		}
		a.fails(always(ErrUnavailable))
		time.Sleep(2 * time.Second)
		for range 5 {
			expect("names the one that is away", "a", nil)
			time.Sleep(2 * time.Second)
		}
		b.fails(hangs)
		began := time.Now()
		expect("refuses when none signs", "ab", ErrUnavailable)
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("it took %s", took)
		}
		a.works()
		b.works()
		time.Sleep(10 * time.Second)
		if _, err := health(); err != nil { // those that were left alone may still be
			t.Error(err)
		}
		time.Sleep(time.Second)
		expect("accepts both again", "", nil)
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
	if !p.well("busy", at) || !p.well("idle", at) || p.well("other", at) {
		t.Error("keys that were used are not well, or one that was not is")
	}
	if p.well("busy", at.Add(proofAge)) || p.well("idle", at.Add(proofAge)) {
		t.Error("an HSM that rests is taken for one that signs")
	}
	p.note("busy", start.Add(20*time.Second), nil)
	if p.well("idle", start.Add(20*time.Second)) {
		t.Error("a key counts for ever")
	}
	for _, nothing := range []error{ErrOverloaded, ErrCiphertext, context.Canceled} {
		p.note("busy", start.Add(20*time.Second), nothing)
	}
	if !p.well("busy", start.Add(20*time.Second)) {
		t.Error("that there was too much to do counts against a key")
	}
	p.note("busy", start.Add(20*time.Second), ErrNoKey)
	if p.well("busy", start.Add(20*time.Second)) {
		t.Error("a key that failed is well")
	}
}
