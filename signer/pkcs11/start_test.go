//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/signer"
)

// TestOverdueStart: the start of a worker has a limit of its own, which is set. Nobody waits longer for one than for a
// signature, and while starts are overdue nobody waits at all.
//
// Covers: FD-92.
func TestOverdueStart(t *testing.T) {
	library := buildFaulty(t)
	for _, call := range []string{"C_Initialize", "C_OpenSession", "C_Login"} {
		t.Run("refuses while "+call+" hangs", func(t *testing.T) {
			m := newFaulty(t, library, newToken(t, t.TempDir()))
			m.config.SignTimeout, m.config.StartTimeout = 300*time.Millisecond, 3*time.Second
			b := open(t, m.config)
			key := pinned(t, generate(t, b, signer.ES256), b)
			m.fails(call + " hang")
			killWorker(t, b)
			began := time.Now()
			first := signOnce(t, key, "m")
			if took := time.Since(began); !errors.Is(first, signer.ErrUnavailable) || took > 2500*time.Millisecond {
				t.Errorf("the first waited %s: %v", took, first)
			}
			for asked := 0; time.Since(began) < 7*time.Second; asked++ { // over two starts
				each := time.Now()
				if err := signOnce(t, key, "m"); !errors.Is(err, signer.ErrUnavailable) {
					t.Errorf("error %v", err)
				}
				if took := time.Since(each); took > time.Second {
					t.Errorf("one waited %s", took)
				}
				time.Sleep(20 * time.Millisecond)
			}
			// Who has time, such as a command, waits for the start itself.
			if err := b.Connect(t.Context()); err == nil || !strings.Contains(err.Error(), "the module took longer than 3s to open the token") {
				t.Errorf("a patient caller: %v", err)
			}
			if m.faults() < 2 {
				t.Errorf("it hung %d times", m.faults())
			}
			m.fails("")
			if took := healed(t, key); took > 6*time.Second {
				t.Errorf("it signs after %s", took)
			}
		})
	}
}

// TestSlowStart: a start that takes longer than a signature may, and less than its own limit, succeeds.
//
// Covers: FD-92.
func TestSlowStart(t *testing.T) {
	t.Run("accepts", func(t *testing.T) {
		m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
		m.config.SignTimeout, m.config.StartTimeout = 200*time.Millisecond, 10*time.Second
		m.fails("C_Login slow") // half a second
		b := open(t, m.config)
		m.fails("")
		if err := signOnce(t, pinned(t, generate(t, b, signer.ES256), b), "m"); err != nil {
			t.Error(err)
		}
	})
}
