package passkey

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// ChallengeLifetime is how long a challenge can be answered: as long as a page with it may lie open.
const ChallengeLifetime = 10 * time.Minute

// clockSkew is how far the clocks of two nodes may differ. It only lengthens the memory.
const clockSkew = time.Minute

const (
	randomSize    = 16
	challengeSize = randomSize + 8 + sha256.Size
)

// Binding is what a challenge is good for, and nothing else is: an answer counts only for the binding that it was
// asked with.
type Binding struct {
	// Purpose separates the ceremonies, such as "sign-in".
	Purpose string
	// Browser is the secret of the browser that was asked.
	Browser string
	// Subject is who was asked, or empty when that is not known yet.
	Subject string
	// Content is what the user is shown and agrees to, such as a decision with everything it is about.
	Content string
}

// challenge makes a challenge: random bytes, the end of its time, and a tag over both and the binding.
func (c *Ceremonies) challenge(binding Binding) []byte {
	made := make([]byte, randomSize, challengeSize)
	rand.Read(made)
	made = binary.BigEndian.AppendUint64(made, uint64(c.now().Add(ChallengeLifetime).Unix()))
	return append(made, c.tag(binding, made)...)
}

// tag authenticates the head of a challenge together with its binding. Parts go in with their lengths, so that no two
// bindings read the same.
func (c *Ceremonies) tag(binding Binding, head []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(head)
	for _, part := range []string{binding.Purpose, binding.Browser, binding.Subject, binding.Content} {
		var length [8]byte
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		mac.Write(length[:])
		mac.Write([]byte(part))
	}
	return mac.Sum(nil)
}

// check reports whether a challenge is one of ours, for this binding, and still good. Errors wrap [ErrRefused].
func (c *Ceremonies) check(binding Binding, encoded string) (OneTime, error) {
	challenge, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil || len(challenge) != challengeSize {
		return OneTime{}, refused(errors.New("the challenge is not one of this server"))
	}
	head := challenge[:challengeSize-sha256.Size]
	if !hmac.Equal(challenge[len(head):], c.tag(binding, head)) {
		return OneTime{}, refused(errors.New("the challenge was not made for this"))
	}
	ends := time.Unix(int64(binary.BigEndian.Uint64(head[randomSize:])), 0)
	if !c.now().Before(ends) {
		return OneTime{}, refused(errors.New("the challenge is too old"))
	}
	return OneTime{Key: sha256.Sum256(challenge), Until: ends.Add(clockSkew)}, nil
}
