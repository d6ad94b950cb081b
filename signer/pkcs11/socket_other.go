//go:build !linux

package pkcs11

import (
	"os"
	"syscall"
)

// socketPair makes two connected ends of a stream that no other child process inherits.
func socketPair() (ours, theirs *os.File, err error) {
	pair, err := closedOnExec(syscall.SOCK_STREAM)
	if err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "parent"), nil
}

// packetPair makes two connected ends between which packets go. Between processes of one machine datagrams stay in order
// and none is lost; macOS has no SOCK_SEQPACKET.
func packetPair() (ours, theirs *os.File, err error) {
	pair, err := closedOnExec(syscall.SOCK_DGRAM)
	if err != nil {
		return nil, nil, err
	}
	return roomy(pair)
}

func closedOnExec(kind int) ([2]int, error) {
	syscall.ForkLock.RLock() // no fork comes between making them and marking them
	defer syscall.ForkLock.RUnlock()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, kind, 0)
	if err != nil {
		return pair, err
	}
	syscall.CloseOnExec(pair[0])
	syscall.CloseOnExec(pair[1])
	return pair, nil
}
