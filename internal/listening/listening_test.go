package listening_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"countersign/internal/config/value"
	"countersign/internal/listening"
)

// TestOpen: a socket that a killed server left is replaced, and one that answers is not.
func TestOpen(t *testing.T) {
	folder, err := os.MkdirTemp("", "socket") // t.TempDir may be longer than a socket's name can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	name := filepath.Join(folder, "s")
	first, plain, err := listening.Open(t.Context(), value.SocketPrefix+name)
	if err != nil || !plain {
		t.Fatalf("plain is %v, %v", plain, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if _, _, err := listening.Open(t.Context(), value.SocketPrefix+name); err == nil || !strings.Contains(err.Error(), "another program uses this socket") {
		t.Errorf("a socket that answers: %v", err)
	}
	first.(interface{ SetUnlinkOnClose(bool) }).SetUnlinkOnClose(false) // as a kill leaves it
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, _, err := listening.Open(t.Context(), value.SocketPrefix+name)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

func TestError(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{syscall.EADDRINUSE, "listen.address: another program uses 127.0.0.1:80; end it, or choose another port in the configuration"},
		{syscall.EACCES, "listen.address: this user may not open 127.0.0.1:80; ports below 1024 need CAP_NET_BIND_SERVICE"},
		{syscall.EADDRNOTAVAIL, "listen.address: this machine does not have the address 127.0.0.1:80"},
		{errors.New("something"), "listen.address: something"},
	} {
		if got := listening.Error("listen.address", "127.0.0.1:80", test.err).Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}
