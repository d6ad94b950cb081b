package main

import (
	"syscall"
	"testing"
	"time"

	"countersign/bench/servers/serverstest"
)

// Covers: FD-138. TestInterrupted: whoever ends the torture, and how, finds nothing left of it.
func TestInterrupted(t *testing.T) {
	folder := serverstest.Folder(t)
	program, binary := serverstest.Build(t, folder, "."), serverstest.Build(t, folder, "../../cmd/countersign")
	store := []string{"-attempts", "1000000000", "-database"}
	for name, test := range map[string]struct {
		signal    syscall.Signal
		later     time.Duration
		arguments []string
	}{
		"SIGINT while PostgreSQL starts":    {syscall.SIGINT, time.Second, append(store, "postgres")},
		"SIGTERM while PostgreSQL is raced": {syscall.SIGTERM, 8 * time.Second, append(store, "postgres")},
		"SIGINT while SQLite is raced":      {syscall.SIGINT, 3 * time.Second, append(store, "sqlite")},
		"SIGTERM while Patroni starts":      {syscall.SIGTERM, 4 * time.Second, append(store, "patroni")},
		"SIGINT while Patroni is raced":     {syscall.SIGINT, 25 * time.Second, append(store, "patroni")},
	} {
		serverstest.Interrupt(t, name, test.signal, "starting", test.later, program, append([]string{"-binary", binary}, test.arguments...)...)
	}
}
