package store

import (
	"context"
	"encoding/json"
	"time"
)

// SlowDown is what a poll that comes too early adds to the time between polls (CIBA Core §11).
const SlowDown = 5 * time.Second

// BackchannelRequest is a backchannel authentication request (CIBA Core §7) and what became of it.
type BackchannelRequest struct {
	// ID is the digest of the auth_req_id. It is no secret and redeems nothing, so it also names the request to the
	// person's devices.
	ID       Digest
	ClientID string
	// Subject is who is asked. It is empty when nobody may be asked: such a request waits until it expires, like one that
	// nobody answers.
	Subject string
	// Person stands for who is meant, also when nobody is: pending requests are counted by it.
	Person Digest
	// Parameters is the validated request as its owner encodes it; the store does not look inside.
	Parameters json.RawMessage
	// Ping is what the client is told after the decision, sealed by its owner; nil for a client that polls.
	Ping      []byte
	CreatedAt time.Time
	// ExpiresAt ends the time for the decision and for fetching the tokens.
	ExpiresAt time.Time
	// Interval is the least time between two polls. It grows by [SlowDown] with each that comes too early.
	Interval time.Duration
	// NextPollAt is when the next poll is in time.
	NextPollAt time.Time
	// DecidedAt is zero until somebody decided. Then GrantID names what was allowed, and is empty when it was denied.
	DecidedAt time.Time
	GrantID   string
	// Device names the device that decided, as its owner spells it.
	Device string
	// ConsumedAt is zero until the tokens were fetched.
	ConsumedAt time.Time
	// Evidence is stored with the request and not given back with it.
	Evidence []Evidence
}

// BackchannelLimits bound how many requests may wait for the decision of one person at once, greater than zero.
type BackchannelLimits struct {
	// Person counts those of all clients, Client those of the request's own.
	Person, Client int
}

// BackchannelDecision is a person's answer.
type BackchannelDecision struct {
	// Request is the ID of what is answered.
	Request Digest
	// Subject is who answers: only who is asked can.
	Subject string
	// Grant is what is allowed; nil denies.
	Grant *Grant
	// Device names the device that decided.
	Device string
}

// BackchannelPoll is what a client learns by polling.
type BackchannelPoll struct {
	Request BackchannelRequest
	// Early tells that nobody has decided and that the poll came too early: Request.Interval has grown.
	Early bool
	// Grant is what was allowed; nil while nobody has decided, and when it was denied. A person who has been disabled
	// since is told by a RevokedAt, as is a grant that was revoked.
	Grant *Grant
}

// Ping is a notification that is due (CIBA Core §10.2).
type Ping struct {
	// Request is the ID of the backchannel request.
	Request  Digest
	ClientID string
	// Sealed is what [BackchannelRequest.Ping] was.
	Sealed []byte
	// Attempt is 1 at the first claim and grows by one with each.
	Attempt int
	// ExpiresAt is the end of the request: there is nothing to fetch any more.
	ExpiresAt time.Time
}

// Backchannel are the verbs of requests that are decided on another device (CIBA Core).
type Backchannel interface {
	// StartBackchannel stores a request with its evidence and consumes the one-time values, all or nothing. ErrConsumed when as many requests as limits allow
	// wait for the person already; ErrReplayed.
	StartBackchannel(ctx context.Context, request BackchannelRequest, limits BackchannelLimits, oneTimes ...OneTime) error
	// PendingBackchannel lists what waits for a person's decision, the oldest first; nothing for somebody who is disabled
	// or gone.
	PendingBackchannel(ctx context.Context, subject string) ([]BackchannelRequest, error)
	// BackchannelRequest reads a request as it is, also when its time is over; ErrNotFound.
	BackchannelRequest(ctx context.Context, id Digest) (BackchannelRequest, error)
	// DecideBackchannel records a decision with its grant, and enqueues the ping of a request that has one, in one
	// transaction. Of all callers one wins and the rest get ErrConsumed. ErrNotFound for an unknown request, another person's,
	// or when the person is disabled or gone; ErrExpired. A refused decision changes nothing.
	DecideBackchannel(ctx context.Context, decision BackchannelDecision) error
	// PollBackchannel reads a request of a client and, while nobody has decided, sets the time of the next poll: of two
	// polls at once, on whatever nodes, one is early. ErrNotFound for an unknown request or another client's; ErrExpired and
	// ErrConsumed with the request. Neither changes anything.
	PollBackchannel(ctx context.Context, id Digest, clientID string) (BackchannelPoll, error)
	// RedeemBackchannel consumes an allowed request, records what was issued and consumes oneTimes, in one transaction. Of all
	// callers one wins and the rest get ErrConsumed. ErrNotFound for one that is unknown or that nobody has allowed; ErrExpired;
	// ErrRevoked when its grant has ended, or when the person is disabled or gone; ErrReplayed. Each changes nothing: a client
	// may poll and be notified at once, so a second redemption is no theft.
	RedeemBackchannel(ctx context.Context, id Digest, issued Issued, oneTimes ...OneTime) error

	// ClaimPings hands out at most limit pings that are due and keeps them from all others until lease is over. A ping
	// whose caller dies is due again then.
	ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]Ping, error)
	// PingDone forgets a ping; one that is not there is no error.
	PingDone(ctx context.Context, request Digest) error
	// PingFailed makes a ping due again at next, unless somebody else has claimed it since the attempt.
	PingFailed(ctx context.Context, request Digest, attempt int, next time.Time) error
}
