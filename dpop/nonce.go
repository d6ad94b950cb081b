package dpop

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"sync"
	"time"
)

// DefaultNoncePeriod is how long one nonce is given out.
const DefaultNoncePeriod = 2 * time.Minute

const (
	nonceTagSize = 16
	nonceSize    = 8 + nonceTagSize
)

// Nonces makes and recognises server nonces (RFC 9449 §8, §9). They need no memory: a nonce is the number of its period
// with a message authentication code, so that every node that has the seed accepts every other's. It is the same for all
// clients, which costs nothing: a proof is bound to its key by its signature, and what the nonce adds is that the proof
// cannot have been made before its period.
type Nonces struct {
	key    [sha256.Size]byte
	period time.Duration
	now    func() time.Time

	mu      sync.Mutex
	number  int64
	current string
}

// NewNonces derives nonces from a seed of at least 32 random bytes that all nodes share. A period of 0 means
// [DefaultNoncePeriod]. A nonce is accepted in its period, in the one after it, and in the one before it, for nodes
// whose clocks differ.
func NewNonces(seed []byte, period time.Duration, now func() time.Time) *Nonces {
	if period <= 0 {
		period = DefaultNoncePeriod
	}
	n := &Nonces{period: period, now: now, number: -1}
	derived := hmac.New(sha256.New, seed)
	derived.Write([]byte("countersign dpop nonce"))
	derived.Sum(n.key[:0])
	return n
}

// Current gives the nonce that the next proof should carry.
func (n *Nonces) Current() string {
	number := n.periodNumber()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.number != number {
		raw := n.make(number)
		n.number, n.current = number, base64.RawURLEncoding.EncodeToString(raw[:])
	}
	return n.current
}

// Valid reports whether a nonce is one of ours and still to be accepted.
func (n *Nonces) Valid(nonce string) bool {
	if len(nonce) != base64.RawURLEncoding.EncodedLen(nonceSize) {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(nonce)
	if err != nil || len(raw) != nonceSize { // the decoder passes over line ends
		return false
	}
	number := int64(binary.BigEndian.Uint64(raw))
	if distance := number - n.periodNumber(); distance < -1 || distance > 1 {
		return false
	}
	wanted := n.make(number)
	return subtle.ConstantTimeCompare(wanted[:], raw) == 1
}

func (n *Nonces) periodNumber() int64 { return n.now().UnixNano() / int64(n.period) }

func (n *Nonces) make(number int64) [nonceSize]byte {
	var raw [nonceSize]byte
	binary.BigEndian.PutUint64(raw[:], uint64(number))
	code := hmac.New(sha256.New, n.key[:])
	code.Write(raw[:8])
	copy(raw[8:], code.Sum(nil))
	return raw
}
