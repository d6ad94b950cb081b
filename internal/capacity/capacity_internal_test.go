package capacity

import (
	"syscall"
	"testing"

	"countersign/internal/config"
)

// TestConnections: what is configured, or what the limit of open files leaves.
//
// Covers: FD-107.
func TestConnections(t *testing.T) {
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	c := &config.Config{}
	c.Store.MaxConnections = 16
	all, err := Connections(c)
	if err != nil || all >= int(before.Cur) || all < leastConnections {
		t.Errorf("%d of %d files, %v", all, before.Cur, err)
	}
	c.Signer.Replicas = make([]config.Replica, 2)
	if fewer, err := Connections(c); err != nil || before.Cur < 1<<20 && all-fewer != 2*filesPerToken {
		t.Errorf("two more tokens leave %d instead of %d, %v", fewer, all, err)
	}
	c.Limits.Connections = 7
	if configured, err := Connections(c); err != nil || configured != 7 {
		t.Errorf("%d, %v; want 7", configured, err)
	}
}
