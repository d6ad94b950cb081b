//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

// faultyModule is SoftHSM2 behind testdata/faulty, which does wrong what a test says.
type faultyModule struct {
	t              testing.TB
	config         pkcs11.Config
	control, count string
}

// buildFaulty compiles the module that stands in front of SoftHSM2.
func buildFaulty(t testing.TB) string {
	t.Helper()
	compiler := os.Getenv("CC")
	if compiler == "" {
		compiler = "cc"
	}
	library := filepath.Join(t.TempDir(), "faulty.so")
	output, err := exec.CommandContext(t.Context(), compiler, "-O1", "-shared", "-fPIC", "-o", library, "testdata/faulty/faulty.c", "-ldl").CombinedOutput()
	if err != nil {
		t.Fatalf("the faulty module needs a C compiler, as cgo does (apt-get install gcc libc6-dev): %v\n%s", err, output)
	}
	return library
}

// newFaulty makes one more way to a token. Each has a fault of its own.
func newFaulty(t testing.TB, library string, token softhsm.Token) *faultyModule {
	t.Helper()
	folder := t.TempDir()
	m := &faultyModule{t: t, config: config(token), control: filepath.Join(folder, "control"), count: filepath.Join(folder, "count")}
	m.config.Module = library
	m.config.SignTimeout, m.config.StartTimeout = 400*time.Millisecond, time.Second
	m.config.Environment = map[string]string{"FAULTY_MODULE": token.Module, "FAULTY_CONTROL": m.control, "FAULTY_COUNT": m.count}
	for name, value := range token.Environment {
		m.config.Environment[name] = value
	}
	return m
}

// fails sets the fault: what testdata/faulty/faulty.c says, or "" for none.
func (m *faultyModule) fails(fault string) {
	m.t.Helper()
	if err := os.WriteFile(m.control+".new", []byte(fault), 0o600); err != nil {
		m.t.Fatal(err)
	}
	if err := os.Rename(m.control+".new", m.control); err != nil {
		m.t.Fatal(err)
	}
}

// faults tells how often the module did wrong.
func (m *faultyModule) faults() int {
	m.t.Helper()
	count, err := os.ReadFile(m.count)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.t.Fatal(err)
	}
	return len(count)
}

// killWorker kills the worker and waits until the backend knows.
func killWorker(t testing.TB, b *pkcs11.Backend) {
	t.Helper()
	pid := b.WorkerPID()
	if pid == 0 {
		return // 0 would be this process and all its children
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Fatal(err)
	}
	for began := time.Now(); b.WorkerPID() == pid; time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("5 s after its worker was killed the backend does not know")
		}
	}
}

// oneKey is a catalogue of keys that are all active.
type oneKey []signer.Record

// Keys implements [signer.Catalogue].
func (k oneKey) Keys(context.Context) ([]signer.Record, error) { return k, nil }

// pinned gives the key that a server with these replicas would sign with.
func pinned(t testing.TB, record signer.Record, replicas ...*pkcs11.Backend) signer.Key {
	t.Helper()
	record.State, record.Uses = signer.Active, []signer.Use{signer.UseIDToken}
	c := signer.Config{Catalogue: oneKey{record}}
	for i, b := range replicas {
		c.Replicas = append(c.Replicas, signer.Replica{Name: fmt.Sprintf("replica %d", i), Backend: b})
	}
	s, err := signer.New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	key, err := s.Active(t.Context(), signer.UseIDToken, record.Algorithm)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// signOnce makes a signature. One that is wrong fails the test.
func signOnce(t testing.TB, key signer.Key, message string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	signature, err := key.Sign(ctx, []byte(message))
	if err == nil && !signer.Verify(key.Public, key.Algorithm, []byte(message), signature) {
		t.Errorf("a wrong signature left: %x", signature)
	}
	if err != nil && signature != nil {
		t.Errorf("a signature left with an error: %x, %v", signature, err)
	}
	return err
}

// healed signs until it succeeds and tells how long that took.
func healed(t testing.TB, key signer.Key) time.Duration {
	t.Helper()
	began := time.Now()
	for {
		err := signOnce(t, key, "is it well again?")
		if err == nil {
			return time.Since(began)
		}
		if time.Since(began) > 15*time.Second {
			t.Fatalf("15 s after the module was back: %v", err)
		}
		time.Sleep(time.Millisecond)
	}
}

// moduleFault is something that a module does wrong.
type moduleFault struct {
	fault string
	// want is the error that a caller gets who has no other HSM.
	want error
	// atStart tells that it shows only when a worker starts.
	atStart bool
}

func moduleFaults() map[string]moduleFault {
	return map[string]moduleFault{
		"flips a bit of the signature":        {fault: "C_Sign flip", want: signer.ErrWrongSignature},
		"makes short signatures":              {fault: "C_Sign short", want: signer.ErrWrongSignature},
		"makes empty signatures":              {fault: "C_Sign empty", want: signer.ErrWrongSignature},
		"has lost its session":                {fault: "C_Sign 0xb3", want: signer.ErrUnavailable},
		"has lost its session at SignInit":    {fault: "C_SignInit 0xb3", want: signer.ErrUnavailable},
		"has forgotten its login":             {fault: "C_Sign 0x101", want: signer.ErrUnavailable},
		"has forgotten its login at SignInit": {fault: "C_SignInit 0x101", want: signer.ErrUnavailable},
		"reports an error of the device":      {fault: "C_Sign 0x30", want: signer.ErrUnavailable},
		"reports that the device was removed": {fault: "C_Sign 0x32", want: signer.ErrUnavailable},
		"has an operation active":             {fault: "C_SignInit 0x90", want: signer.ErrUnavailable},
		"knows the key's handle no more":      {fault: "C_SignInit 0x60", want: signer.ErrUnavailable},
		"aborts":                              {fault: "C_Sign abort", want: signer.ErrUnavailable},
		"reads where nothing is":              {fault: "C_Sign segv", want: signer.ErrUnavailable},
		"hangs":                               {fault: "C_Sign hang", want: signer.ErrUnavailable},
		"hangs at the login":                  {fault: "C_Login hang", want: signer.ErrUnavailable, atStart: true},
		"fails at the login":                  {fault: "C_Login 0x30", want: signer.ErrUnavailable, atStart: true},
		"hangs at its initialisation":         {fault: "C_Initialize hang", want: signer.ErrUnavailable, atStart: true},
		"crashes at its initialisation":       {fault: "C_Initialize segv", want: signer.ErrUnavailable, atStart: true},
		"opens no session":                    {fault: "C_OpenSession 0x30", want: signer.ErrUnavailable, atStart: true},
		"finds no objects":                    {fault: "C_FindObjectsInit 0x30", want: signer.ErrUnavailable, atStart: true},
	}
}

// TestFaultyModule: whatever the only HSM does wrong, the caller gets an error of the right kind and never a signature
// that is not one; and when it is well again, it signs without a restart.
func TestFaultyModule(t *testing.T) {
	library := buildFaulty(t)
	for name, test := range moduleFaults() {
		t.Run(name, func(t *testing.T) {
			m := newFaulty(t, library, newToken(t, t.TempDir()))
			b := open(t, m.config)
			key := pinned(t, generate(t, b, signer.ES256), b)
			if err := signOnce(t, key, "before"); err != nil {
				t.Fatal(err)
			}
			worker := b.WorkerPID()
			m.fails(test.fault)
			if test.atStart {
				killWorker(t, b)
			}
			if err := signOnce(t, key, "now"); !errors.Is(err, test.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that is %q", err, test.want)
			}
			if m.faults() == 0 {
				t.Error("the module did nothing wrong")
			}
			m.fails("")
			t.Logf("well again after %s", healed(t, key).Round(time.Millisecond))
			if now := b.WorkerPID(); (now != worker) != errors.Is(test.want, signer.ErrUnavailable) {
				t.Errorf("worker %d, before %d", now, worker)
			}
		})
	}
}

// TestWrongSignatures: verification catches what a module spoils with every algorithm, also when it does so now and then.
func TestWrongSignatures(t *testing.T) {
	m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
	b := open(t, m.config)
	for _, alg := range algorithms() {
		key := pinned(t, generate(t, b, alg), b)
		for _, fault := range []string{"flip", "short", "empty"} {
			t.Run(string(alg)+" "+fault, func(t *testing.T) {
				m.fails("C_Sign " + fault + " 3")
				before, wrong := m.faults(), 0
				for i := range 12 {
					err := signOnce(t, key, fmt.Sprint("message ", i))
					switch {
					case errors.Is(err, signer.ErrWrongSignature):
						wrong++
					case err != nil:
						t.Error(err)
					}
				}
				if spoilt := m.faults() - before; wrong != 4 || spoilt != 4 {
					t.Errorf("%d of 12 signatures were spoilt and %d refused, want 4 and 4", spoilt, wrong)
				}
			})
		}
	}
}

// TestSlowSignature: one signature that takes longer than the others, but not as long as a hung one, is waited for.
func TestSlowSignature(t *testing.T) {
	m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
	m.config.SignTimeout = 5 * time.Second
	b := open(t, m.config)
	key := pinned(t, generate(t, b, signer.ES256), b)
	worker := b.WorkerPID()
	m.fails("C_Sign slow once")
	began := time.Now()
	if err := signOnce(t, key, "m"); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took < 500*time.Millisecond || m.faults() != 1 {
		t.Errorf("it took %s, and %d signatures were slow", took, m.faults())
	}
	if err := signOnce(t, key, "m"); err != nil || b.WorkerPID() != worker {
		t.Errorf("the next signature: %v, worker %d, before %d", err, b.WorkerPID(), worker)
	}
}

// TestTokenAsksAgain: a token that cannot be asked about itself for a moment, as SoftHSM2's while another process logs in, is asked
// again; one that stays so is not waited for.
func TestTokenAsksAgain(t *testing.T) {
	m := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir()))
	b := open(t, m.config)
	kid := generate(t, b, signer.ES256).ID
	m.fails("C_GetTokenInfo 0x5 once")
	if _, err := b.Attest(t.Context(), kid); err != nil || m.faults() != 1 {
		t.Errorf("after %d failures: %v", m.faults(), err)
	}
	m.fails("C_GetTokenInfo 0x5")
	if _, err := b.Attest(t.Context(), kid); err == nil || !strings.Contains(err.Error(), "CKR_GENERAL_ERROR") {
		t.Errorf("of a token that fails for ever: %v", err)
	}
	m.fails("C_GetTokenInfo 0x5 once")
	killWorker(t, b)
	if _, err := b.Attest(t.Context(), kid); err != nil {
		t.Errorf("when the token is looked for: %v", err)
	}
}

// TestHangHonoursDeadlines: callers leave at their deadline, wherever in the module the worker is stuck.
func TestHangHonoursDeadlines(t *testing.T) {
	library := buildFaulty(t)
	for name, test := range moduleFaults() {
		if !strings.HasSuffix(test.fault, " hang") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			m := newFaulty(t, library, newToken(t, t.TempDir()))
			b := open(t, m.config)
			key := pinned(t, generate(t, b, signer.ES256), b)
			m.fails(test.fault)
			if test.atStart {
				killWorker(t, b)
			}
			for range 5 {
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				unavoidable := make(chan time.Duration, 1)
				go func() { unavoidable <- lateness([]context.Context{ctx}) }()
				_, err := key.Sign(ctx, []byte("m"))
				deadline, _ := ctx.Deadline()
				late := time.Since(deadline)
				cancel()
				if !errors.Is(err, signer.ErrUnavailable) || late > 50*time.Millisecond+<-unavoidable {
					t.Errorf("error %v, %s after the deadline", err, late)
				}
			}
			if m.faults() == 0 {
				t.Error("the module did not hang")
			}
			m.fails("")
			healed(t, key)
		})
	}
}
