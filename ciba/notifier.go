package ciba

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"countersign/internal/correlation"
	"countersign/internal/delivery"
)

const (
	// claimLimit is how many pings a node sends at once, and perOwner how many of them for one owner.
	claimLimit, perOwner = 64, 16
	// turn is how long a ping waits for others of its owner until it is put off.
	turn = 2 * time.Second
	// Timeout is how long a try may take, and lease how long a claimed ping is kept from other nodes.
	Timeout, lease = 10 * time.Second, 15 * time.Second
	// look is how often a node looks for pings that others have left, or that are due again.
	look = time.Second
	// firstRetry is the time before the second try; each later one takes twice as long, up to lastRetry.
	firstRetry, lastRetry = time.Second, time.Minute
)

// ErrNoEndpoint tells that a client is not to be notified any more: it is gone, disabled, or polls.
var ErrNoEndpoint = errors.New("ciba: the client is not notified any more")

// Ping is a notification that is to be sent.
type Ping struct {
	// Request is the ID under which [Sealer.Seal] sealed it.
	Request  [32]byte
	ClientID string
	// Sealed is what [Sealer.Seal] gave.
	Sealed []byte
	// Attempt is 1 at the first claim and grows by one with each.
	Attempt int
	// ExpiresAt is when the request ends: later there is nothing to be told.
	ExpiresAt time.Time
}

// Outbox keeps the pings that decisions left until they are sent. It is shared by all nodes.
type Outbox interface {
	// ClaimPings hands out at most limit pings that are due and keeps them from other nodes until lease is over.
	ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]Ping, error)
	// PingDone forgets a ping; one that is not there is no error.
	PingDone(ctx context.Context, request [32]byte) error
	// PingFailed makes a ping due again at next, unless another node has claimed it since the attempt.
	PingFailed(ctx context.Context, request [32]byte, attempt int, next time.Time) error
}

// Notifier sends the pings that decisions have left in the outbox (CIBA Core §10.2). Several nodes may run one each.
//
// A ping is sent after its decision is committed, and stays in the outbox until it was sent: a node that dies in between
// loses nothing, and another sends it. So a client may be told twice, and never not at all before the request expires.
type Notifier struct {
	Outbox Outbox
	Seals  *Sealer
	// Endpoint gives the backchannel_client_notification_endpoint of a client; [ErrNoEndpoint] when it has none.
	Endpoint func(ctx context.Context, clientID string) (string, error)
	// Owner, if not nil, says who answers for a client: those of one owner share what may be sent at once, so that slow
	// endpoints of one do not hold up others. Without it each client is its own.
	Owner func(ctx context.Context, clientID string) string
	// Post sends a JSON body with an Authorization header and returns the status of the answer, within [Timeout]. It follows
	// no redirect.
	Post func(ctx context.Context, address, authorization string, body []byte) (status int, err error)
	Now  func() time.Time
	Log  *slog.Logger

	loop   delivery.Loop
	shares delivery.Shares
}

// begin reports whether one more ping may be sent for an owner, and counts it.
func (n *Notifier) begin(owner string) bool { return n.shares.Begin(owner, perOwner) }

// beginSoon is begin for one that may wait a little.
func (n *Notifier) beginSoon(owner string) bool {
	return n.shares.BeginSoon(owner, perOwner, turn, func() bool { return false })
}

func (n *Notifier) end(owner string) { n.shares.End(owner) }

// Wake tells that a ping is due now. Without it the ping is found within a second.
func (n *Notifier) Wake() { n.loop.Wake() }

// Run sends what is due until ctx ends, and lets tries under way end. An endpoint that hangs holds up its own pings alone.
func (n *Notifier) Run(ctx context.Context) {
	delivery.Run(ctx, &n.loop, delivery.Work[Ping]{AtOnce: claimLimit, Every: look, Send: n.deliver, Claim: func(ctx context.Context, limit int) []Ping {
		pings, err := n.Outbox.ClaimPings(ctx, limit, lease)
		if err != nil && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "CIBA pings could not be claimed", "error", err.Error())
		}
		return pings
	}})
}

// deliver sends one ping and saves how it went.
func (n *Notifier) deliver(ctx context.Context, ping Ping) {
	log := n.Log.With("client_id", ping.ClientID, "attempt", ping.Attempt)
	owner := ping.ClientID
	if n.Owner != nil {
		owner = n.Owner(ctx, ping.ClientID)
	}
	if !n.beginSoon(owner) {
		if err := n.Outbox.PingFailed(ctx, ping.Request, ping.Attempt, n.Now().Add(firstRetry)); err != nil {
			log.WarnContext(ctx, "CIBA ping result not saved; will be resent", "error", err.Error())
		}
		return
	}
	defer n.end(owner)
	if err := n.settle(ctx, log, ping); err != nil {
		// The lease runs out, and the ping is sent once more.
		log.WarnContext(ctx, "CIBA ping result not saved; will be resent", "error", err.Error())
	}
}

// settle sends one ping and makes it due again or forgets it. The error is that of the outbox.
func (n *Notifier) settle(ctx context.Context, log *slog.Logger, ping Ping) error {
	ctx = n.correlated(ctx, ping)
	status, err := n.send(ctx, ping)
	next := n.Now().Add(delivery.RetryAfter(ping.Attempt, firstRetry, lastRetry))
	if mayPass(status, err) && next.Before(ping.ExpiresAt) {
		log.WarnContext(ctx, "CIBA ping failed; will be retried", "status", status, "error", text(err), "next_attempt_at", next)
		return n.Outbox.PingFailed(ctx, ping.Request, ping.Attempt, next)
	}
	switch {
	case err != nil:
		log.WarnContext(ctx, "CIBA ping abandoned", "error", err.Error())
	case status != http.StatusOK && status != http.StatusNoContent:
		log.WarnContext(ctx, "CIBA ping rejected by client; not retried", "status", status)
	default:
		log.InfoContext(ctx, "CIBA ping sent", "status", status)
	}
	return n.Outbox.PingDone(ctx, ping.Request)
}

// correlated returns a context with the correlation id of the request that asked for a ping, so that the lines about the ping are
// found with it.
func (n *Notifier) correlated(ctx context.Context, ping Ping) context.Context {
	notification, err := n.Seals.Open(ping.Request, ping.Sealed)
	if err != nil || notification.CorrelationID == "" {
		return ctx // what cannot be opened is told by send
	}
	return correlation.With(ctx, notification.CorrelationID)
}

// mayPass reports whether a later try may succeed. A server error of the client may pass; a ping that cannot be opened, or
// whose client is not notified any more, stays as it is.
func mayPass(status int, err error) bool {
	if err != nil {
		return !errors.Is(err, ErrNoEndpoint) && !errors.Is(err, ErrSealed)
	}
	return status >= http.StatusInternalServerError
}

func (n *Notifier) send(ctx context.Context, ping Ping) (int, error) {
	notification, err := n.Seals.Open(ping.Request, ping.Sealed)
	if err != nil {
		return 0, err
	}
	address, err := n.Endpoint(ctx, ping.ClientID)
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(struct {
		AuthReqID string `json:"auth_req_id"`
	}{notification.AuthReqID})
	if err != nil {
		return 0, err
	}
	return n.Post(ctx, address, "Bearer "+notification.Token, body)
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
