package pkcs11

import (
	"errors"
	"os"
	"syscall"

	"countersign/signer/pkcs11/internal/wire"
)

// roomy gives both ends of a pair room for the largest packet, whatever the system's default.
func roomy(pair [2]int) (ours, theirs *os.File, err error) {
	for _, end := range pair {
		for _, option := range []int{syscall.SO_SNDBUF, syscall.SO_RCVBUF} {
			err = errors.Join(err, syscall.SetsockoptInt(end, syscall.SOL_SOCKET, option, 2*wire.MaxMessage))
		}
	}
	ours, theirs = os.NewFile(uintptr(pair[0]), "worker"), os.NewFile(uintptr(pair[1]), "parent")
	if err != nil {
		return nil, nil, errors.Join(err, ours.Close(), theirs.Close())
	}
	return ours, theirs, nil
}
