//go:build !linux

package pkcs11

import (
	"os"
	"syscall"
)

// dieWithParent asks for nothing where the system has nothing of the kind: a worker reads its socket.
func dieWithParent() *syscall.SysProcAttr { return nil }

// ownProgram is what to execute as worker.
func ownProgram() (string, error) { return os.Executable() }
