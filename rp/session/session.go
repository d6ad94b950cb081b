// Package session keeps the sessions of a web application: sealed in its cookies, or in a [Store] to which a cookie has a random
// id. Package rp uses it; it knows nothing of OAuth but the names by which a provider ends sessions.
//
// A cookie has the prefix __Host-: it is Secure, of one host, and of all its paths (draft-ietf-httpbis-rfc6265bis). What is in a cookie or
// in a store is sealed with the first key of a [KeyRing], and opened with any of them, so that keys can be replaced. A session
// ends after a time without use, after a time at all, and when the provider says so, whichever comes first. A store keeps
// the SHA-256 of ids only, so that a copy of it opens no session.
package session

import (
	"context"
	"errors"
	"time"
)

// Record is one session.
type Record struct {
	// Key is what the store knows the session by: the SHA-256 of its id, in base64url.
	Key string
	// Version is counted by the store; the first is 1.
	Version int64
	// Issuer, Subject and SID are what a provider names the user and its own session by; SID may be empty.
	Issuer, Subject, SID string
	// SignedInAt is the time of the provider's clock at which the user signed in: iat of the ID token, in seconds. An end that is
	// not older ends the session.
	SignedInAt time.Time
	// IdleUntil is when the session ends unless it is used, EndsAt when it ends in any case. Both are in milliseconds.
	IdleUntil, EndsAt time.Time
	// Data is what the application keeps; the store gets it sealed.
	Data []byte
}

// Store keeps sessions, and remembers what has ended. It is safe for concurrent use, also by several processes if it says so. It
// does not look at clocks: what is over is decided by the [Manager], and removed by Sweep.
type Store interface {
	// Load returns a session, or ErrNotFound: also for one that an end has named that came while it was saved.
	Load(ctx context.Context, key string) (Record, error)
	// Save stores the record as version expect+1 if the stored version is expect; 0 is a session that is not stored yet. Otherwise it
	// changes nothing and returns ErrConflict, or ErrEnded for a new one whose SID or Subject was ended before.
	Save(ctx context.Context, record Record, expect int64) error
	// Touch sets IdleUntil, if that is later than what is stored, without a new version. A session that is not there is no error.
	Touch(ctx context.Context, key string, idleUntil time.Time) error
	// Delete removes a session. With until it also remembers that the session has ended, for those that are sealed in cookies.
	Delete(ctx context.Context, key string, until time.Time) error
	// DeleteBySID removes the sessions of a provider's session, and until then refuses to save any.
	DeleteBySID(ctx context.Context, issuer, sid string, until time.Time) error
	// DeleteBySubject removes the sessions of a user that were signed in at or before a time of the provider's clock, and until
	// then refuses to save any such.
	DeleteBySubject(ctx context.Context, issuer, subject string, at, until time.Time) error
	// Ended reports whether Delete, DeleteBySID or DeleteBySubject has named a session that the store does not keep.
	Ended(ctx context.Context, record Record) (bool, error)
	// Consume remembers a value until a time, and returns ErrConsumed if it was remembered already.
	Consume(ctx context.Context, value string, until time.Time) error
	// Sweep removes some of what is over, and reports how much: at most limit of each kind.
	Sweep(ctx context.Context, now time.Time, limit int) (removed int, err error)
}

// The errors of a [Store].
var (
	// ErrNotFound is a session that is not stored.
	ErrNotFound = errors.New("session: not found")
	// ErrConflict is a session that somebody else has changed, or removed.
	ErrConflict = errors.New("session: changed meanwhile")
	// ErrEnded is a session that the provider has ended: a login that lost against a logout, too.
	ErrEnded = errors.New("session: ended by the provider")
	// ErrConsumed is a value that was used before.
	ErrConsumed = errors.New("session: used before")
)

// Why a request has no session, besides [ErrEnded]. [Absent] reports whether an error is one of them.
var (
	// ErrNone is a request without a cookie of a session.
	ErrNone = errors.New("session: no cookie")
	// ErrUnknown is a cookie whose session is not stored (any more).
	ErrUnknown = errors.New("session: not known")
	// ErrTampered is a cookie that was changed, or sealed with a key that is not in the ring any more.
	ErrTampered = errors.New("session: the cookie cannot be opened")
	// ErrExpired is a session that was not used for too long, or is too old.
	ErrExpired = errors.New("session: expired")
)

// Absent reports whether an error of [Manager.Load] only says that there is no session, so that the user may sign in.
func Absent(err error) bool {
	for _, reason := range []error{ErrNone, ErrUnknown, ErrTampered, ErrExpired, ErrEnded} {
		if errors.Is(err, reason) {
			return true
		}
	}
	return false
}
