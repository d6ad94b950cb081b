package systemd_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/systemd"
)

// manager stands in for the service manager.
func manager(t *testing.T) *net.UnixConn {
	t.Helper()
	folder, err := os.MkdirTemp("", "notify") // t.TempDir may be longer than a socket's name can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	name := filepath.Join(folder, "s")
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	t.Setenv("NOTIFY_SOCKET", name)
	return connection
}

func receive(t *testing.T, from *net.UnixConn, within time.Duration) string {
	t.Helper()
	buffer := make([]byte, 200)
	if err := from.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	count, err := from.Read(buffer)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:count])
}

// Covers: NM-105.
func TestNM105Notify(t *testing.T) {
	t.Run("accepts each state", func(t *testing.T) {
		socket := manager(t)
		for state, want := range map[systemd.State]string{systemd.Ready: "READY=1", systemd.Stopping: "STOPPING=1", systemd.Reloading: "RELOADING=1\nMONOTONIC_USEC="} {
			if err := systemd.Notify(state); err != nil {
				t.Fatal(err)
			}
			if got := receive(t, socket, 5*time.Second); !strings.HasPrefix(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
		}
	})
	t.Run("accepts to be run by nobody", func(t *testing.T) {
		t.Setenv("NOTIFY_SOCKET", "")
		if err := systemd.Notify(systemd.Ready); err != nil {
			t.Error(err)
		}
		t.Setenv("WATCHDOG_USEC", "")
		if err := systemd.Watch(t.Context(), func() error { return nil }, nil); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a watchdog that says nothing sensible", func(t *testing.T) {
		t.Setenv("WATCHDOG_USEC", "soon")
		if err := systemd.Watch(t.Context(), func() error { return nil }, nil); err == nil {
			t.Error("it is taken")
		}
	})
	t.Run("refuses to say that it lives while it hangs", func(t *testing.T) {
		socket := manager(t)
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt((100*time.Millisecond).Microseconds(), 10))
		t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
		var hangs atomic.Bool
		ctx, end := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- systemd.Watch(ctx, func() error {
				if hangs.Load() {
					return errors.New("hangs")
				}
				return nil
			}, func(err error) { t.Error(err) })
		}()
		for range 3 {
			if got := receive(t, socket, 5*time.Second); got != "WATCHDOG=1" {
				t.Errorf("%q", got)
			}
		}
		hangs.Store(true)
		for receive(t, socket, 300*time.Millisecond) != "" { // what was on its way
		}
		if got := receive(t, socket, 300*time.Millisecond); got != "" {
			t.Errorf("%q while it hangs", got)
		}
		end()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
