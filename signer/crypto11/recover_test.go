//go:build cgo && !nopkcs11

package crypto11_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/crypto11"
	"countersign/signer/pkcs11"
)

// TestHung: while a module hangs in every session, for longer than any signature may take, that is told; not while one still
// answers, not before, and not after.
//
// Covers: FD-98.
func TestHung(t *testing.T) {
	direct := newConfig(t)
	record, err := open(t, direct).Generate(t.Context(), signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	var ahead atomic.Int64
	c, signal := serve(t, direct)
	c.Sessions, c.SignTimeout = 2, 2*time.Second
	c.Now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	b := open(t, c)
	sign := func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := b.Sign(ctx, record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("error %v", err)
		}
	}
	if _, err := b.Sign(t.Context(), record, []byte("m")); err != nil || b.Hung() != nil {
		t.Fatal(err, b.Hung())
	}
	signal(syscall.SIGSTOP)
	sign()
	ahead.Store(int64(time.Hour))
	if err := b.Hung(); err != nil {
		t.Errorf("accepts one session of two: %v", err)
	}
	sign()
	if err := b.Hung(); err != nil {
		t.Errorf("accepts a call that just began: %v", err)
	}
	ahead.Store(int64(2 * time.Hour))
	if err := b.Hung(); err == nil || !strings.Contains(err.Error(), "hangs in all 2 sessions") {
		t.Errorf("refuses: %v", err)
	}
	signal(syscall.SIGCONT)
	for began := time.Now(); b.Hung() != nil; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("after it went on: %v", b.Hung())
		}
	}
}

// TestOpensLater: a token that is not there, or whose PIN is wrong, is opened when it is there and the PIN is right, without a
// restart. The wrong PIN is sent once, also by the next server.
//
// Covers: FD-95, FD-91.
func TestOpensLater(t *testing.T) {
	prepared := func(c pkcs11.Config) *crypto11.Backend {
		b, err := crypto11.Prepare(c)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		})
		return b
	}
	comes := func(b *crypto11.Backend) {
		t.Helper()
		for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
			err := b.Connect(t.Context())
			if err == nil {
				return
			}
			if time.Since(began) > 10*time.Second {
				t.Fatal(err)
			}
		}
	}
	t.Run("accepts a token that comes", func(t *testing.T) {
		c := newConfig(t)
		tokens := filepath.Join(filepath.Dir(c.PINFile), "tokens")
		if err := errors.Join(os.Rename(tokens, tokens+".away"), os.Mkdir(tokens, 0o700)); err != nil {
			t.Fatal(err)
		}
		b := prepared(c)
		if err := b.Connect(t.Context()); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("away: %v", err)
		}
		if err := errors.Join(os.RemoveAll(tokens), os.Rename(tokens+".away", tokens)); err != nil {
			t.Fatal(err)
		}
		comes(b)
		if b.WorkerPID() != 0 {
			t.Error("a worker is left")
		}
	})
	t.Run("refuses a wrong PIN, and accepts the right one", func(t *testing.T) {
		c := newConfig(t)
		c.StateDir = t.TempDir()
		right, err := os.ReadFile(c.PINFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.PINFile, []byte("0000999900009999\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		b := prepared(c)
		if err := b.Connect(t.Context()); !errors.Is(err, pkcs11.ErrOperator) || !strings.Contains(err.Error(), "it was sent once") {
			t.Errorf("error %v", err)
		}
		if err := prepared(c).Connect(t.Context()); !errors.Is(err, pkcs11.ErrOperator) || strings.Contains(err.Error(), "it was sent once") {
			t.Errorf("the next server: %v", err)
		}
		if err := os.WriteFile(c.PINFile, right, 0o600); err != nil {
			t.Fatal(err)
		}
		comes(b)
	})
}
