package release

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// The names of what is signed, and by what it is verified: SSH signatures (PROTOCOL.sshsig of OpenSSH), because every machine that an
// operator has can verify them, and because ssh-agent signs with keys in an HSM.
const (
	sums      = "SHA256SUMS"
	signature = "SHA256SUMS.sig"
	signers   = "allowed_signers"
	// Identity and namespace are what a signature is for: one that was made for something else is none.
	Identity  = "release@countersign"
	namespace = "countersign-release"
)

// ErrUnsigned: the digests are not signed by the key in allowed_signers.
var ErrUnsigned = errors.New("release: SHA256SUMS is not signed by a key in allowed_signers")

// ErrAltered: a file is not the one that was signed, is missing, or was added.
var ErrAltered = errors.New("release: the files are not those that were signed")

// checkKey refuses a key that cannot sign, before anything is built.
func checkKey(ctx context.Context, key string) error {
	if key == "" {
		return errors.New("release: no key to sign with; make one, once: ssh-keygen -t ed25519 -f release-key, and keep it safe (docs/releases.md)")
	}
	command := exec.CommandContext(ctx, "ssh-keygen", "-Y", "sign", "-q", "-f", key, "-n", namespace)
	command.Stdin = strings.NewReader("a trial")
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("release: the key %s does not sign: %w: %s", key, err, bytes.TrimSpace(output))
	}
	return nil
}

// sign writes the digests of all files, signs them, and writes who may have signed.
func (o Options) sign(ctx context.Context) error {
	text, err := digests(o.Out)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(o.Out, sums), text, 0o644); err != nil {
		return err
	}
	if _, err := o.run(ctx, "", nil, "ssh-keygen", "-Y", "sign", "-q", "-f", o.Key, "-n", namespace, filepath.Join(o.Out, sums)); err != nil {
		return err
	}
	public, err := o.run(ctx, "", nil, "ssh-keygen", "-y", "-f", o.Key)
	if err != nil { // a public key, whose other half is elsewhere
		var text []byte
		if text, err = os.ReadFile(o.Key); err != nil {
			return err
		}
		public = string(text)
	}
	fields := strings.Fields(public)
	if len(fields) < 2 {
		return fmt.Errorf("release: %s is no key of OpenSSH", o.Key)
	}
	line := fmt.Sprintf("%s namespaces=%q %s %s\n", Identity, namespace, fields[0], fields[1])
	return os.WriteFile(filepath.Join(o.Out, signers), []byte(line), 0o644)
}

// digests is the content of SHA256SUMS, as sha256sum writes it.
func digests(folder string) ([]byte, error) {
	entries, err := os.ReadDir(folder) // sorted
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	for _, entry := range entries {
		switch entry.Name() {
		case sums, signature, signers:
			continue
		}
		content, err := os.ReadFile(filepath.Join(folder, entry.Name()))
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256(content)
		fmt.Fprintf(&text, "%s  %s\n", hex.EncodeToString(digest[:]), entry.Name())
	}
	return text.Bytes(), nil
}

// Verify holds a folder to its signature, by the allowed_signers in it: the files are all of those that the key there has signed. An
// operator does so with ssh-keygen and sha256sum, and an allowed_signers of before (docs/releases.md). Errors are [ErrUnsigned]
// or [ErrAltered].
func Verify(ctx context.Context, folder string) error {
	text, err := os.ReadFile(filepath.Join(folder, sums))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsigned, err)
	}
	command := exec.CommandContext(ctx, "ssh-keygen", "-Y", "verify", "-f", filepath.Join(folder, signers), "-I", Identity, "-n", namespace,
		"-s", filepath.Join(folder, signature))
	command.Stdin = bytes.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", ErrUnsigned, bytes.TrimSpace(output))
	}
	now, err := digests(folder)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrAltered, err)
	}
	if !bytes.Equal(now, text) {
		return ErrAltered
	}
	return nil
}
