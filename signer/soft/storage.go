package soft

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"syscall"

	"countersign/internal/wholefile"
	"countersign/signer"
	"countersign/signer/pkcs11"
)

// read reads the file again. The caller holds mu.
func (b *Backend) read() error {
	file, err := pkcs11.OpenSecret(b.config.File)
	if errors.Is(err, fs.ErrNotExist) {
		b.keys, b.seal, b.opened = nil, sealing{}, true
		_, err := b.passphrase()
		return err
	}
	if err != nil {
		return fmt.Errorf("%w: the development key file: %w", signer.ErrUnavailable, err)
	}
	defer file.Close()
	keys, err := b.decode(file)
	if err != nil {
		return fmt.Errorf("%w: the development key file %s: %w", signer.ErrUnavailable, b.config.File, err)
	}
	b.keys, b.opened = keys, true
	return nil
}

func (b *Backend) decode(file io.Reader) ([]held, error) {
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxFile {
		return nil, fmt.Errorf("it is larger than %d bytes", maxFile)
	}
	e, err := parseEnvelope(text)
	if err != nil {
		return nil, err
	}
	seal := b.seal
	if !slices.Equal(seal.salt, e.salt) {
		passphrase, err := b.passphrase()
		if err != nil {
			return nil, err
		}
		if seal, err = derive(passphrase, e.salt); err != nil {
			return nil, err
		}
	}
	plain, err := seal.open(e)
	if err != nil {
		return nil, err
	}
	b.seal = seal
	return decodeKeys(plain)
}

func (b *Backend) passphrase() (string, error) {
	text, err := pkcs11.Config{PINFile: b.config.PassphraseFile, PIN: b.config.Passphrase}.UserPIN()
	if err != nil {
		return "", fmt.Errorf("the passphrase: %w", err)
	}
	if len(text) < minPassphrase {
		return "", fmt.Errorf("the passphrase is shorter than %d bytes", minPassphrase)
	}
	return text, nil
}

// change reads the file, changes the keys and writes them, while no other process does.
func (b *Backend) change(ctx context.Context, how func() error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(ctx); err != nil {
		return err
	}
	lock, err := os.OpenFile(b.config.File+".lock", os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	defer lock.Close() // which also unlocks it
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("soft: lock %s: %w", lock.Name(), err)
	}
	if err := b.read(); err != nil {
		return err
	}
	before := slices.Clone(b.keys)
	if err := how(); err != nil {
		b.keys = before
		return err
	}
	if err := b.write(); err != nil {
		b.keys = before
		return err
	}
	return nil
}

// write replaces the file, whole or not at all. The caller holds mu.
func (b *Backend) write() error {
	if b.seal.aead == nil {
		passphrase, err := b.passphrase()
		if err != nil {
			return err
		}
		if b.seal, err = newSealing(passphrase); err != nil {
			return err
		}
	}
	plain, err := encodeKeys(b.keys)
	if err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	if err := wholefile.Write(b.config.File, b.seal.seal(plain).encode(), 0o600); err != nil {
		return fmt.Errorf("soft: %w", err)
	}
	return nil
}
