//go:build cgo && !nopkcs11

package crypto11_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// serve has a p11-kit server show a token, and gives how to reach it and how to signal the process behind the
// connection.
func serve(t *testing.T, c pkcs11.Config) (pkcs11.Config, func(syscall.Signal)) {
	t.Helper()
	client, err := filepath.Glob("/usr/lib/*/pkcs11/p11-kit-client.so")
	if err != nil || len(client) == 0 {
		t.Fatal("p11-kit's client is not installed; run: apt-get install p11-kit p11-kit-modules")
	}
	folder, err := os.MkdirTemp("", "p11") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(folder) })
	socket := filepath.Join(folder, "s")
	server := exec.Command("p11-kit", "server", "--foreground", "--provider", c.Module, "--name", socket, c.Token)
	server.Env = os.Environ()
	for name, value := range c.Environment {
		server.Env = append(server.Env, name+"="+value)
	}
	if err := server.Start(); err != nil {
		t.Fatalf("p11-kit server: %v; run: apt-get install p11-kit", err)
	}
	signal := func(s syscall.Signal) {
		t.Helper()
		children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", server.Process.Pid))
		if err != nil || len(children) == 0 {
			t.Fatalf("the p11-kit server serves no connection: %v", err)
		}
		for child := range strings.FieldsSeq(string(children)) {
			pid, err := strconv.Atoi(child)
			if err == nil {
				err = syscall.Kill(pid, s)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		_ = server.Process.Kill() // it may be gone
		_ = server.Wait()
	})
	deadline := time.Now().Add(5 * time.Second)
	for _, err := os.Stat(socket); err != nil; _, err = os.Stat(socket) {
		if time.Now().After(deadline) {
			t.Fatal("the p11-kit server did not open its socket")
		}
		time.Sleep(10 * time.Millisecond)
	}
	c.Module, c.Environment = copied(t, client[0]), map[string]string{"P11_KIT_SERVER_ADDRESS": "unix:path=" + socket}
	return c, signal
}

// TestHang: a module that hangs keeps nobody beyond his deadline, holds no more goroutines than there are sessions, and
// lets others in when it goes on.
func TestHang(t *testing.T) {
	direct := newConfig(t)
	record, err := open(t, direct).Generate(t.Context(), signer.ES256)
	if err != nil {
		t.Fatal(err)
	}
	c, signal := serve(t, direct)
	c.Sessions, c.Queue, c.SignTimeout = 2, 1, 30*time.Second
	b := open(t, c)
	if _, err := b.Sign(t.Context(), record, []byte("m")); err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	signal(syscall.SIGSTOP)
	for i := range 5 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		began := time.Now()
		_, err := b.Sign(ctx, record, []byte("m"))
		cancel()
		// The first calls are in the module; who comes when nothing moves any more does not wait.
		inside := errors.Is(err, signer.ErrUnavailable) && errors.Is(err, context.DeadlineExceeded)
		if i < c.Sessions && !inside || !errors.Is(err, signer.ErrUnavailable) && !errors.Is(err, signer.ErrOverloaded) {
			t.Errorf("caller %d: %v, want ErrUnavailable", i, err)
		}
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("caller %d waited %s", i, took)
		}
	}
	// Who gave up has told his caller before his goroutine ends.
	left := runtime.NumGoroutine() - before
	for began := time.Now(); left > c.Sessions && time.Since(began) < 10*time.Second; left = runtime.NumGoroutine() - before {
		time.Sleep(time.Millisecond)
	}
	if left > c.Sessions {
		t.Errorf("%d goroutines were left behind, want at most %d", left, c.Sessions)
	}

	// One may wait; the next is told to come later.
	ctx, cancel := context.WithCancel(t.Context())
	waits := make(chan error)
	go func() {
		err := signer.ErrOverloaded
		for errors.Is(err, signer.ErrOverloaded) { // until it has the place
			_, err = b.Sign(ctx, record, []byte("m"))
		}
		waits <- err
	}()
	err = nil
	for began := time.Now(); !errors.Is(err, signer.ErrOverloaded) && time.Since(began) < 10*time.Second; {
		short, stop := context.WithTimeout(t.Context(), time.Millisecond)
		_, err = b.Sign(short, record, []byte("m"))
		stop()
	}
	if !errors.Is(err, signer.ErrOverloaded) {
		t.Errorf("with a full queue: %v, want ErrOverloaded", err)
	}
	cancel()
	if err := <-waits; !errors.Is(err, signer.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the one who waited: %v", err)
	}

	signal(syscall.SIGCONT)
	signature, err := b.Sign(t.Context(), record, []byte("m"))
	if err != nil || !signer.Verify(record.Public, record.Algorithm, []byte("m"), signature) {
		t.Errorf("after the module went on: %v", err)
	}
}
