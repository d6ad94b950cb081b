//go:build !linux

package pkcs11

import (
	"os"
	"syscall"
)

// socketPair makes two connected ends that no other child process inherits.
func socketPair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // no fork comes between making them and marking them
	defer syscall.ForkLock.RUnlock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	return os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "parent"), nil
}
