//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// TestWorkerKilled kills workers under load: whatever comes out is right, and it goes on.
func TestWorkerKilled(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	record := generate(t, b, signer.ES256)
	stop := make(chan struct{})
	var good, failed atomic.Int64
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				message := fmt.Appendf(nil, "message %d", i)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				signature, err := b.Sign(ctx, record, message)
				cancel()
				switch {
				case err == nil && !signer.Verify(record.Public, signer.ES256, message, signature):
					t.Error("a wrong signature")
				case err == nil:
					good.Add(1)
				case !errors.Is(err, signer.ErrUnavailable):
					t.Errorf("error %v", err)
				default:
					failed.Add(1)
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	for range 5 {
		time.Sleep(200 * time.Millisecond)
		if pid := b.WorkerPID(); pid != 0 {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Error(err)
			}
		}
	}
	time.Sleep(300 * time.Millisecond)
	before := good.Load()
	for began := time.Now(); good.Load() == before; time.Sleep(10 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Error("no signature in 5 s after the last worker was killed")
			break
		}
	}
	close(stop)
	wait.Wait()
	t.Logf("%d signatures, %d refusals", good.Load(), failed.Load())
}

// stopWorker stops a worker and waits until every thread of it stands still.
func stopWorker(t *testing.T, b *pkcs11.Backend) {
	t.Helper()
	pid := b.WorkerPID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	for range 500 {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
		if err != nil || len(threads) == 0 {
			t.Fatalf("the worker's threads: %v, %v", threads, err)
		}
		moving := 0
		for _, thread := range threads {
			stat, err := os.ReadFile(thread)
			if err == nil && !strings.Contains(string(stat), ") T ") {
				moving++
			}
		}
		if moving == 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("the worker did not stop")
}

// lateness waits for the end of each context and tells how late the latest was noticed. It is what this machine, busy as
// it may be, makes of a deadline without an HSM in it.
func lateness(contexts []context.Context) time.Duration {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var worst time.Duration
	for _, ctx := range contexts {
		wait.Go(func() {
			<-ctx.Done()
			deadline, _ := ctx.Deadline()
			mu.Lock()
			defer mu.Unlock()
			worst = max(worst, time.Since(deadline))
		})
	}
	wait.Wait()
	return worst
}

// TestHang stops the worker under load: callers go at their deadline or before, though the worker reads nothing any more and its
// socket is full; and the next worker serves.
func TestHang(t *testing.T) {
	c := config(newToken(t, t.TempDir()))
	c.SignTimeout = time.Second
	b := open(t, c)
	record := generate(t, b, signer.EdDSA) // which has the whole message sent
	hung := b.WorkerPID()
	stopWorker(t, b)
	message := bytes.Repeat([]byte("m"), 100<<10)
	var contexts []context.Context
	for range 50 {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		contexts = append(contexts, ctx)
	}
	unavoidable := make(chan time.Duration, 1)
	go func() { unavoidable <- lateness(contexts) }()
	var wait sync.WaitGroup
	late := make([]time.Duration, len(contexts))
	for i, ctx := range contexts {
		wait.Go(func() {
			// Those who come when the queue is seen to stand still do not wait at all.
			if _, err := b.Sign(ctx, record, message); !errors.Is(err, signer.ErrUnavailable) && !errors.Is(err, signer.ErrOverloaded) {
				t.Errorf("error %v", err)
			}
			deadline, _ := ctx.Deadline()
			late[i] = time.Since(deadline)
		})
	}
	wait.Wait()
	if worst, control := slices.Max(late), <-unavoidable; worst > control+50*time.Millisecond {
		t.Errorf("a deadline was honoured %s late, without an HSM %s", worst, control)
	}
	long, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if signature, err := b.Sign(long, record, []byte("m")); err != nil || !signer.Verify(record.Public, signer.EdDSA, []byte("m"), signature) {
		t.Errorf("after the hang: %v", err)
	}
	if pid := b.WorkerPID(); pid == hung || pid == 0 {
		t.Errorf("worker %d was replaced by %d", hung, pid)
	}
}

// TestOverload: what does not fit into the queue is refused at once.
func TestOverload(t *testing.T) {
	c := config(newToken(t, t.TempDir()))
	c.Queue = 2
	b := open(t, c)
	record := generate(t, b, signer.ES256)
	stopWorker(t, b)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	var wait sync.WaitGroup
	var overloaded atomic.Int64
	for range 10 {
		wait.Go(func() {
			if _, err := b.Sign(ctx, record, []byte("m")); errors.Is(err, signer.ErrOverloaded) {
				overloaded.Add(1)
			}
		})
	}
	wait.Wait()
	if overloaded.Load() != 8 {
		t.Errorf("%d of 10 refused, want 8", overloaded.Load())
	}
}

// TestOtherToken: a token made again under the same label and PIN holds other keys, and none signs for the old kid.
func TestOtherToken(t *testing.T) {
	folder := t.TempDir()
	token := newToken(t, folder)
	b := open(t, config(token))
	record := generate(t, b, signer.ES256)
	if err := os.RemoveAll(filepath.Join(folder, "tokens")); err != nil {
		t.Fatal(err)
	}
	newToken(t, folder)
	other := open(t, config(token))
	generate(t, other, signer.ES256)
	if _, err := other.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrNoKey) {
		t.Errorf("a new worker: %v", err)
	}
	// The old worker notices that its objects are gone, and its successor finds other ones.
	for range 3 {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		signature, err := b.Sign(ctx, record, []byte("m"))
		cancel()
		if !errors.Is(err, signer.ErrNoKey) || signature != nil {
			t.Errorf("the old worker: %x, %v", signature, err)
		}
	}
}

// TestTokenAwayAndBack: an HSM that is away is an error to be tried again, and when it is back it serves.
func TestTokenAwayAndBack(t *testing.T) {
	folder := t.TempDir()
	b := open(t, config(newToken(t, folder)))
	record := generate(t, b, signer.ES256)
	here, away := filepath.Join(folder, "tokens"), filepath.Join(folder, "away")
	if err := os.Rename(here, away); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(here, 0o700); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		if _, err := b.Sign(t.Context(), record, []byte("m")); !errors.Is(err, signer.ErrUnavailable) {
			t.Errorf("away: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := os.RemoveAll(here); err != nil { // SoftHSM2 may have left something in it
		t.Fatal(err)
	}
	if err := os.Rename(away, here); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for {
		signature, err := b.Sign(t.Context(), record, []byte("m"))
		if err == nil {
			if !signer.Verify(record.Public, signer.ES256, []byte("m"), signature) {
				t.Error("a wrong signature")
			}
			t.Logf("back after %s", time.Since(began))
			return
		}
		if time.Since(began) > 5*time.Second {
			t.Fatalf("5 s after the token was back: %v", err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// TestWorkerEndsWithItsParent: no orphan keeps the HSM's session.
func TestWorkerEndsWithItsParent(t *testing.T) {
	b := open(t, config(newToken(t, t.TempDir())))
	pid := b.WorkerPID()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
			if _, err := b.Sign(t.Context(), signer.Record{ID: strings.Repeat("a", 43), Algorithm: signer.ES256}, nil); !errors.Is(err, signer.ErrUnavailable) {
				t.Errorf("after Close: %v", err)
			}
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the worker is still there")
}
