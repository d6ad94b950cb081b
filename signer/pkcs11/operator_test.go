//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

// tried is a token whose logins are counted, with a PIN file and a folder of their own.
type tried struct {
	*faultyModule
	right string
	log   syncedLog
	// ahead is by how much the backends' clock is ahead.
	ahead atomic.Int64
}

// syncedLog is a log of several goroutines.
type syncedLog struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (l *syncedLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.Write(p)
}

func (l *syncedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buffer.String()
}

func newTried(t *testing.T, library string, token softhsm.Token) *tried {
	t.Helper()
	m := &tried{faultyModule: newFaulty(t, library, token)}
	right, err := os.ReadFile(token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	m.right = string(right)
	m.config.PINFile, m.config.StateDir = filepath.Join(t.TempDir(), "pin"), t.TempDir()
	m.config.StartTimeout, m.config.SignTimeout = 10*time.Second, 5*time.Second
	m.config.Logger = slog.New(slog.NewTextHandler(&m.log, nil))
	m.config.Now = func() time.Time { return time.Now().Add(time.Duration(m.ahead.Load())) }
	m.fails("C_Login note")
	return m
}

const wrongPIN = "0000999900009999\n"

// pin writes the PIN file as an operator's editor does, in place of the one before.
func (m *tried) pin(text string) {
	m.t.Helper()
	if err := errors.Join(os.WriteFile(m.config.PINFile+".new", []byte(text), 0o600), os.Rename(m.config.PINFile+".new", m.config.PINFile)); err != nil {
		m.t.Fatal(err)
	}
}

// prepared is a backend as a server has it: it is there before its token is.
func (m *tried) prepared() *pkcs11.Backend {
	m.t.Helper()
	b, err := pkcs11.Prepare(m.config)
	if err != nil {
		m.t.Fatal(err)
	}
	m.t.Cleanup(func() {
		if err := b.Close(); err != nil {
			m.t.Error(err)
		}
	})
	return b
}

// refused expects that a backend needs an operator.
func (m *tried) refused(b *pkcs11.Backend, want string) {
	m.t.Helper()
	err := b.Connect(m.t.Context())
	if !errors.Is(err, pkcs11.ErrOperator) || !errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
		m.t.Errorf("error %v, want one line with %q", err, want)
	}
	if err != nil && strings.Contains(err.Error(), strings.TrimSpace(wrongPIN)) {
		m.t.Errorf("the PIN is in %v", err)
	}
}

// comes waits until a backend has its token.
func (m *tried) comes(b *pkcs11.Backend) {
	m.t.Helper()
	for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		err := b.Connect(m.t.Context())
		if err == nil {
			return
		}
		if time.Since(began) > 10*time.Second {
			m.t.Fatalf("%v; the log says\n%s", err, &m.log)
		}
	}
}

// markers are the files in the folder of what is remembered.
func (m *tried) markers() (files []string) {
	m.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.config.StateDir, "pin-refused-*.json"))
	if err != nil {
		m.t.Fatal(err)
	}
	return files
}

// TestRefusedPINIsNotSentAgain: a PIN that the token refused is sent once: not again by the same server, by one that is started
// again, by several that start at once, or after the file was written again with the same PIN. Another PIN is sent, without
// a restart, and the right one opens the token.
//
// Covers: FD-91.
func TestRefusedPINIsNotSentAgain(t *testing.T) {
	library := buildFaulty(t)
	t.Run("refuses by servers that are started again", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.pin(wrongPIN)
		for range 4 {
			b := m.prepared()
			for range 5 {
				m.refused(b, "refuses the PIN")
			}
			m.ahead.Add(int64(time.Minute)) // it looks again
			m.refused(b, "refuses the PIN")
			if err := b.Close(); err != nil {
				t.Error(err)
			}
		}
		m.pin(wrongPIN)
		m.refused(m.prepared(), "refuses the PIN")
		if sent := m.faults(); sent != 1 {
			t.Errorf("the PIN was sent %d times", sent)
		}
		if lines := strings.Count(m.log.String(), "HSM login needs an operator"); lines != 5 {
			t.Errorf("%d lines for 5 servers:\n%s", lines, &m.log)
		}
	})
	t.Run("refuses by servers that start at once", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.pin(wrongPIN)
		var all sync.WaitGroup
		for range 4 {
			b := m.prepared()
			all.Go(func() {
				// SoftHSM2 does not find a token now and then while another process opens it.
				for began := time.Now(); !errors.Is(b.Connect(t.Context()), pkcs11.ErrOperator) && time.Since(began) < 30*time.Second; {
					time.Sleep(50 * time.Millisecond)
				}
				m.refused(b, "refuses the PIN")
			})
		}
		all.Wait()
		if sent := m.faults(); sent != 1 {
			t.Errorf("the PIN was sent %d times", sent)
		}
	})
	t.Run("accepts the right one, without a restart", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.pin(wrongPIN)
		b := m.prepared()
		m.refused(b, "CKR_PIN_INCORRECT")
		if len(m.markers()) != 1 {
			t.Fatalf("remembered in %v", m.markers())
		}
		m.pin(m.right)
		m.comes(b)
		if sent := m.faults(); sent != 2 || len(m.markers()) != 0 {
			t.Errorf("PINs were sent %d times, and %v is left", sent, m.markers())
		}
		if !strings.Contains(m.log.String(), "token accepts the PIN again") {
			t.Errorf("the log says\n%s", &m.log)
		}
	})
	t.Run("accepts the same one when the operator says that it is right", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.pin(m.right)
		m.fails("C_Login 0xa0") // the token has another PIN for now
		b := m.prepared()
		m.refused(b, "remove "+m.config.StateDir)
		m.fails("C_Login note")
		m.ahead.Add(int64(time.Minute))
		m.refused(b, "refuses the PIN")
		time.Sleep(500 * time.Millisecond)
		m.refused(b, "refuses the PIN")
		if sent := m.faults(); sent != 1 {
			t.Errorf("the PIN was sent %d times before", sent)
		}
		if err := os.Remove(m.markers()[0]); err != nil {
			t.Fatal(err)
		}
		for began := time.Now(); b.Connect(t.Context()) != nil; time.Sleep(20 * time.Millisecond) {
			m.ahead.Add(int64(time.Second))
			if time.Since(began) > 10*time.Second {
				t.Fatalf("the log says\n%s", &m.log)
			}
		}
	})
	t.Run("refuses within one process where nothing can be remembered", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.config.StateDir = ""
		m.pin(wrongPIN)
		b := m.prepared()
		for range 5 {
			m.refused(b, "a restart would send it")
			m.ahead.Add(int64(time.Minute))
		}
		if sent := m.faults(); sent != 1 {
			t.Errorf("the PIN was sent %d times", sent)
		}
		m.pin(m.right)
		m.ahead.Add(int64(time.Minute))
		m.comes(b)
	})
	t.Run("refuses to send any PIN beside a damaged memory", func(t *testing.T) {
		m := newTried(t, library, newToken(t, t.TempDir()))
		m.pin(wrongPIN)
		m.refused(m.prepared(), "refuses the PIN")
		if err := os.WriteFile(m.markers()[0], nil, 0o600); err != nil {
			t.Fatal(err)
		}
		m.refused(m.prepared(), "damaged")
		if sent := m.faults(); sent != 1 {
			t.Errorf("the PIN was sent %d times", sent)
		}
	})
}

// TestPINsThatAreLocked: a token that has one try left, or none, gets no PIN; one that says so only when it gets one gets it
// once. When its officer has mended it, the server goes on without a restart.
//
// Covers: FD-91.
func TestPINsThatAreLocked(t *testing.T) {
	library := buildFaulty(t)
	for name, test := range map[string]struct{ fault, want string }{
		"one try is left":     {"C_GetTokenInfo final-try", "one try of its PIN left"},
		"the token is locked": {"C_GetTokenInfo locked", "locked"},
	} {
		t.Run("refuses when "+name, func(t *testing.T) {
			m := newTried(t, library, newToken(t, t.TempDir()))
			m.pin(m.right)
			m.fails(test.fault)
			b := m.prepared()
			m.refused(b, test.want)
			m.refused(m.prepared(), test.want)
			if len(m.markers()) != 0 {
				t.Error("a PIN was sent")
			}
			m.fails("") // the officer unlocks it
			m.ahead.Add(int64(time.Minute))
			m.comes(b)
		})
	}
	for name, test := range map[string]struct{ fault, want string }{
		"locked":  {"C_Login 0xa4", "CKR_PIN_LOCKED"},
		"expired": {"C_Login 0xa3", "CKR_PIN_EXPIRED"},
	} {
		t.Run("refuses when the answer is "+name, func(t *testing.T) {
			m := newTried(t, library, newToken(t, t.TempDir()))
			m.pin(m.right)
			m.fails(test.fault)
			for range 3 {
				b := m.prepared()
				m.refused(b, test.want)
				m.ahead.Add(int64(time.Minute))
				m.refused(b, test.want)
			}
			if sent := m.faults(); sent != 1 {
				t.Errorf("the PIN was sent %d times", sent)
			}
		})
	}
}
