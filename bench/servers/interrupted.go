package servers

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

// Interruptible is a context that ends with the first signal that asks a program to end: from the keyboard, from make or
// a service manager, or since the terminal is gone. Whoever works under it ends what it has started, and removes its files.
func Interruptible() (ctx context.Context, stop func()) {
	return signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
}
