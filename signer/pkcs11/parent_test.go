//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/signer/pkcs11"
)

// parent is another process that holds a token.
type parent struct {
	t       *testing.T
	command *exec.Cmd
	said    io.Reader
}

// newParent starts a program, which is a copy of this test, as a parent of workers.
func newParent(t *testing.T, program string, c pkcs11.Config) *parent {
	t.Helper()
	given, err := json.Marshal(parentConfig{Module: c.Module, Token: c.Token, PINFile: c.PINFile, Executable: c.Executable, Environment: c.Environment})
	if err != nil {
		t.Fatal(err)
	}
	p := &parent{t: t, command: exec.Command(program, parentCommand, string(given))}
	p.command.Stderr = os.Stderr
	if p.said, err = p.command.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.command.Process.Kill() // it may be gone
		_ = p.command.Wait()
	})
	return p
}

// worker is the next worker that the parent tells of.
func (p *parent) worker() int {
	p.t.Helper()
	var pid int
	if _, err := fmt.Fscan(p.said, &pid); err != nil || pid == 0 {
		p.t.Fatalf("worker %d, %v", pid, err)
	}
	return pid
}

// child waits for a child of the parent, also one that is being started.
func (p *parent) child() int {
	p.t.Helper()
	for range 500 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", p.command.Process.Pid))
		if err != nil {
			p.t.Fatal(err)
		}
		for _, thread := range threads {
			children, err := os.ReadFile(thread)
			for child := range strings.FieldsSeq(string(children)) {
				if pid, err := strconv.Atoi(child); err == nil {
					return pid
				}
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ESRCH) {
				p.t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Fatal("it starts no worker")
	return 0
}

// kill ends the parent and expects the end of a worker.
func (p *parent) kill(worker int) {
	p.t.Helper()
	if err := p.command.Process.Kill(); err != nil {
		p.t.Fatal(err)
	}
	for range 200 {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", worker))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || bytes.Contains(status, []byte(") Z ")) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	p.t.Errorf("worker %d is still there, 2 s after its parent was killed", worker)
	_ = syscall.Kill(worker, syscall.SIGKILL) // it must not stay after the test
}

func executable(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// TestParentKilled: no worker outlives its parent and keeps the HSM's sessions and the PIN, wherever it is: serving, stopped,
// or hanging in a call of its module while it starts.
//
// Covers: FD-93.
func TestParentKilled(t *testing.T) {
	library := buildFaulty(t)
	t.Run("refuses to stay when it serves", func(t *testing.T) {
		p := newParent(t, executable(t), config(newToken(t, t.TempDir())))
		p.kill(p.worker())
	})
	t.Run("refuses to stay when it is stopped", func(t *testing.T) {
		p := newParent(t, executable(t), config(newToken(t, t.TempDir())))
		worker := p.worker()
		if err := syscall.Kill(worker, syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		p.kill(worker)
	})
	// The system's help can be lost on the way, as where the file of the program has capabilities.
	helpless := filepath.Join(t.TempDir(), "worker")
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Fatalf("%v; run: apt-get install util-linux", err)
	}
	if err := os.WriteFile(helpless, fmt.Appendf(nil, "#!/bin/sh\nexec /usr/bin/setpriv --pdeathsig clear '%s' \"$@\"\n", executable(t)), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ call, program, name string }{
		{"C_Initialize", "", "C_Initialize"}, {"C_OpenSession", "", "C_OpenSession"}, {"C_Login", "", "C_Login"},
		{"C_Login", helpless, "C_Login without the system's help"},
	} {
		t.Run("refuses to stay when it hangs in "+test.name, func(t *testing.T) {
			call := test.call
			m := newFaulty(t, library, newToken(t, t.TempDir()))
			m.config.Executable = test.program
			m.fails(call + " hang")
			p := newParent(t, executable(t), m.config)
			worker := p.child()
			for began := time.Now(); m.faults() == 0; time.Sleep(10 * time.Millisecond) {
				if time.Since(began) > 10*time.Second {
					t.Fatal("the module does not hang")
				}
			}
			p.kill(worker)
		})
	}
}

// TestWorkerOutlivesTheThread: the system takes the thread that started a process for its parent (prctl(2)); a worker does
// not end with the goroutine and the thread that asked for it.
//
// Covers: FD-93.
func TestWorkerOutlivesTheThread(t *testing.T) {
	type started struct {
		ask    func() error
		thread int
		err    error
	}
	c, s := config(newToken(t, t.TempDir())), started{}
	for s.thread == 0 || s.thread == os.Getpid() { // the first thread of a process does not end
		starting := make(chan started)
		go func() {
			runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
			ask, end, err := pkcs11.StartWorker(t.Context(), c)
			if err == nil {
				t.Cleanup(end)
			}
			starting <- started{ask, syscall.Gettid(), err}
		}()
		if s = <-starting; s.err != nil {
			t.Fatal(s.err)
		}
	}
	gone := func() bool {
		_, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", s.thread))
		return errors.Is(err, fs.ErrNotExist)
	}
	for began := time.Now(); !gone(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatal("the thread does not end")
		}
	}
	if err := s.ask(); err != nil {
		t.Errorf("when the thread is gone: %v", err)
	}
}

// TestWorkerIsThisProgram: a worker that is replaced is the program that runs, also when its file was removed or replaced by
// another release, which may speak to its workers in another way.
//
// Covers: FD-93.
func TestWorkerIsThisProgram(t *testing.T) {
	for name, change := range map[string]func(file string) error{
		"accepts itself when its file was removed": os.Remove,
		"accepts itself when its file was replaced": func(file string) error {
			if err := os.WriteFile(file+".new", []byte("#!/bin/sh\nexit 7\n"), 0o700); err != nil {
				return err
			}
			return os.Rename(file+".new", file)
		},
	} {
		t.Run(name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "countersign")
			if err := os.Link(executable(t), program); err != nil {
				content, readErr := os.ReadFile(executable(t))
				if err := errors.Join(readErr, os.WriteFile(program, content, 0o700)); err != nil {
					t.Fatal(err)
				}
			}
			p := newParent(t, program, config(newToken(t, t.TempDir())))
			first := p.worker()
			if err := change(program); err != nil {
				t.Fatal(err)
			}
			if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			second := p.worker()
			if second == first {
				t.Errorf("worker %d again", second)
			}
			command, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", second))
			if err != nil || string(command) != "countersign\x00"+pkcs11.WorkerCommand+"\x00" {
				t.Errorf("it shows itself as %q, %v", command, err)
			}
			p.kill(second)
		})
	}
}
