package session

import (
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
)

// minSecret is the size of the least secret, in bytes.
const minSecret = 32

// The parts of what is sealed: a version, which key, the nonce, and the ciphertext.
const (
	sealedVersion = 1
	keyIDSize     = 4
	headSize      = 1 + keyIDSize + chacha20poly1305.NonceSizeX
)

// KeyRing seals with its current key and opens with any. The zero value has no key. It is safe for concurrent use.
type KeyRing struct{ keys []ringKey }

type ringKey struct {
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// NewKeyRing makes a ring of secrets of at least 32 random bytes each. To replace a key, put the new one first and keep the
// previous ones until no session of theirs is left; to do it on several nodes, add the new one behind the current one everywhere
// first. What is sealed is sealed by XChaCha20-Poly1305, whose nonces may be random, with keys derived by HKDF-SHA256.
func NewKeyRing(current []byte, previous ...[]byte) (KeyRing, error) {
	var ring KeyRing
	for i, secret := range append([][]byte{current}, previous...) {
		if len(secret) < minSecret {
			return KeyRing{}, fmt.Errorf("session: secret %d of the key ring has %d bytes; at least %d random ones are needed", i+1, len(secret), minSecret)
		}
		key, err := newRingKey(secret)
		if err != nil {
			return KeyRing{}, err
		}
		for _, other := range ring.keys {
			if other.id == key.id {
				return KeyRing{}, fmt.Errorf("session: secret %d of the key ring is there twice", i+1)
			}
		}
		ring.keys = append(ring.keys, key)
	}
	return ring, nil
}

// RandomKeyRing makes a ring of one random key: what it seals ends with this process.
func RandomKeyRing() KeyRing {
	secret := make([]byte, minSecret)
	rand.Read(secret)
	ring, err := NewKeyRing(secret)
	if err != nil {
		panic(err) // the secret is long enough
	}
	return ring
}

// IsZero reports whether the ring has no key.
func (k KeyRing) IsZero() bool { return len(k.keys) == 0 }

func newRingKey(secret []byte) (ringKey, error) {
	id, err := hkdf.Key(sha256.New, secret, nil, "countersign rp session: key id", keyIDSize)
	if err != nil {
		return ringKey{}, err
	}
	key, err := hkdf.Key(sha256.New, secret, nil, "countersign rp session: XChaCha20-Poly1305", chacha20poly1305.KeySize)
	if err != nil {
		return ringKey{}, err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return ringKey{}, err
	}
	return ringKey{[keyIDSize]byte(id), aead}, nil
}

// Seal encrypts and authenticates. What is sealed for one purpose cannot be opened for another.
func (k KeyRing) Seal(purpose string, plain []byte) []byte {
	key := k.keys[0]
	sealed := make([]byte, headSize, headSize+len(plain)+key.aead.Overhead())
	sealed[0] = sealedVersion
	copy(sealed[1:], key.id[:])
	nonce := sealed[1+keyIDSize : headSize]
	rand.Read(nonce)
	return key.aead.Seal(sealed, nonce, plain, []byte(purpose))
}

var errSealed = errors.New("session: not sealed by this key ring for this purpose")

// Open returns what was sealed for a purpose, and whether the current key did it.
func (k KeyRing) Open(purpose string, sealed []byte) (plain []byte, current bool, err error) {
	if len(sealed) < headSize || sealed[0] != sealedVersion {
		return nil, false, errSealed
	}
	for i, key := range k.keys {
		if !bytes.Equal(key.id[:], sealed[1:1+keyIDSize]) {
			continue
		}
		plain, err := key.aead.Open(nil, sealed[1+keyIDSize:headSize], sealed[headSize:], []byte(purpose))
		if err != nil {
			return nil, false, errSealed
		}
		return plain, i == 0, nil
	}
	return nil, false, errSealed
}

// SealText is [KeyRing.Seal] in base64url, for a cookie.
func (k KeyRing) SealText(purpose string, plain []byte) string {
	return base64.RawURLEncoding.EncodeToString(k.Seal(purpose, plain))
}

// OpenText is [KeyRing.Open] of base64url.
func (k KeyRing) OpenText(purpose, sealed string) (plain []byte, current bool, err error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(sealed)
	if err != nil {
		return nil, false, errSealed
	}
	return k.Open(purpose, raw)
}
