package signer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/internal/logbuffer"
)

// faultyHSM is an HSM whose next answers a test decides.
type faultyHSM struct {
	keys *softKeys
	// fault, when it gives an error, stands in place of the signature; spoil changes what is signed.
	fault atomic.Pointer[func(ctx context.Context) error]
	spoil atomic.Bool
	// away is what SignNow finds before Sign would wait.
	away   atomic.Bool
	asked  atomic.Int64
	signed atomic.Int64
}

func (f *faultyHSM) fails(with func(ctx context.Context) error) { f.fault.Store(&with) }
func (f *faultyHSM) works()                                     { f.fault.Store(nil) }
func (f *faultyHSM) Close() error                               { return nil }

func (f *faultyHSM) Sign(ctx context.Context, key Record, message []byte) ([]byte, error) {
	f.asked.Add(1)
	if fault := f.fault.Load(); fault != nil {
		if err := (*fault)(ctx); err != nil {
			return nil, err
		}
	}
	signature, err := f.keys.Sign(ctx, key, message)
	if err == nil && f.spoil.Load() {
		signature[0] ^= 1
	}
	f.signed.Add(1)
	return signature, err
}

func (f *faultyHSM) SignNow(ctx context.Context, key Record, message []byte) ([]byte, error) {
	if f.away.Load() {
		return nil, ErrUnavailable
	}
	return f.Sign(ctx, key, message)
}

func always(err error) func(context.Context) error { return func(context.Context) error { return err } }

// hangs answers when the caller has lost patience, as a backend must.
func hangs(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("%w: %w", ErrUnavailable, context.Cause(ctx))
}

// two are a signer on two HSMs that hold the same key.
func two(t *testing.T, log *slog.Logger) (*Signer, *faultyHSM, *faultyHSM, Key) {
	t.Helper()
	keys := &softKeys{}
	keys.add(t, ES256, Active, time.Now(), UseIDToken)
	a, b := &faultyHSM{keys: keys}, &faultyHSM{keys: keys}
	s, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{{Name: "a", Backend: a}, {Name: "b", Backend: b}}, Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Active(t.Context(), UseIDToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	return s, a, b, key
}

func mustSign(t *testing.T, key Key) {
	t.Helper()
	message := []byte("x")
	signature, err := key.Sign(t.Context(), message)
	if err != nil {
		t.Fatal(err)
	}
	if !Verify(key.Public, key.Algorithm, message, signature) {
		t.Fatal("a wrong signature was released")
	}
}

// TestReplicaFails: whatever one HSM does, the other's signature leaves.
func TestReplicaFails(t *testing.T) {
	for name, spoil := range map[string]func(*faultyHSM){
		"away":                 func(f *faultyHSM) { f.fails(always(ErrUnavailable)) },
		"overloaded":           func(f *faultyHSM) { f.fails(always(ErrOverloaded)) },
		"without the key":      func(f *faultyHSM) { f.fails(always(ErrNoKey)) },
		"with a wrong answer":  func(f *faultyHSM) { f.spoil.Store(true) },
		"starting":             func(f *faultyHSM) { f.away.Store(true) },
		"that hangs":           func(f *faultyHSM) { f.fails(hangs) },
		"that does as it must": func(*faultyHSM) {},
	} {
		t.Run("accepts an HSM "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, a, b, key := two(t, nil)
				spoil(a)
				began := time.Now()
				for range 20 {
					mustSign(t, key)
				}
				if b.signed.Load() == 0 {
					t.Error("the good one was never asked")
				}
				// Only the first few wait for one that hangs; then it is left alone but for a probe.
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("20 signatures took %s", took)
				}
			})
		})
	}
	t.Run("refuses when both are wrong", func(t *testing.T) {
		_, a, b, key := two(t, nil)
		a.spoil.Store(true)
		b.spoil.Store(true)
		if _, err := key.Sign(t.Context(), []byte("x")); !errors.Is(err, ErrWrongSignature) {
			t.Errorf("got %v, want ErrWrongSignature", err)
		}
	})
	t.Run("refuses what no HSM would sign, at once", func(t *testing.T) {
		_, a, b, key := two(t, nil)
		never := errors.New("a message that is too long")
		a.fails(always(never))
		b.fails(always(never))
		if _, err := key.Sign(t.Context(), []byte("x")); !errors.Is(err, never) || a.asked.Load()+b.asked.Load() != 1 {
			t.Errorf("got %v after %d questions", err, a.asked.Load()+b.asked.Load())
		}
	})
}

// TestReplicaRests: an HSM that fails again and again is left alone, is probed, and serves again.
func TestReplicaRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &logbuffer.Buffer{}
		_, a, b, key := two(t, slog.New(slog.NewTextHandler(log, nil)))
		a.fails(always(ErrUnavailable))
		for range 20 {
			mustSign(t, key)
		}
		if asked := a.asked.Load(); asked != breakAfter {
			t.Errorf("it was asked %d times in one moment, want %d", asked, breakAfter)
		}
		a.works()
		time.Sleep(2 * firstPause)
		mustSign(t, key)
		mustSign(t, key) // it is the turn of each once, and the probe starts
		synctest.Wait()
		before := a.signed.Load()
		for range 20 {
			mustSign(t, key)
		}
		if a.signed.Load() == before {
			t.Error("it works and is not asked")
		}
		if text := log.String(); strings.Count(text, "HSM signing fails") != 1 || strings.Count(text, "signs again") != 1 {
			t.Errorf("the log tells\n%s", text)
		}
		_ = b
	})
}

// TestReplicasAllAway: a signature waits for whichever comes back first, and no longer than its context.
func TestReplicasAllAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, b, key := two(t, nil)
		back := make(chan struct{})
		a.away.Store(true)
		b.away.Store(true)
		a.fails(hangs)
		b.fails(func(ctx context.Context) error {
			select {
			case <-back:
				return nil
			case <-ctx.Done():
				return hangs(ctx)
			}
		})
		go func() {
			time.Sleep(3 * time.Second)
			close(back)
		}()
		began := time.Now()
		mustSign(t, key)
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("it took %s, want the three seconds until one was back", took)
		}
		b.fails(hangs)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := key.Sign(ctx, []byte("x")); !errors.Is(err, ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v, want ErrUnavailable in time", err)
		}
	})
}

// TestHolders: an HSM is asked only for the keys that have an address there.
func TestHolders(t *testing.T) {
	keys := &softKeys{}
	keys.add(t, ES256, Active, time.Now(), UseIDToken)
	a, b := &faultyHSM{keys: keys}, &faultyHSM{keys: keys}
	holds := atomic.Bool{}
	holds.Store(true)
	s, err := New(t.Context(), Config{Catalogue: keys, Replicas: []Replica{
		{Name: "a", Backend: a, Holds: func(Record) bool { return false }},
		{Name: "b", Backend: b, Holds: func(Record) bool { return holds.Load() }},
	}})
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Active(t.Context(), UseIDToken, ES256)
	if err != nil {
		t.Fatal(err)
	}
	for range 4 {
		mustSign(t, key)
	}
	if a.asked.Load() != 0 || b.signed.Load() != 4 {
		t.Errorf("they were asked %d and %d times, want 0 and 4", a.asked.Load(), b.signed.Load())
	}
	holds.Store(false)
	if _, err := key.Sign(t.Context(), []byte("x")); !errors.Is(err, ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

// TestReplicasRace: many callers while both HSMs come and go; nothing wrong leaves.
func TestReplicasRace(t *testing.T) {
	_, a, b, key := two(t, nil)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 50 {
				one := []*faultyHSM{a, b}[(i+n)%2]
				one.spoil.Store(n%5 == 0)
				if n%7 == 0 {
					one.fails(always(ErrUnavailable))
				} else {
					one.works()
				}
				message := []byte{byte(i), byte(n)}
				if signature, err := key.Sign(t.Context(), message); err == nil && !Verify(key.Public, key.Algorithm, message, signature) {
					t.Error("a wrong signature was released")
				}
			}
		})
	}
	all.Wait()
}
