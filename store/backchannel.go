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
	// user's devices.
	ID       Digest
	ClientID string
	// Organisation is who answers for the client, as its owner spells it; pending requests and denials are counted by it.
	Organisation string
	// Subject is who is asked. It is empty when no user may be asked: such a request stays pending until it expires, like one that
	// no user answers.
	Subject string
	// UserKey identifies the user that the hint names, also when there is no such user: pending requests are counted by it.
	UserKey Digest
	// Parameters is the validated request as its owner encodes it; the store does not look inside.
	Parameters json.RawMessage
	// Ping is the notification to the client after the decision, sealed by its owner; nil for a client that polls.
	Ping      []byte
	CreatedAt time.Time
	// ExpiresAt ends the time for the decision and for redeeming the auth_req_id.
	ExpiresAt time.Time
	// Interval is the least time between two polls. It grows by [SlowDown] with each that comes too early.
	Interval time.Duration
	// NextPollAt is when the next poll is in time.
	NextPollAt time.Time
	// DecidedAt is zero until the user decided. Then GrantID names what was allowed, and is empty when it was denied.
	DecidedAt time.Time
	GrantID   string
	// Device names the device that decided, as its owner spells it.
	Device string
	// ConsumedAt is zero until the auth_req_id was redeemed.
	ConsumedAt time.Time
	// Evidence is stored with the request and not given back with it.
	Evidence []Evidence
}

// BackchannelLimits bound how many requests may be pending for one user at the same time; all are greater than zero.
type BackchannelLimits struct {
	// User counts those of all clients, Organisation those of the clients of the request's organisation, and Client those of
	// the request's own client.
	User, Organisation, Client int
}

// DenialsLast is how long after the last denial of a user an organisation's denials are remembered.
const DenialsLast = 48 * time.Hour

// BackchannelStanding is what a user decided about an organisation that asks over the backchannel.
type BackchannelStanding struct {
	Subject      string
	Organisation string
	// ClientID is a client of the organisation, by which it is shown: the one with which it was blocked, or that was denied
	// last.
	ClientID string
	// Denials counts the denials since the last approval, and DeniedAt is the last of them. After [DenialsLast] they are
	// forgotten.
	Denials  int
	DeniedAt time.Time
	// BlockedAt is zero unless the user wants no requests of the organisation.
	BlockedAt time.Time
}

// BackchannelDecision is a user's answer.
type BackchannelDecision struct {
	// Request is the ID of what is answered.
	Request Digest
	// Subject is who answers: only who is asked can.
	Subject string
	// Grant is what is allowed; nil denies.
	Grant *Grant
	// Device names the device that decided.
	Device string
	// Lodged, if not nil, is what is decided about a lodged consent.
	Lodged *ConsentDecision
	// Replaces is as in [Finish].
	Replaces string
	// Evidence is stored with the decision.
	Evidence []Evidence
}

// BackchannelPoll is what a client learns by polling.
type BackchannelPoll struct {
	Request BackchannelRequest
	// Early reports that the request is pending and the poll was too early: Request.Interval has grown.
	Early bool
	// Grant is what was allowed; nil while the request is pending, and when it was denied. That the user has been disabled
	// since shows as a RevokedAt, as does a revoked grant.
	Grant *Grant
}

// Ping is a notification that is due (CIBA Core §10.2).
type Ping struct {
	// Request is the ID of the backchannel request.
	Request  Digest
	ClientID string
	// Sealed is what [BackchannelRequest.Ping] was.
	Sealed []byte
	// Attempt is 1 for the first delivery and grows by one with each.
	Attempt int
	// ExpiresAt is the end of the request; after it the client has nothing to redeem.
	ExpiresAt time.Time
}

// Backchannel are the verbs of requests that are decided on another device (CIBA Core).
type Backchannel interface {
	// StartBackchannel stores a request with its evidence and consumes the one-time values, all or nothing. ErrConsumed
	// when as many requests as limits allow are pending for the user already; ErrReplayed.
	StartBackchannel(ctx context.Context, request BackchannelRequest, limits BackchannelLimits, oneTimes ...OneTime) error
	// PendingBackchannel lists the requests that are pending for a user, the oldest first; none for a user who is disabled
	// or deleted.
	PendingBackchannel(ctx context.Context, subject string) ([]BackchannelRequest, error)
	// BackchannelRequest reads a request as it is, also when its time is over; ErrNotFound.
	BackchannelRequest(ctx context.Context, id Digest) (BackchannelRequest, error)
	// DecideBackchannel records a decision with its grant, and enqueues the ping of a request that has one, in one
	// transaction, in which a denial counts against the organisation of the request, and an approval ends what was counted.
	// Of all callers one wins and the rest get ErrConsumed. ErrNotFound for an unknown request, or for another user's, or when
	// the user is disabled or deleted; ErrExpired; ErrConflict when the lodged consent may not be authorised, or is not what was shown,
	// or when the grant to be replaced is not valid.
	// A refused decision changes nothing.
	DecideBackchannel(ctx context.Context, decision BackchannelDecision) error
	// PollBackchannel reads a request of a client and, while it is pending, sets the time of the next poll: of two
	// polls at once, on any nodes, one is early. ErrNotFound for an unknown request or another client's; ErrExpired and
	// ErrConsumed with the request. Neither changes anything.
	PollBackchannel(ctx context.Context, id Digest, clientID string) (BackchannelPoll, error)
	// RedeemBackchannel consumes an allowed request, records what was issued and consumes oneTimes, in one transaction. Of all
	// callers one wins and the rest get ErrConsumed. ErrNotFound for one that is unknown or was not allowed; ErrExpired;
	// ErrRevoked when its grant has ended, or when the user is disabled or deleted; ErrReplayed. Each changes nothing: a client
	// may poll and be notified at once, so a second redemption is no theft.
	RedeemBackchannel(ctx context.Context, id Digest, issued Issued, oneTimes ...OneTime) error

	// BackchannelStanding reads what a user decided about an organisation; the zero value is nothing.
	BackchannelStanding(ctx context.Context, subject, organisation string) (BackchannelStanding, error)
	// BlockedBackchannel lists the organisations of which a user wants no requests, the oldest block first.
	BlockedBackchannel(ctx context.Context, subject string) ([]BackchannelStanding, error)
	// BlockBackchannel stores the BlockedAt of a standing, with its ClientID; a zero one unblocks. Denials are not stored by
	// it. Blocking again keeps the first time; unblocking what is not blocked is no error.
	BlockBackchannel(ctx context.Context, standing BackchannelStanding) error

	// ClaimPings leases at most limit due pings: no other caller gets them until the lease ends. A ping
	// whose caller dies is due again then.
	ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]Ping, error)
	// PingDone deletes a ping; an unknown one is no error.
	PingDone(ctx context.Context, request Digest) error
	// PingFailed makes a ping due again at next, unless another caller has leased it since the attempt.
	PingFailed(ctx context.Context, request Digest, attempt int, next time.Time) error
}
