//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/signer/signertest"
)

// softHSM lists RSA-OAEP, but with SHA-1 only.
func softHSM() candidate {
	return candidate{
		Module: signertest.Module{
			Name: "SoftHSM2", Has: append(algorithms(), signer.ECDHES, signer.RSAOAEP), ListsInVain: []signer.Algorithm{signer.RSAOAEP256},
		},
		install: func(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
			folder := t.TempDir()
			return config(newToken(t, folder)), func(t testing.TB) func() { return moved(t, filepath.Join(folder, "tokens")) }
		},
	}
}

// Covers: LX-03. SoftHSM2 is held to the contract of all modules: RSA-OAEP with SHA-1 is among what it does.
func TestContractSoftHSM(t *testing.T) { softHSM().hold(t) }

// remote is SoftHSM2 behind a p11-kit server, the nearest thing here to an HSM at the other end of a network.
type remote struct {
	t       testing.TB
	command *exec.Cmd
	config  pkcs11.Config
	start   func()
}

func newRemote(t testing.TB) *remote {
	t.Helper()
	module, err := filepath.Glob("/usr/lib/*/pkcs11/p11-kit-client.so")
	if err != nil || len(module) == 0 {
		t.Fatal("p11-kit's client is not installed; run: apt-get install p11-kit p11-kit-modules")
	}
	token := newToken(t, t.TempDir())
	folder, err := os.MkdirTemp("", "p11") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	r := &remote{t: t, config: config(token)}
	r.config.Module, r.config.Environment = module[0], map[string]string{"P11_KIT_SERVER_ADDRESS": "unix:path=" + socket}
	r.start = func() {
		t.Helper()
		if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		r.command = exec.Command("p11-kit", "server", "--foreground", "--provider", token.Module, "--name", socket, token.URI)
		for name, value := range token.Environment {
			r.command.Env = append(os.Environ(), name+"="+value)
		}
		if err := r.command.Start(); err != nil {
			t.Fatalf("p11-kit server: %v; run: apt-get install p11-kit", err)
		}
		for range 500 {
			if _, err := os.Stat(socket); err == nil {
				return
			}
			time.Sleep(10 * time.Millisecond)
		}
		t.Fatal("the p11-kit server did not open its socket")
	}
	r.start()
	t.Cleanup(r.stop)
	return r
}

// signal reaches the server's process for each connection.
func (r *remote) signal(signal syscall.Signal) {
	r.t.Helper()
	children, err := os.ReadFile("/proc/" + strconv.Itoa(r.command.Process.Pid) + "/task/" + strconv.Itoa(r.command.Process.Pid) + "/children")
	if err != nil {
		r.t.Fatal(err)
	}
	if len(strings.Fields(string(children))) == 0 {
		r.t.Fatal("the p11-kit server serves no connection")
	}
	for _, child := range strings.Fields(string(children)) {
		pid, err := strconv.Atoi(child)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			r.t.Fatal(err)
		}
	}
}

// stop ends the server, and its processes that were stopped and would stay.
func (r *remote) stop() {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", r.command.Process.Pid)) // it may be gone
	for child := range strings.FieldsSeq(string(children)) {
		if pid, err := strconv.Atoi(child); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	_ = r.command.Process.Kill() // it may be gone
	_ = r.command.Wait()
}

// behindP11Kit: p11-kit passes on neither EdDSA nor the list of a key's mechanisms, and ECDH from 0.25 on. RSA-OAEP is
// SoftHSM2's.
func behindP11Kit() candidate {
	has := []signer.Algorithm{signer.PS256, signer.ES256}
	if old, err := filepath.Glob("/usr/lib/*/libp11-kit.so.0.3.*"); err == nil && len(old) == 0 { // 0.24 and before
		has = append(has, signer.ECDHES)
	}
	return candidate{
		Module: signertest.Module{
			Name: "p11-kit remote", Has: append(has, signer.RSAOAEP),
			ListsInVain: []signer.Algorithm{signer.RSAOAEP256}, Unpinned: true,
		},
		install: func(t testing.TB) (pkcs11.Config, func(testing.TB) func()) {
			r := newRemote(t)
			return r.config, func(testing.TB) func() { r.stop(); return r.start }
		},
	}
}

func TestContractRemote(t *testing.T) { behindP11Kit().hold(t) }

// TestRemoteDies: the far end of the connection dies again and again, and signing goes on.
func TestRemoteDies(t *testing.T) {
	r := newRemote(t)
	b := open(t, r.config)
	record := generate(t, b, signer.ES256)
	for i := range 8 { // within what is allowed to start in five seconds
		r.signal(syscall.SIGKILL)
		signature, err := b.Sign(t.Context(), record, []byte("m"))
		if err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
			t.Fatalf("after death %d: %v", i+1, err)
		}
	}
}

// TestRemoteIsAway: without its server the HSM is unavailable, at once and not after a time-out; with the server it is
// back within the pause between two tries.
func TestRemoteIsAway(t *testing.T) {
	r := newRemote(t)
	b := open(t, r.config)
	record := generate(t, b, signer.ES256)
	r.signal(syscall.SIGKILL)
	r.stop()
	for range 3 {
		if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable", err)
		}
	}
	r.start()
	began := time.Now()
	for {
		if _, err := b.Sign(t.Context(), record, []byte("m")); err == nil {
			break
		} else if !errors.Is(err, signer.ErrUnavailable) || time.Since(began) > 10*time.Second {
			t.Fatalf("%s after it was back: %v", time.Since(began), err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("it signed %s after it was back", time.Since(began).Round(time.Millisecond))
}

// TestRemoteHangs: a connection that stands still keeps nobody beyond his deadline, and is replaced.
func TestRemoteHangs(t *testing.T) {
	r := newRemote(t)
	c := r.config
	c.SignTimeout = 500 * time.Millisecond
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	r.signal(syscall.SIGSTOP)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := b.Sign(ctx, record, []byte("m"))
	deadline, _ := ctx.Deadline()
	late := time.Since(deadline)
	// What the machine makes of any deadline is not the backend's; the rest is at most 50 ms.
	if allowed := 50*time.Millisecond + lateness([]context.Context{ctx}); !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || late > allowed {
		t.Errorf("got %v, %s after the deadline", err, late)
	}
	pid := b.WorkerPID()
	if _, err := b.Sign(t.Context(), record, []byte("m")); err != nil {
		t.Errorf("the next connection: %v", err)
	}
	if b.WorkerPID() == pid {
		t.Error("the worker that hung is still there")
	}
}

// TestRemoteUnderLoad: the far end dies and stands still while many sign. Nothing wrong comes out, nobody waits beyond his
// deadline, and signing goes on each time.
func TestRemoteUnderLoad(t *testing.T) {
	r := newRemote(t)
	c := r.config
	c.SignTimeout = 400 * time.Millisecond
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var (
		all          sync.WaitGroup
		good, failed atomic.Int64
	)
	for range 8 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				message := fmt.Append(nil, i)
				limited, done := context.WithTimeout(t.Context(), 250*time.Millisecond)
				unavoidable := make(chan time.Duration, 1)
				go func() { unavoidable <- lateness([]context.Context{limited}) }()
				signature, err := b.Sign(limited, record, message)
				deadline, _ := limited.Deadline()
				late := time.Since(deadline)
				done()
				switch late -= max(<-unavoidable, 0); {
				case late > 50*time.Millisecond:
					t.Errorf("%s after the deadline: %v", late, err)
				case err == nil && !signer.Verify(record.Public, record.Algorithm, message, signature):
					t.Error("a wrong signature")
				case err == nil:
					good.Add(1)
				case !errors.Is(err, signer.ErrUnavailable):
					t.Errorf("error %v", err)
				default:
					failed.Add(1)
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	for _, signal := range []syscall.Signal{syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGKILL, syscall.SIGSTOP} {
		before := good.Load()
		r.signal(signal)
		for began := time.Now(); good.Load() < before+20; time.Sleep(5 * time.Millisecond) {
			if time.Since(began) > 10*time.Second {
				t.Fatalf("10 s after %s there are %d signatures more", signal, good.Load()-before)
			}
		}
	}
	cancel()
	all.Wait()
	t.Logf("%d signatures, %d refusals", good.Load(), failed.Load())
	if failed.Load() == 0 {
		t.Error("nobody noticed")
	}
}
