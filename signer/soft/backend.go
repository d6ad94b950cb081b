// Package soft signs and decrypts with keys from an encrypted file, for developing on one machine. Its keys are in the memory of the
// process and can be copied with the file: it is no HSM and pretends to be none. The configuration allows it only for an
// issuer on a loopback name, and never beside an HSM; nothing falls back to it.
package soft

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"sync"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// minPassphrase is the least length of a passphrase, in bytes.
const minPassphrase = 12

// Config is what a [Backend] needs.
type Config struct {
	// File holds the keys; it is made with the first key. It must belong to this user and be readable by nobody else.
	File string
	// PassphraseFile holds the passphrase, under the same rule. Passphrase is the passphrase itself, in its place.
	PassphraseFile string
	Passphrase     pkcs11.PIN
}

// Backend signs with the keys of a file. It implements [signer.Decrypter] and is safe for concurrent use.
type Backend struct {
	config Config

	mu     sync.Mutex
	seal   sealing
	opened bool
	closed bool
	keys   []held
}

// Prepare makes a Backend that reads its file when it is first needed.
func Prepare(config Config) (*Backend, error) {
	if config.File == "" {
		return nil, errors.New("soft: the key file has no name")
	}
	file, err := filepath.Abs(config.File)
	if err != nil {
		return nil, fmt.Errorf("soft: %w", err)
	}
	config.File = file
	return &Backend{config: config}, nil
}

// Connect reads the file. That there is none yet is no error: it then holds no keys.
func (b *Backend) Connect(ctx context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ready(ctx)
}

// ready reads the file unless that has been done. The caller holds mu.
func (b *Backend) ready(ctx context.Context) error {
	switch {
	case b.closed:
		return fmt.Errorf("%w: the key file was closed", signer.ErrUnavailable)
	case ctx.Err() != nil:
		return fmt.Errorf("%w: %w", signer.ErrUnavailable, context.Cause(ctx))
	case b.opened:
		return nil
	}
	return b.read()
}

// Sign implements [signer.Backend].
func (b *Backend) Sign(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	key, err := b.keyFor(ctx, record)
	if err != nil {
		return nil, err
	}
	if record.Algorithm.Decrypts() {
		return nil, fmt.Errorf("soft: the key %s decrypts and does not sign", record.ID)
	}
	return key.sign(message)
}

// Agree implements [signer.Decrypter].
func (b *Backend) Agree(ctx context.Context, record signer.Record, peer []byte) ([]byte, error) {
	key, err := b.keyFor(ctx, record)
	if err != nil {
		return nil, err
	}
	if record.Algorithm != signer.ECDHES {
		return nil, fmt.Errorf("soft: the key %s is not one for ECDH-ES", record.ID)
	}
	return key.agree(peer)
}

// Unwrap implements [signer.Decrypter].
func (b *Backend) Unwrap(ctx context.Context, record signer.Record, wrapped []byte) ([]byte, error) {
	key, err := b.keyFor(ctx, record)
	if err != nil {
		return nil, err
	}
	switch record.Algorithm {
	case signer.RSAOAEP256:
		return key.unwrap(sha256.New(), wrapped)
	case signer.RSAOAEP:
		return key.unwrap(sha1.New(), wrapped)
	}
	return nil, fmt.Errorf("soft: the key %s is not one for RSA-OAEP", record.ID)
}

// keyFor finds a key and refuses its use with an algorithm that is not its own.
func (b *Backend) keyFor(ctx context.Context, record signer.Record) (held, error) {
	key, err := b.find(ctx, record.ID)
	if err != nil {
		return held{}, err
	}
	if !key.record.Algorithm.Does(record.Algorithm) {
		return held{}, fmt.Errorf("soft: the key %s is for %s and not for %s", record.ID, key.record.Algorithm, record.Algorithm)
	}
	return key, nil
}

// SignNow implements [signer.Impatient]: there is nothing to wait for.
func (b *Backend) SignNow(ctx context.Context, record signer.Record, message []byte) ([]byte, error) {
	return b.Sign(ctx, record, message)
}

// find finds a key. An unknown one may just have been made by another process, so the file is read again.
func (b *Backend) find(ctx context.Context, kid string) (held, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(ctx); err != nil {
		return held{}, err
	}
	if at := b.at(kid); at >= 0 {
		return b.keys[at], nil
	}
	if err := b.read(); err != nil {
		return held{}, err
	}
	if at := b.at(kid); at >= 0 {
		return b.keys[at], nil
	}
	return held{}, fmt.Errorf("%w %q in the %s", signer.ErrNoKey, kid, b.Token())
}

func (b *Backend) at(kid string) int {
	return slices.IndexFunc(b.keys, func(k held) bool { return k.record.ID == kid })
}

// Generate makes a key and writes it into the file.
func (b *Backend) Generate(ctx context.Context, alg signer.Algorithm) (signer.Record, error) {
	made, err := newKey(alg)
	if err != nil {
		return signer.Record{}, err
	}
	err = b.change(ctx, func() error {
		b.keys = append(b.keys, made)
		return nil
	})
	return b.shown(made), err
}

// Destroy takes a key out of the file. Copies of the file still hold it.
func (b *Backend) Destroy(ctx context.Context, kid string) error {
	return b.change(ctx, func() error {
		at := b.at(kid)
		if at < 0 {
			return fmt.Errorf("%w %q in the %s", signer.ErrNoKey, kid, b.Token())
		}
		b.keys = slices.Delete(slices.Clone(b.keys), at, at+1)
		return nil
	})
}

// List shows the keys of the file.
func (b *Backend) List(ctx context.Context) ([]pkcs11.Key, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.ready(ctx); err != nil {
		return nil, err
	}
	if err := b.read(); err != nil {
		return nil, err
	}
	list := make([]pkcs11.Key, len(b.keys))
	for i, k := range b.keys {
		list[i] = pkcs11.Key{Record: b.shown(k)}
	}
	return list, nil
}

// Attest says of a key that it is software.
func (b *Backend) Attest(ctx context.Context, kid string) (pkcs11.Attestation, error) {
	key, err := b.find(ctx, kid)
	if err != nil {
		return pkcs11.Attestation{}, err
	}
	return pkcs11.Attestation{
		Module:     pkcs11.Description{Description: Software, Manufacturer: "Countersign"},
		Token:      pkcs11.Description{Label: b.config.File},
		KID:        kid,
		Attributes: map[string]bool{"CKA_SENSITIVE": false, "CKA_EXTRACTABLE": true, "CKA_SIGN": !key.record.Algorithm.Decrypts()},
	}, nil
}

// Software is what attestations call the module.
const Software = "development key file, not an HSM"

// shown is what is known of a key outside the file.
func (b *Backend) shown(k held) signer.Record {
	record := k.record
	record.URIs = []string{b.address(record.ID)}
	return record
}

func (b *Backend) address(kid string) string {
	return (&url.URL{Scheme: "file", Path: b.config.File, Fragment: kid}).String()
}

// Address is where a key lies, as a file URI (RFC 8089): no HSM takes it for one of its own.
func (b *Backend) Address(kid string) (string, error) { return b.address(kid), nil }

// Holds reports whether a key's address is in this file. It does not read the file.
func (b *Backend) Holds(record signer.Record) bool {
	return slices.Contains(record.URIs, b.address(record.ID))
}

// Token is what the file is called.
func (b *Backend) Token() string { return "development key file " + b.config.File }

// Close forgets the keys.
func (b *Backend) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed, b.keys, b.seal = true, nil, sealing{}
	return nil
}
