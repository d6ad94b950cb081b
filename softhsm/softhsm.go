// Package softhsm makes SoftHSM2 tokens, for development and for tests, where they take the place of a real HSM.
//
// [Create] makes a token in a folder of its own, with random PINs in files that only this user can read, or finds the one
// that it made there before:
//
//	token, err := softhsm.Create(ctx, "local/hsm", "countersign", pkcs11.InitialiseToken)
//	...
//	backend, err := pkcs11.Open(ctx, pkcs11.Config{
//		Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment,
//	})
//
// The caller provides what initialises a token (PKCS #11 v3.1 §5.5.7, C_InitToken): [Initialise], so that PINs go the way
// of all PINs and never onto a command line. SoftHSM2 has to be installed; [Module] finds it where distributions put it.
//
// SoftHSM2 keeps its keys in files that can be copied: production wants hardware. The package makes no keys and signs
// nothing; signer/pkcs11 does.
package softhsm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
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

// variable names the environment variable in which SoftHSM2 looks for its configuration.
const variable = "SOFTHSM2_CONF"

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

// Create makes a token in a folder, or finds the one that it made there before. label is at most 32 letters, digits,
// dots, dashes and underscores. A Create that is interrupted leaves no half of a token: the next one begins afresh.
func Create(ctx context.Context, folder, label string, initialise Initialise) (Token, error) {
	if !validLabel(label) {
		return Token{}, fmt.Errorf("softhsm: the label %q is not 1 to 32 letters, digits, dots, dashes and underscores", label)
	}
	module, err := Module()
	if err != nil {
		return Token{}, err
	}
	folder, err = filepath.Abs(folder)
	if err != nil {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	tokens := filepath.Join(folder, "tokens")
	token := Token{
		Module: module, Label: label, URI: "pkcs11:token=" + label,
		PINFile: filepath.Join(folder, "pin"), SOPINFile: filepath.Join(folder, "so-pin"),
		Environment: map[string]string{variable: filepath.Join(folder, "softhsm2.conf")},
	}
	made, err := os.ReadDir(tokens) // an empty folder holds no token
	if err == nil && len(made) > 0 {
		return token, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Token{}, fmt.Errorf("softhsm: %w", err)
	}
	if err := build(ctx, token, folder, initialise); err != nil {
		return Token{}, fmt.Errorf("softhsm: make the token %q in %s: %w", label, tokens, err)
	}
	return token, nil
}

// build makes the token beside its place and then moves it there, which is what makes it exist.
func build(ctx context.Context, token Token, folder string, initialise Initialise) error {
	tokens, unfinished := filepath.Join(folder, "tokens"), filepath.Join(folder, "tokens.unfinished")
	if err := os.RemoveAll(unfinished); err != nil {
		return err
	}
	if err := os.MkdirAll(unfinished, 0o700); err != nil {
		return err
	}
	for _, file := range []string{token.PINFile, token.SOPINFile} {
		if err := writePIN(file); err != nil {
			return err
		}
	}
	configuration := filepath.Join(folder, "softhsm2.unfinished.conf")
	if err := writeConfiguration(configuration, unfinished); err != nil {
		return err
	}
	if err := initialise(ctx, token.Module, map[string]string{variable: configuration}, token.Label, token.SOPINFile, token.PINFile); err != nil {
		return err
	}
	if err := writeConfiguration(token.Environment[variable], tokens); err != nil {
		return err
	}
	if err := os.Remove(configuration); err != nil {
		return err
	}
	return os.Rename(unfinished, tokens)
}

func writeConfiguration(file, tokens string) error {
	text := fmt.Sprintf("directories.tokendir = %s\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n", tokens)
	return os.WriteFile(file, []byte(text), 0o600)
}

// writePIN writes a random PIN of 16 characters, unless there is one already.
func writePIN(file string) error {
	info, err := os.Stat(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err == nil && info.Size() > 0 { // an empty one is what an interruption left
		return nil
	}
	return os.WriteFile(file, []byte(rand.Text()[:16]+"\n"), 0o600)
}

// validLabel reports whether a label fits into a token and needs no escaping in an address.
func validLabel(label string) bool {
	for _, b := range []byte(label) {
		if !(b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b >= '0' && b <= '9' || b == '.' || b == '-' || b == '_') {
			return false
		}
	}
	return len(label) > 0 && len(label) <= 32
}

// Damaged lists the files of SoftHSM2's tokens that are empty. SoftHSM2 writes its files in place, so that one may be empty
// after a power cut, a full disk or a kill; an empty token.object hides the whole token. environment is that of the module;
// without a configuration in it there is nothing to look at.
func Damaged(environment map[string]string) ([]string, error) {
	configuration := environment[variable]
	if configuration == "" {
		return nil, nil
	}
	text, err := os.ReadFile(configuration)
	if err != nil {
		return nil, fmt.Errorf("softhsm: %w", err)
	}
	var damaged []string
	for line := range strings.Lines(string(text)) {
		name, folder, found := strings.Cut(line, "=")
		if !found || strings.TrimSpace(name) != "directories.tokendir" {
			continue
		}
		objects, err := filepath.Glob(filepath.Join(strings.TrimSpace(folder), "*", "*.object"))
		if err != nil {
			return nil, fmt.Errorf("softhsm: %w", err)
		}
		for _, object := range objects {
			if info, err := os.Stat(object); err == nil && info.Size() == 0 {
				damaged = append(damaged, object)
			}
		}
	}
	return damaged, nil
}
