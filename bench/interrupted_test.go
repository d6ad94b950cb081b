package main

import (
	"syscall"
	"testing"
	"time"

	"countersign/bench/servers/serverstest"
)

// Covers: FD-138. TestInterrupted: whoever ends a measurement, and how, finds nothing left of it.
func TestInterrupted(t *testing.T) {
	folder := serverstest.Folder(t)
	program, binary := serverstest.Build(t, folder, "."), serverstest.Build(t, folder, "../cmd/countersign")
	for name, test := range map[string]struct {
		signal    syscall.Signal
		word      string
		later     time.Duration
		arguments []string
	}{
		"SIGINT while a server starts":           {syscall.SIGINT, "starting", 500 * time.Millisecond, []string{"-servers", "sqlite"}},
		"SIGTERM while a server starts":          {syscall.SIGTERM, "starting countersign postgres", time.Second, []string{"-servers", "postgres"}},
		"SIGTERM while it measures":              {syscall.SIGTERM, "warming", 2 * time.Second, []string{"-servers", "postgres"}},
		"SIGHUP while it measures":               {syscall.SIGHUP, "warming", time.Second, []string{"-servers", "sqlite"}},
		"SIGTERM while databases are filled":     {syscall.SIGTERM, "starting PostgreSQL", 3 * time.Second, []string{"-growth", "100000,1000000"}},
		"SIGINT while databases are filled":      {syscall.SIGINT, "starting PostgreSQL", 3 * time.Second, []string{"-growth", "100000,1000000"}},
		"SIGTERM while a floor is loaded":        {syscall.SIGTERM, "warming", 2 * time.Second, []string{"-servers", "floor"}},
		"SIGTERM while a file is filled":         {syscall.SIGTERM, "loading", time.Second, []string{"-growth", "1000000,2000000", "-growth-store", "sqlite"}},
		"SIGINT while grown databases are tried": {syscall.SIGINT, "starting PostgreSQL with 20 grants", 3 * time.Second, []string{"-growth", "10,20"}},
	} {
		serverstest.Interrupt(t, name, test.signal, test.word, test.later, program, append([]string{"-binary", binary}, test.arguments...)...)
	}
}
