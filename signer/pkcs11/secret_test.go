//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// TestOperatorsMistakes: each is said in one line, and none shows a PIN.
func TestOperatorsMistakes(t *testing.T) {
	token := newToken(t, t.TempDir())
	wrong := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(wrong, []byte("9999-canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	loose := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(loose, []byte("9999-canary\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		change func(*pkcs11.Config)
		want   string
	}{
		"a wrong PIN":           {func(c *pkcs11.Config) { c.PINFile = wrong }, "refuses the PIN"},
		"a PIN all can read":    {func(c *pkcs11.Config) { c.PINFile = loose }, "chmod 600"},
		"no PIN file":           {func(c *pkcs11.Config) { c.PINFile = "/nowhere/pin" }, "PIN file"},
		"no such module":        {func(c *pkcs11.Config) { c.Module = "/nowhere/module.so" }, "cannot be loaded"},
		"no such token":         {func(c *pkcs11.Config) { c.Token = "pkcs11:token=other" }, `no token labelled "other"`},
		"no address":            {func(c *pkcs11.Config) { c.Token = "other" }, "RFC 7512"},
		"a PIN in the address":  {func(c *pkcs11.Config) { c.Token = "pkcs11:token=test?pin-value=9999-canary" }, "refused"},
		"a binary that is none": {func(c *pkcs11.Config) { c.Executable = "/nowhere/countersign" }, "start the worker"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := config(token)
			test.change(&c)
			b, err := pkcs11.Open(t.Context(), c)
			if err == nil {
				b.Close()
				t.Fatal("accepted")
			}
			if text := err.Error(); !strings.Contains(text, test.want) || strings.Contains(text, "\n") || strings.Contains(text, "canary") {
				t.Errorf("said %q, want one line with %q", text, test.want)
			}
		})
	}
}

// TestWrongPINIsSentOnce: after a worker was refused no other is started, however many signatures are asked for.
func TestWrongPINIsSentOnce(t *testing.T) {
	token := newToken(t, t.TempDir())
	count, script := filepath.Join(t.TempDir(), "count"), filepath.Join(t.TempDir(), "worker")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("#!/bin/sh\nprintf . >>'%s'\nexec '%s' \"$@\"\n", count, self)
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	c := config(token)
	c.Executable = script
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	if err := os.WriteFile(token.PINFile, []byte("0000000000000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(b.WorkerPID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range 4 { // with time between, in which what may be tried again is tried again
		var wait sync.WaitGroup
		for range 5 {
			wait.Go(func() {
				_, err := b.Sign(t.Context(), record, []byte("m"))
				if !errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "refuses the PIN") {
					t.Errorf("error %v", err)
				}
			})
		}
		wait.Wait()
		time.Sleep(100 * time.Millisecond)
	}
	if started, err := os.ReadFile(count); err != nil || len(started) != 2 {
		t.Errorf("%d workers were started, %v; want one with the right PIN and one with the wrong one", len(started), err)
	}
}

// TestPINLeavesNoTrace looks for the PIN where it must not be.
func TestPINLeavesNoTrace(t *testing.T) {
	token := newToken(t, t.TempDir())
	var log bytes.Buffer
	c := config(token)
	c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	b := open(t, c)
	generate(t, b, signer.ES256)
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		t.Fatal(err)
	}
	pin = bytes.TrimSpace(pin)
	for _, file := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", b.WorkerPID(), file))
		if file == "environ" && os.Geteuid() != 0 && errors.Is(err, fs.ErrPermission) {
			continue // even better: this user cannot look into the worker at all
		}
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(content, pin) {
			t.Errorf("the PIN is in /proc/PID/%s", file)
		}
		if file == "environ" && bytes.Contains(content, []byte("PATH=")) {
			t.Error("the worker inherited the environment")
		}
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", b.WorkerPID()))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "Max core file size") && fields[4] != "0" {
			t.Errorf("core dumps are possible: %s", line)
		}
	}
	if bytes.Contains(log.Bytes(), pin) {
		t.Error("the PIN is in the log")
	}
}

// TestOneLogin: C_Login is called once for each worker, and once in all when the PIN is wrong.
func TestOneLogin(t *testing.T) {
	token := newToken(t, t.TempDir())
	m := newFaulty(t, buildFaulty(t), token)
	b := open(t, m.config)
	record := generate(t, b, signer.ES256)
	m.fails("C_Login note")
	killWorker(t, b)
	for range 20 {
		if _, err := b.Sign(t.Context(), record, []byte("m")); err != nil {
			t.Fatal(err)
		}
	}
	if got := m.faults(); got != 1 {
		t.Errorf("the next worker logged in %d times", got)
	}
	if err := os.WriteFile(token.PINFile, []byte("0000000000000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	killWorker(t, b)
	for range 20 {
		if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) || !strings.Contains(err.Error(), "refuses the PIN") {
			t.Errorf("error %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
	if got := m.faults() - 1; got != 1 {
		t.Errorf("the wrong PIN was sent %d times", got)
	}
}

// TestNoCore: a worker that crashes leaves no core, though all that starts it allows one; another process leaves one.
func TestNoCore(t *testing.T) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("cores go to %s", bytes.TrimSpace(pattern))
	const allow = "cd '%s' && ulimit -c $(ulimit -Hc) && "
	folder, script := t.TempDir(), filepath.Join(t.TempDir(), "worker")
	control := exec.Command("/bin/sh", "-c", fmt.Sprintf(allow, folder)+"kill -SEGV $$")
	if err := control.Run(); err == nil || !strings.Contains(err.Error(), "core dumped") {
		t.Fatalf("a process that crashes leaves no core on this machine (%v), so that nothing can be said of the worker; run: ulimit -Hc unlimited, and see core(5)", err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	m, folder := newFaulty(t, buildFaulty(t), newToken(t, t.TempDir())), t.TempDir()
	if err := os.WriteFile(script, fmt.Appendf(nil, "#!/bin/sh\n"+allow+"exec '%s' \"$@\"\n", folder, self), 0o700); err != nil {
		t.Fatal(err)
	}
	m.config.Executable = script
	b := open(t, m.config)
	record := generate(t, b, signer.ES256)
	for _, fault := range []string{"segv", "abort"} {
		m.fails("C_Sign " + fault)
		_, err = b.Sign(t.Context(), record, []byte("m"))
		if !errors.Is(err, signer.ErrUnavailable) || strings.Contains(err.Error(), "core dumped") {
			t.Errorf("%s: error %v", fault, err)
		}
		if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
			t.Errorf("%s: it left %v, %v", fault, left, err)
		}
	}
	if m.faults() == 0 {
		t.Error("the module did not crash")
	}
}
