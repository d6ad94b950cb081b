//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// swapped puts another token with the same label and PIN, and other keys, in the place of a token, and has the worker open
// it. back puts the first one back.
func swapped(t *testing.T, folder string, b *pkcs11.Backend, alg signer.Algorithm) (back func()) {
	t.Helper()
	here, away := filepath.Join(folder, "tokens"), filepath.Join(folder, "away")
	if err := os.Rename(here, away); err != nil {
		t.Fatal(err)
	}
	other, err := pkcs11.Open(t.Context(), config(newToken(t, folder)))
	if err != nil {
		t.Fatal(err)
	}
	generate(t, other, alg)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	killWorker(t, b)
	return func() {
		t.Helper()
		if err := errors.Join(os.RemoveAll(here), os.Rename(away, here)); err != nil {
			t.Fatal(err)
		}
	}
}

// missing signs with a key that the worker lacks.
func missing(t *testing.T, key signer.Key) {
	t.Helper()
	if err := signOnce(t, key, "m"); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("with another token: %v", err)
	}
}

// TestWorkerOfAnotherToken: a worker that opened another token with the same label and PIN signs nothing with it, and is
// replaced within seconds of the right one coming back, though it lives and answers.
//
// Covers: FD-94.
func TestWorkerOfAnotherToken(t *testing.T) {
	for name, away := range map[string]time.Duration{"accepts the right one after a moment": 0, "accepts the right one after seconds": 7 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			folder := t.TempDir()
			b := open(t, config(newToken(t, folder)))
			key := pinned(t, generate(t, b, signer.ES256), b)
			if err := signOnce(t, key, "before"); err != nil {
				t.Fatal(err)
			}
			back := swapped(t, folder, b, signer.ES256)
			for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
				missing(t, key)
				if time.Since(began) >= away {
					break
				}
			}
			wrong := b.WorkerPID()
			back()
			took := healed(t, key)
			if b.WorkerPID() == wrong || took > 12*time.Second {
				t.Errorf("it signs after %s, with worker %d, before %d", took, b.WorkerPID(), wrong)
			}
			t.Logf("it signs after %s", took)
		})
	}
}

// TestWorkerOfAnotherTokenWithFewSessions: where the token has no sessions for a second worker, the first one gives way.
//
// Covers: FD-94.
func TestWorkerOfAnotherTokenWithFewSessions(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	m := newFaulty(t, buildFaulty(t), newToken(t, folder))
	m.config.StartTimeout = 10 * time.Second
	b := open(t, m.config)
	key := pinned(t, generate(t, b, signer.ES256), b)
	back := swapped(t, folder, b, signer.ES256)
	missing(t, key)
	back()
	m.fails("C_OpenSession 0xb1 once")
	healed(t, key)
	if m.faults() != 1 {
		t.Errorf("%d sessions were refused", m.faults())
	}
}

// TestMissingKeyDisturbsNoOther: a key that is gone for good costs the others nothing: their worker stays.
//
// Covers: FD-94.
func TestMissingKeyDisturbsNoOther(t *testing.T) {
	t.Parallel()
	t.Run("refuses the key that is gone", func(t *testing.T) {
		b := open(t, config(newToken(t, t.TempDir())))
		gone, there := generate(t, b, signer.ES256), generate(t, b, signer.ES256)
		if err := b.Destroy(t.Context(), gone.ID); err != nil {
			t.Fatal(err)
		}
		lost, key, worker := pinned(t, gone, b), pinned(t, there, b), b.WorkerPID()
		for began := time.Now(); time.Since(began) < 8*time.Second; time.Sleep(20 * time.Millisecond) {
			missing(t, lost)
			if err := signOnce(t, key, "m"); err != nil {
				t.Fatal(err)
			}
		}
		if b.WorkerPID() != worker {
			t.Errorf("worker %d, before %d", b.WorkerPID(), worker)
		}
	})
}
