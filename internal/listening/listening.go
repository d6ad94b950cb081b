// Package listening opens the ports and sockets that the server listens at.
package listening

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"

	"countersign/internal/config/value"
)

// Open opens a TCP port, or a unix socket that its owner and group may use; plain says that it is one, on which nothing has to be
// encrypted.
func Open(ctx context.Context, address string) (opened net.Listener, plain bool, err error) {
	name, plain := strings.CutPrefix(address, value.SocketPrefix)
	if !plain {
		opened, err = new(net.ListenConfig).Listen(ctx, "tcp", address)
		return opened, false, err
	}
	// A server that was killed leaves its socket behind. One that answers is another server's.
	if info, err := os.Lstat(name); err == nil && info.Mode().Type() == fs.ModeSocket {
		if other, err := new(net.Dialer).DialContext(ctx, "unix", name); err == nil {
			return nil, true, errors.Join(errors.New("another program uses this socket"), other.Close())
		}
		if err := os.Remove(name); err != nil {
			return nil, true, err
		}
	}
	if opened, err = new(net.ListenConfig).Listen(ctx, "unix", name); err != nil {
		return nil, true, err
	}
	if err := os.Chmod(name, 0o660); err != nil {
		return nil, true, errors.Join(err, opened.Close())
	}
	return opened, true, nil
}

// Error says in the operator's words why an address of a listener cannot be opened. key is that of the configuration.
func Error(key, address string, err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s: another program uses %s; end it, or choose another port in the configuration", key, address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: this user may not open %s; ports below 1024 need CAP_NET_BIND_SERVICE", key, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s: this machine does not have the address %s", key, address)
	}
	return fmt.Errorf("%s: %w", key, err)
}
