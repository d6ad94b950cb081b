// Package pin reads PINs from files that nobody else can read.
package pin

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"countersign/signer/pkcs11/internal/wire"
)

// Max bounds a PIN, in bytes.
const Max = 255

// Valid reports whether a text can be a PIN, wherever it came from.
func Valid(text string) bool {
	return text != "" && len(text) <= Max && !strings.ContainsAny(text, "\r\n\x00")
}

// Of is the PIN of the first question, or is read from the file that it names.
func Of(h wire.Hello) (string, error) {
	if h.PIN != "" {
		return h.PIN, nil
	}
	return Read(h.PINFile)
}

// Read reads a PIN from a file that nobody else can read. The PIN appears in no error.
func Read(name string) (string, error) {
	file, err := Open(name)
	if err != nil {
		return "", wire.Failf(wire.FailModule, "the PIN file: %v", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, Max+3))
	if err != nil {
		return "", wire.Failf(wire.FailModule, "the PIN file: %v", err)
	}
	pin := strings.TrimRight(string(raw), "\r\n")
	if !Valid(pin) {
		return "", wire.Failf(wire.FailModule, "the PIN file %s must hold the PIN and nothing else", name)
	}
	return pin, nil
}

// Open opens a file that nobody else can read, or says what is wrong with its kind, its mode or its owner.
func Open(name string) (*os.File, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not keep it waiting
	if err != nil {
		return nil, err
	}
	if err := tight(file); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

func tight(file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s cannot be told on this system", file.Name())
	}
	if problem := loose(file.Name(), info.Mode(), owner.Uid, uint32(os.Geteuid())); problem != "" {
		return fmt.Errorf("%s %s", file.Name(), problem)
	}
	return nil
}

// loose says what is wrong with the mode and the owner of a PIN file, or nothing.
func loose(name string, mode fs.FileMode, uid, user uint32) string {
	loose := mode.Perm() & 0o077
	if uid == 0 {
		// systemd shows credentials as root's, readable for the service by its group or an access control list,
		// whose mask shows as the group's right to read (systemd.exec(5), LoadCredential=).
		loose &^= 0o040
	}
	switch {
	case !mode.IsRegular():
		return "is not a regular file"
	case loose != 0:
		return fmt.Sprintf("has mode %04o and others can read it; run: chmod 600 %s", mode.Perm(), filepath.Base(name))
	case uid != user && uid != 0:
		return "belongs to another user; it must belong to the server's user or to root"
	}
	return ""
}
