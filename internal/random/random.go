// Package random makes identifiers and secrets from crypto/rand.
package random

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
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
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
