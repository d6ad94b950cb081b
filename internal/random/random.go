// Package random makes identifiers and secrets from crypto/rand.
package random

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// SecretLength is the length of what [Secret] returns, in bytes.
const SecretLength = 43

// Secret returns an unguessable value: 256 random bits in base64url without padding.
func Secret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// UUID returns a random UUID (RFC 9562 §5.4).
func UUID() string {
	var b [16]byte
	rand.Read(b[:])
	return format(b, 4)
}

// IsUUID reports whether text has the syntax of a UUID (RFC 9562 §4), which is that of x-fapi-interaction-id (FAPI 1.0 Baseline
// §6.2.1-11).
func IsUUID(text string) bool {
	if len(text) != 36 {
		return false
	}
	for at := range len(text) {
		octet := text[at]
		switch {
		case at == 8 || at == 13 || at == 18 || at == 23:
			if octet != '-' {
				return false
			}
		case '0' <= octet && octet <= '9' || 'a' <= octet && octet <= 'f' || 'A' <= octet && octet <= 'F':
		default:
			return false
		}
	}
	return true
}

// format makes a UUID of a version of 16 bytes.
func format(b [16]byte, version byte) string {
	b[6] = b[6]&0x0f | version<<4
	b[8] = b[8]&0x3f | 0x80
	text := make([]byte, 0, 36)
	for i, octet := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text = append(text, '-')
		}
		text = hex.AppendEncode(text, []byte{octet})
	}
	return string(text)
}

// Source makes identifiers and secrets of records that a store may keep in their order. The zero value makes them of random bits
// alone.
type Source struct {
	// Now, unless it is nil, is a clock: what is made begins with its time, so that what is made together is stored together.
	// It says when something was made, which whoever holds it knows; it has no less random bits for that.
	Now func() time.Time
}

// TimedLength is the length of what [Source.Secret] returns when it has a clock: six characters for the time, a full stop, and
// what [Secret] returns. A secret without a time has no full stop.
const TimedLength = 6 + 1 + SecretLength

// timeUnit is the unit of the time in a secret, in milliseconds. In 32 bits it begins again after two years: it orders what lives
// at the same time, and nothing depends on it.
const timeUnit = 16

// Secret returns an unguessable value: 256 random bits, after the time if there is a clock.
func (s Source) Secret() string {
	if s.Now == nil {
		return Secret()
	}
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], uint32(s.Now().UnixMilli()/timeUnit))
	return base64.RawURLEncoding.EncodeToString(b[:]) + "." + Secret()
}

// UUID returns a UUID that begins with the time if there is a clock (RFC 9562 §5.7), and a random one otherwise.
func (s Source) UUID() string {
	if s.Now == nil {
		return UUID()
	}
	var b [16]byte
	rand.Read(b[6:])
	var at [8]byte
	binary.BigEndian.PutUint64(at[:], uint64(s.Now().UnixMilli()))
	copy(b[:6], at[2:])
	return format(b, 7)
}
