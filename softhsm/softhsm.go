// Package softhsm makes SoftHSM2 tokens: for make run, where they stand in for a real HSM, and for tests. SoftHSM2
// keeps its keys in files; production wants hardware.
package softhsm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// modules are the places where distributions put SoftHSM2.
func modules() []string {
	return []string{
		"/usr/lib/softhsm/libsofthsm2.so",                      // Debian, Ubuntu
		"/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",     // Debian, Ubuntu
		"/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",    // Debian, Ubuntu
		"/usr/lib64/pkcs11/libsofthsm2.so",                     // Fedora
		"/usr/lib/pkcs11/libsofthsm2.so",                       // Arch
		"/opt/homebrew/opt/softhsm/lib/softhsm/libsofthsm2.so", // macOS
		"/usr/local/opt/softhsm/lib/softhsm/libsofthsm2.so",    // macOS
	}
}

// ErrMissing: SoftHSM2 is not installed.
var ErrMissing = errors.New("SoftHSM2 is not installed; run: apt-get install softhsm2")

// Module finds SoftHSM2's PKCS#11 module; ErrMissing when it is in none of the usual places.
func Module() (string, error) {
	for _, file := range modules() {
		if _, err := os.Stat(file); err == nil {
			return file, nil
		}
	}
	return "", ErrMissing
}

// Token is a token in a folder of its own.
type Token struct {
	// Module is the PKCS#11 module.
	Module string
	// Label is the token's label, and URI its RFC 7512 address.
	Label, URI string
	// PINFile and SOPINFile hold the PINs; only this user can read them.
	PINFile, SOPINFile string
	// Environment is what the module needs to find the token.
	Environment map[string]string
}

// Initialise makes a token in a free slot of a module and sets its PINs from files. It is given by the caller, so that
// the PINs go the way of all PINs and never onto a command line.
type Initialise func(ctx context.Context, module string, environment map[string]string, label, soPINFile, pinFile string) error

// Create makes a token in a folder, or finds the one that it made there before. label must need no escaping in a URI.
func Create(ctx context.Context, folder, label string, initialise Initialise) (Token, error) {
	module, err := Module()
	if err != nil {
		return Token{}, err
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	tokens, configuration := filepath.Join(folder, "tokens"), filepath.Join(folder, "softhsm2.conf")
	token := Token{
		Module: module, Label: label, URI: "pkcs11:token=" + label,
		PINFile: filepath.Join(folder, "pin"), SOPINFile: filepath.Join(folder, "so-pin"),
		Environment: map[string]string{"SOFTHSM2_CONF": configuration},
	}
	done := filepath.Join(folder, "initialised")
	if _, err := os.Stat(done); err == nil {
		return token, nil
	}
	if err := os.MkdirAll(tokens, 0o700); err != nil {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	if err := os.WriteFile(configuration, []byte(text), 0o600); err != nil {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	for _, file := range []string{token.PINFile, token.SOPINFile} {
		if err := writePIN(file); err != nil {
			return Token{}, fmt.Errorf("softhsm: %w", err)
		}
	}
	if err := initialise(ctx, module, token.Environment, label, token.SOPINFile, token.PINFile); err != nil {
		return Token{}, fmt.Errorf("softhsm: make the token %q in %s: %w", label, tokens, err)
	}
	if err := os.WriteFile(done, nil, 0o600); err != nil {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	return token, nil
}

// writePIN writes a random PIN of 16 characters, unless there is one already.
func writePIN(file string) error {
	if _, err := os.Stat(file); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(file, []byte(rand.Text()[:16]+"\n"), 0o600)
}
