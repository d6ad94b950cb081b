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
		"accepts SIGINT while PostgreSQL starts":    {syscall.SIGINT, time.Second, append(store, "postgres")},
		"accepts SIGTERM while PostgreSQL is raced": {syscall.SIGTERM, 8 * time.Second, append(store, "postgres")},
		"accepts SIGINT while SQLite is raced":      {syscall.SIGINT, 3 * time.Second, append(store, "sqlite")},
		"accepts SIGTERM while Patroni starts":      {syscall.SIGTERM, 4 * time.Second, append(store, "patroni")},
		"accepts SIGINT while Patroni is raced":     {syscall.SIGINT, 25 * time.Second, append(store, "patroni")},
	} {
		t.Run(name, func(t *testing.T) {
			serverstest.Interrupt(t, test.signal, "starting", test.later, program, append([]string{"-binary", binary}, test.arguments...)...)
		})
	}
}
