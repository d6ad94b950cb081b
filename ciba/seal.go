package ciba

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
)

// SealKeySize is the length of a key of a [Sealer], in bytes.
const SealKeySize = 32

// ErrSealed is a notification that none of the keys opens.
var ErrSealed = errors.New("ciba: the notification was sealed with a key that is not known here, or was changed")

// Notification is what a ping says and shows (CIBA Core §10.2), both secrets of the client, and what it is known by in the log.
type Notification struct {
	AuthReqID string `json:"auth_req_id"`
	// Token is the client_notification_token.
	Token string `json:"client_notification_token"`
	// CorrelationID is that of the request that asked for the ping, for the log.
	CorrelationID string `json:"correlation_id,omitempty"`
}

// Sealer keeps notifications closed while they lie in the database. They cannot be kept as digests like all other
// secrets, since both parts of one have to be sent; so the key is somewhere else, and the database alone tells nothing.
type Sealer struct{ keys atomic.Pointer[[][]byte] }

// NewSealer reads keys of 32 bytes in base64url, one a line. The first seals and all open, so that keys can be changed
// while notifications wait. The error repeats no key.
func NewSealer(text []byte) (*Sealer, error) {
	var keys [][]byte
	for i, line := range bytes.Split(bytes.TrimSpace(text), []byte("\n")) {
		key, err := base64.RawURLEncoding.Strict().DecodeString(string(bytes.TrimSpace(line)))
		if err != nil || len(key) != SealKeySize {
			return nil, fmt.Errorf("ciba: line %d of the keys is not %d bytes in base64url without padding", i+1, SealKeySize)
		}
		keys = append(keys, key)
	}
	s := &Sealer{}
	s.keys.Store(&keys)
	return s, nil
}

// Replace has s seal and open with the keys of another, from now on.
func (s *Sealer) Replace(by *Sealer) { s.keys.Store(by.keys.Load()) }

// Seal closes a notification of the request with an ID.
func (s *Sealer) Seal(request [32]byte, n Notification) ([]byte, error) {
	plain, err := json.Marshal(n)
	if err != nil {
		return nil, err
	}
	sealed, err := cipherFor((*s.keys.Load())[0], request)
	if err != nil {
		return nil, err
	}
	return sealed.Seal(nil, nil, plain, request[:]), nil
}

// Open opens what Seal closed, for the same request only; [ErrSealed] otherwise.
func (s *Sealer) Open(request [32]byte, closed []byte) (Notification, error) {
	for _, key := range *s.keys.Load() {
		opener, err := cipherFor(key, request)
		if err != nil {
			return Notification{}, err
		}
		plain, err := opener.Open(nil, nil, closed, request[:])
		if err != nil {
			continue
		}
		var n Notification
		if err := json.Unmarshal(plain, &n); err != nil {
			return Notification{}, ErrSealed
		}
		return n, nil
	}
	return Notification{}, ErrSealed
}

// cipherFor is AES-256-GCM with a key of the request's own, so that however many there are, no key meets a nonce twice.
func cipherFor(key []byte, request [32]byte) (cipher.AEAD, error) {
	own, err := hkdf.Key(sha256.New, key, request[:], "countersign ciba ping 1", 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// NewSealKey makes a key as [NewSealer] reads it.
func NewSealKey() string {
	var key [SealKeySize]byte
	rand.Read(key[:])
	return base64.RawURLEncoding.EncodeToString(key[:])
}
