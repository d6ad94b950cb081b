package pkcs11

import (
	"os"
	"syscall"
)

// dieWithParent has the system kill a worker whose parent is gone, also one that is stopped or that hangs in its module.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

// itself is the program that runs, also when its file was replaced or removed since.
const itself = "/proc/self/exe"

// ownProgram is what to execute as worker.
func ownProgram() (string, error) {
	if _, err := os.Stat(itself); err == nil {
		return itself, nil
	}
	return os.Executable() // without /proc
}
