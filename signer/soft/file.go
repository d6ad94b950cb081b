package soft

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"

	"golang.org/x/crypto/argon2"
)

const (
	blockType     = "COUNTERSIGN DEVELOPMENT KEYS"
	formatVersion = 1
	saltSize      = 16
	nonceSize     = 12
	tagSize       = 16
	// maxFile bounds a key file, in bytes.
	maxFile = 1 << 20
)

// The work of Argon2id (RFC 9106 §4) for one guess at the passphrase; the memory is in KiB.
const (
	passes = 3
	memory = 64 << 10
	lanes  = 1
)

// ErrSealed: the passphrase is another one, or the file was damaged or changed. Which, cannot be told.
var ErrSealed = errors.New("the passphrase does not open it, or it is damaged")

// envelope is a key file as it lies on the disk: version ‖ salt ‖ nonce ‖ AES-256-GCM of the keys, in PEM (RFC 7468 §2).
type envelope struct {
	salt, nonce, sealed []byte
}

// parseEnvelope reads a key file strictly: what [envelope.encode] writes, and nothing around it.
func parseEnvelope(text []byte) (envelope, error) {
	block, _ := pem.Decode(text)
	switch {
	case block == nil || block.Type != blockType:
		return envelope{}, fmt.Errorf("it is not a key file of Countersign, which begins with -----BEGIN %s-----", blockType)
	case len(block.Bytes) < 1+saltSize+nonceSize+tagSize:
		return envelope{}, errors.New("it is cut short")
	case block.Bytes[0] != formatVersion:
		return envelope{}, fmt.Errorf("it has the format %d, and this release reads format %d", block.Bytes[0], formatVersion)
	}
	rest := block.Bytes[1:]
	e := envelope{salt: rest[:saltSize], nonce: rest[saltSize : saltSize+nonceSize], sealed: rest[saltSize+nonceSize:]}
	if !bytes.Equal(e.encode(), text) {
		return envelope{}, errors.New("it holds more than the keys, or other line ends")
	}
	return e, nil
}

// encode writes the file.
func (e envelope) encode() []byte {
	body := append([]byte{formatVersion}, e.salt...)
	body = append(append(body, e.nonce...), e.sealed...)
	return pem.EncodeToMemory(&pem.Block{Type: blockType, Bytes: body})
}

// sealing is a key that was derived from the passphrase and a salt.
type sealing struct {
	salt []byte
	aead cipher.AEAD
}

// ErrNotApproved: FIPS 140-3 is enforced, and a key file is encrypted with what is not approved.
var ErrNotApproved = errors.New("development keys are encrypted with Argon2id, which is not approved by FIPS 140-3; that is enforced here: use an HSM, or SoftHSM2 to try")

// derive takes about a tenth of a second, on purpose.
func derive(passphrase string, salt []byte) (sealing, error) {
	if fips140.Enforced() {
		return sealing{}, ErrNotApproved
	}
	block, err := aes.NewCipher(argon2.IDKey([]byte(passphrase), salt, passes, memory, lanes, 32))
	if err != nil {
		return sealing{}, err
	}
	aead, err := cipher.NewGCM(block)
	return sealing{bytes.Clone(salt), aead}, err
}

// newSealing is for a file that does not exist yet.
func newSealing(passphrase string) (sealing, error) {
	salt := make([]byte, saltSize)
	_, _ = rand.Read(salt) // it never fails
	return derive(passphrase, salt)
}

// associated binds the purpose and the format to the ciphertext.
func associated() []byte { return append([]byte(blockType), formatVersion) }

func (s sealing) seal(plain []byte) envelope {
	nonce := make([]byte, nonceSize)
	_, _ = rand.Read(nonce) // it never fails
	return envelope{salt: s.salt, nonce: nonce, sealed: s.aead.Seal(nil, nonce, plain, associated())}
}

func (s sealing) open(e envelope) ([]byte, error) {
	plain, err := s.aead.Open(nil, e.nonce, e.sealed, associated())
	if err != nil {
		return nil, ErrSealed
	}
	return plain, nil
}
