package pkcs11_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// openFaulty opens a backend on a worker with a fault. The function tells how many workers were started.
func openFaulty(t *testing.T, fault string, change func(*pkcs11.Config)) (*pkcs11.Backend, func() int) {
	t.Helper()
	count := filepath.Join(t.TempDir(), "count")
	c := pkcs11.Config{
		Module: "/none", Token: "pkcs11:token=test", PINFile: "/none", Sessions: 1,
		Environment: map[string]string{pkcs11.FaultVariable: fault, pkcs11.CountVariable: count},
	}
	if change != nil {
		change(&c)
	}
	b, err := pkcs11.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b, func() int {
		started, err := os.ReadFile(count)
		if err != nil {
			t.Fatal(err)
		}
		return len(started)
	}
}

var invented = signer.Record{ID: strings.Repeat("k", 43), Algorithm: signer.EdDSA}

// TestFaults: what a worker does wrong is an error that tells to try again, and it is asked no more; what it only
// refuses is an error that does not, and it lives on.
func TestFaults(t *testing.T) {
	for fault, want := range map[string]struct {
		text    string
		workers int
	}{
		"crashes":                    {"the module crashed", 2},
		"writes rubbish":             {"broken frame", 2},
		"answers what nobody asked":  {"without a question", 2},
		"answers in another version": {"version 3", 2},
		"signs rubbish":              {"broken frame", 2},
		"signs at too great length":  {"broken frame", 2},
		"is in trouble":              {"the device is gone", 2},
		"refuses":                    {"the mechanism is not for this key", 1},
	} {
		t.Run(fault, func(t *testing.T) {
			b, started := openFaulty(t, fault, nil)
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			_, err := b.Sign(ctx, invented, []byte("m"))
			if err == nil || !strings.Contains(err.Error(), want.text) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line with %q", err, want.text)
			}
			if again := errors.Is(err, signer.ErrUnavailable); again != (want.workers > 1) {
				t.Errorf("error %v, to be tried again: %v", err, again)
			}
			if got := started(); got != want.workers {
				t.Errorf("%d workers were started, want %d", got, want.workers)
			}
		})
	}
}

// TestCrashLoop: a module that crashes with each signature does not keep the machine busy with starting workers.
func TestCrashLoop(t *testing.T) {
	b, started := openFaulty(t, "crashes", nil)
	for range 40 {
		if _, err := b.Sign(t.Context(), invented, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
			t.Fatalf("error %v", err)
		}
	}
	if got := started(); got != 10 {
		t.Errorf("%d workers were started for 40 signatures, want 10", got)
	}
}

// TestBusyIsNotHung: a slow module with much to do is not killed, though the last caller waits for longer than a hung
// one would be given.
func TestBusyIsNotHung(t *testing.T) {
	b, started := openFaulty(t, "slow", func(c *pkcs11.Config) { c.SignTimeout = 12 * pkcs11.SlowSignature })
	var wait sync.WaitGroup
	for range 20 { // more turns than the time-out has, which leaves a busy machine room
		wait.Go(func() {
			if signature, err := b.Sign(t.Context(), invented, []byte("m")); err != nil || string(signature) != "m" {
				t.Errorf("%q, %v", signature, err)
			}
		})
	}
	wait.Wait()
	if got := started(); got != 1 {
		t.Errorf("%d workers were started, want 1", got)
	}
}

// TestLeaversCostNothing: callers that gave up while they waited leave no work for the module.
func TestLeaversCostNothing(t *testing.T) {
	b, _ := openFaulty(t, "slow", nil)
	ctx, cancel := context.WithTimeout(t.Context(), pkcs11.SlowSignature/3)
	defer cancel()
	var wait sync.WaitGroup
	for range 50 {
		wait.Go(func() {
			if _, err := b.Sign(ctx, invented, []byte("m")); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, signer.ErrOverloaded) {
				t.Errorf("error %v", err)
			}
		})
	}
	wait.Wait()
	began := time.Now()
	if _, err := b.Sign(t.Context(), invented, []byte("m")); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 8*pkcs11.SlowSignature {
		t.Errorf("after 50 callers had left, a signature took %s", took)
	}
}

// TestLongMessage: the longest message is signed, and a longer one is refused without harm to the worker.
func TestLongMessage(t *testing.T) {
	b, started := openFaulty(t, "none", nil)
	longest := bytes.Repeat([]byte("m"), pkcs11.MaxMessage)
	if signature, err := b.Sign(t.Context(), invented, longest); err != nil || !bytes.Equal(signature, longest[:pkcs11.MaxSignature]) {
		t.Errorf("%d bytes, %v", len(signature), err)
	}
	if _, err := b.Sign(t.Context(), invented, append(longest, 'm')); err == nil || errors.Is(err, signer.ErrUnavailable) {
		t.Errorf("one byte more: %v", err)
	}
	if got := started(); got != 1 {
		t.Errorf("%d workers were started, want 1", got)
	}
}

// TestRefusedPINIsFinal: a worker that was refused is the last one, however often it is asked for signatures.
func TestRefusedPINIsFinal(t *testing.T) {
	count := filepath.Join(t.TempDir(), "count")
	b, err := pkcs11.Open(t.Context(), pkcs11.Config{
		Module: "/none", Token: "pkcs11:token=test", PINFile: "/none",
		Environment: map[string]string{pkcs11.FaultVariable: "refuses the PIN", pkcs11.CountVariable: count},
	})
	if err == nil {
		b.Close()
		t.Fatal("opened")
	}
	if started, err := os.ReadFile(count); err != nil || len(started) != 1 {
		t.Errorf("%d workers, %v", len(started), err)
	}
}
