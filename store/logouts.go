package store

import (
	"context"
	"time"
)

// LogoutsLast is how long after the end of a session it is tried to tell a client of it.
const LogoutsLast = 24 * time.Hour

// SessionClient is a client that gets an ID token in a session, and is to be told when that ends (OpenID Connect
// Back-Channel Logout 1.0).
type SessionClient struct {
	// SID is that of the [Session], and ExpiresAt the end of it when the user decided: from then on it is over by its time,
	// of which nobody is told.
	SID       string
	ExpiresAt time.Time
	// Subject is what the client calls the user (sub).
	Subject string
}

// Logout is a notice for a client that a session has ended.
type Logout struct {
	SID      string
	ClientID string
	// Subject is that of the [SessionClient].
	Subject string
	// Attempt is 1 for the first delivery and grows with each.
	Attempt int
	// ExpiresAt is when no more is tried: [LogoutsLast] after the end of the session.
	ExpiresAt time.Time
}

// Logouts are the verbs of what clients are told when sessions end. Notices are enqueued by the verbs that end sessions:
// EndSession, EndSessions, EndSessionOf, EndOtherSessions, EndUpstream, EraseUser, and SignIn and StartSession where they end a former session of another user. A former one
// of the same user goes on as the new one: that keeps its SID, and nobody is told. Sessions that end by their time are not told
// of either.
type Logouts interface {
	// SessionClients lists the clients that are told when a session ends, by their identifiers and in their order.
	SessionClients(ctx context.Context, sid string) ([]string, error)
	// ClaimLogouts leases at most limit due notices: no other caller gets them until the lease ends. A notice whose caller
	// dies is due again then. Notices that have expired are given out too: it is for the caller to say that they failed.
	ClaimLogouts(ctx context.Context, limit int, lease time.Duration) ([]Logout, error)
	// LogoutDone deletes a notice and stores the evidence of what became of it, in one transaction, unless another caller has
	// leased it since the attempt: then neither.
	LogoutDone(ctx context.Context, logout Logout, evidence ...Evidence) error
	// LogoutFailed makes a notice due again at next, unless another caller has leased it since the attempt.
	LogoutFailed(ctx context.Context, logout Logout, next time.Time) error
}
