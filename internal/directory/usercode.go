package directory

import (
	"context"
	"fmt"
	"time"

	"countersign/internal/queue"
)

const (
	// codeBurst is how many wrong user codes in a row a user takes, and codeRefill how long it takes until one more is
	// allowed: codes are shorter than passwords, and the guesser is an authenticated client.
	codeBurst  = 5
	codeRefill = 15 * time.Minute
	// minCode is the length of a user code, in bytes, that [HashUserCode] demands.
	minCode = 6
)

// UserCodes compares the codes that clients must send to ask a user over the backchannel (CIBA Core §7.1). Neither its
// answer nor its time distinguishes a user without a code from one with another code.
type UserCodes struct {
	limiter *limiter
	queue   *queue.Queue
	decoy   hash
}

// NewUserCodes makes a comparer. now is the clock; at most two codes are compared at once, each in 19 MiB.
func NewUserCodes(now func() time.Time) *UserCodes {
	return &UserCodes{limiter: newLimiter(now, codeBurst, codeRefill), queue: queue.New(queue.Config{Places: 2, Waiting: queueLength, Patience: queueTime}), decoy: newHash("")}
}

// HashUserCode makes the hash of a code of at least 6 bytes, in PHC string form.
func HashUserCode(code string) (phc string, err error) {
	if len(code) < minCode {
		return "", fmt.Errorf("directory: a user code has at least %d characters", minCode)
	}
	return HashPassword(code)
}

// Compare reports whether a code is the one that was hashed; no code fits an empty hash. After too many guesses for a
// user it is not looked at, and retryAfter says how long to wait.
func (u *UserCodes) Compare(ctx context.Context, user, phc, code string) (fits bool, retryAfter time.Duration, err error) {
	attempt, wait := u.limiter.take(user)
	if wait > 0 {
		return false, wait, nil
	}
	defer func() {
		if fits || err != nil {
			attempt.refund()
		}
	}()
	stored := u.decoy
	if unapproved(phc) {
		phc = "" // no code fits: it has to be set again
	}
	if phc != "" {
		if stored, err = parseHash(phc); err != nil {
			return false, 0, fmt.Errorf("directory: a stored user code: %w", err)
		}
	}
	place, err := u.queue.Enter(ctx)
	if err != nil {
		return false, 0, fmt.Errorf("directory: compare the user code: %w", err)
	}
	defer place.Leave(ctx, true)
	matches := stored.matches(code)
	return matches && phc != "" && len(code) <= maxPassword, 0, nil
}
