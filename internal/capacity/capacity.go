// Package capacity says how many connections of clients a process can have open.
package capacity

import (
	"syscall"

	"countersign/internal/config"
)

const (
	// reservedFiles is how many file descriptors are left to everything but connections of clients: files, what the server
	// fetches, and room to start a worker.
	reservedFiles = 96
	// filesPerToken is how many a token's worker takes while it is replaced.
	filesPerToken = 16
	// leastConnections are kept open whatever the limits are.
	leastConnections = 16
)

// Connections is how many connections of clients may be open at once: as configured, or as many as leave the process
// file descriptors to work with, for this issuer and further ones.
func Connections(c *config.Config, further ...*config.Config) (int, error) {
	if c.Limits.Connections > 0 {
		return c.Limits.Connections, nil
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	reserved := reservedFiles
	for _, issuer := range append(further, c) {
		reserved += issuer.Store.MaxConnections + filesPerToken*(1+len(issuer.Signer.Replicas))
	}
	return max(leastConnections, int(min(files.Cur, 1<<20))-reserved), nil
}
