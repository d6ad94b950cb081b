package main

import (
	"syscall"
	"testing"
	"time"

	"countersign/bench/servers/serverstest"
)

// TestInterrupted: whoever ends a run finds nothing left of it.
func TestInterrupted(t *testing.T) {
	folder := serverstest.Folder(t)
	program, binary := serverstest.Build(t, folder, "."), serverstest.Build(t, folder, "../../cmd/countersign")
	serverstest.Interrupt(t, "SIGTERM while everybody signs in", syscall.SIGTERM, "starting two nodes", 4*time.Second, program, "-binary", binary)
	serverstest.Interrupt(t, "SIGINT under load", syscall.SIGINT, "loading", 2*time.Second, program, "-binary", binary, "-capacity", "50")
}
