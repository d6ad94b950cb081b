package pkcs11

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// maxPIN bounds a PIN, in bytes.
const maxPIN = 255

// PIN is a user PIN that came by another way than a file. It shows itself in no text, log line or JSON.
type PIN struct{ text string }

const redactedPIN = "[PIN]"

// NewPIN holds a PIN to what a token takes: 1 to 255 bytes in one line. The PIN is not in the error.
func NewPIN(text string) (PIN, error) {
	if !isPIN(text) {
		return PIN{}, fmt.Errorf("pkcs11: a PIN is one line of 1 to %d bytes", maxPIN)
	}
	return PIN{text}, nil
}

// isPIN reports whether a text can be a PIN, wherever it came from.
func isPIN(text string) bool {
	return text != "" && len(text) <= maxPIN && !strings.ContainsAny(text, "\r\n\x00")
}

// Format implements [fmt.Formatter], for every verb.
func (PIN) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redactedPIN) }

// MarshalJSON implements json.Marshaler.
func (PIN) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedPIN + `"`), nil }

// LogValue implements [slog.LogValuer].
func (PIN) LogValue() slog.Value { return slog.StringValue(redactedPIN) }

// pin is the one of the first question, or is read from the file that it names.
func (h hello) pin() (string, error) {
	if h.PIN != "" {
		return h.PIN, nil
	}
	return readPIN(h.PINFile)
}

// readPIN reads a PIN from a file that nobody else can read. The PIN appears in no error.
func readPIN(name string) (string, error) {
	file, err := OpenSecret(name)
	if err != nil {
		return "", failf(failModule, "the PIN file: %v", err)
	}
	defer file.Close()
	raw, err := io.ReadAll(io.LimitReader(file, maxPIN+3))
	if err != nil {
		return "", failf(failModule, "the PIN file: %v", err)
	}
	pin := strings.TrimRight(string(raw), "\r\n")
	if !isPIN(pin) {
		return "", failf(failModule, "the PIN file %s must hold the PIN and nothing else", name)
	}
	return pin, nil
}

// OpenSecret opens a file that nobody else can read, or says what is wrong with its kind, its mode or its owner.
func OpenSecret(name string) (*os.File, error) {
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
	if problem := loosePIN(file.Name(), info.Mode(), owner.Uid, uint32(os.Geteuid())); problem != "" {
		return fmt.Errorf("%s %s", file.Name(), problem)
	}
	return nil
}

// loosePIN says what is wrong with the mode and the owner of a PIN file, or nothing.
func loosePIN(name string, mode fs.FileMode, uid, user uint32) string {
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
