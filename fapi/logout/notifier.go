package logout

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"countersign/fapi/client"
	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/delivery"
	"countersign/store"
)

const (
	// claimLimit is how many notices a node sends at once, and perClient how many of them to one client.
	claimLimit, perClient = 64, 8
	// Timeout is how long a try may take, and lease how long a notice is kept from other nodes: signing has its time too.
	Timeout, lease = 10 * time.Second, 30 * time.Second
	// look is how often a node looks for notices that others have left, or that are due again.
	look = time.Second
	// firstRetry is the time before the second try; each later one takes twice as long, up to lastRetry.
	firstRetry, lastRetry = time.Second, 10 * time.Minute
	// turn is how long a notice waits for others to its client until it is put off for busy.
	turn, busy = 2 * time.Second, time.Second
	// awayFor is how long a client that did not answer is not asked again by this node: each try is signed and is evidence.
	awayFor = 30 * time.Second
)

// Notifier tells clients of sessions that have ended (OpenID Connect Back-Channel Logout 1.0 §2.5). Several nodes may run one each.
//
// A notice is enqueued by the transaction that ends the session, and stays until its client has accepted or refused it, for a day
// at most: a node that dies in between loses nothing, and another sends it. So a client may be told twice.
type Notifier struct {
	Store    store.Logouts
	Clients  *client.Cache
	Tokens   *tokens.Issuer
	Evidence *event.Recorder
	// Send posts a body with a header and returns the status of the answer, within [Timeout]. It follows no redirect.
	Send func(ctx context.Context, address string, header http.Header, body []byte) (status int, err error)
	Now  func() time.Time
	Log  *slog.Logger

	loop   delivery.Loop
	shares delivery.Shares

	mu sync.Mutex
	// away is until when a client is not asked.
	away map[string]time.Time
}

// Wake says that a notice is due now. Without it the notice is found within a second.
func (n *Notifier) Wake() { n.loop.Wake() }

// Run sends what is due until ctx ends, and lets tries under way end.
func (n *Notifier) Run(ctx context.Context) {
	failing := false
	delivery.Run(ctx, &n.loop, delivery.Work[store.Logout]{AtOnce: claimLimit, Every: look, Send: n.deliver, Claim: func(ctx context.Context, limit int) []store.Logout {
		due, err := n.Store.ClaimLogouts(ctx, limit, lease)
		if err != nil && !failing && ctx.Err() == nil {
			n.Log.WarnContext(ctx, "logout notices could not be claimed", "error", err.Error())
		}
		failing = err != nil
		return due
	}})
}

// awayUntil returns until when a client is not asked, because it did not answer; zero when it is.
func (n *Notifier) awayUntil(clientID string) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := n.Now()
	if until := n.away[clientID]; now.Before(until) && until.Sub(now) <= awayFor {
		return until
	}
	delete(n.away, clientID)
	return time.Time{}
}

// begin counts one more notice to a client, after a while if it has enough. It does not when the client has enough for longer, or did
// not answer: then it returns when to try.
func (n *Notifier) begin(clientID string) (later time.Time, ok bool) {
	begun := n.shares.BeginSoon(clientID, perClient, turn, func() bool {
		later = n.awayUntil(clientID)
		return !later.IsZero()
	})
	if !begun && later.IsZero() {
		later = n.Now().Add(busy)
	}
	return later, begun
}

// end ends what begin began; answered reports whether the client did.
func (n *Notifier) end(clientID string, answered bool) {
	if !answered {
		n.mu.Lock()
		if n.away == nil {
			n.away = map[string]time.Time{}
		}
		n.away[clientID] = n.Now().Add(awayFor)
		n.mu.Unlock()
	}
	n.shares.End(clientID) // after that: who waits for the place does not ask either
}

// deliver sends one notice and saves how it went.
func (n *Notifier) deliver(ctx context.Context, notice store.Logout) {
	log := n.Log.With("client_id", notice.ClientID, "attempt", notice.Attempt)
	err := n.settle(ctx, log, notice)
	if err != nil {
		// The lease runs out, and the notice is sent once more.
		log.WarnContext(ctx, "logout notice result not saved; will be resent", "error", err.Error())
	}
}

// settle sends one notice, and makes it due again or says what became of it. The error is that of the store.
func (n *Notifier) settle(ctx context.Context, log *slog.Logger, notice store.Logout) error {
	if !n.Now().Before(notice.ExpiresAt) {
		return n.abandon(ctx, log, notice, "", errExpired)
	}
	later, ok := n.begin(notice.ClientID)
	if !ok {
		return n.Store.LogoutFailed(ctx, notice, earlier(later, notice.ExpiresAt))
	}
	status, err := n.send(ctx, notice)
	answered := err == nil || errors.Is(err, errNotWanted)
	n.end(notice.ClientID, answered && status < http.StatusInternalServerError)
	switch {
	case err == nil && (status == http.StatusOK || status == http.StatusNoContent):
		log.InfoContext(ctx, "logout notice delivered", "status", status)
		return n.Store.LogoutDone(ctx, notice, n.Evidence.Event(ctx, notice.ClientID, event.LogoutDelivered,
			"attempt", strconv.Itoa(notice.Attempt), "status", strconv.Itoa(status)))
	case errors.Is(err, errNotWanted):
		return n.abandon(ctx, log, notice, "", err)
	case err == nil && !mayPass(status):
		return n.abandon(ctx, log, notice, strconv.Itoa(status), errRefused)
	}
	// When the next try would be too late, the notice is due at its end once more, to be abandoned.
	next := earlier(n.Now().Add(delivery.RetryAfter(notice.Attempt, firstRetry, lastRetry)), notice.ExpiresAt)
	log.WarnContext(ctx, "logout notice failed; will be retried", "status", status, "error", text(err), "next_attempt_at", next)
	return n.Store.LogoutFailed(ctx, notice, next)
}

var (
	// errNotWanted: the client is gone, or has no backchannel_logout_uri any more.
	errNotWanted = errors.New("the client is gone, or wants no notices any more")
	errRefused   = errors.New("the client refused it")
	errExpired   = errors.New("the client could not be told within a day")
)

// abandon gives up a notice, and says so in the log and the audit log.
func (n *Notifier) abandon(ctx context.Context, log *slog.Logger, notice store.Logout, status string, reason error) error {
	log.WarnContext(ctx, "logout notice abandoned", "status", status, "error", reason.Error())
	return n.Store.LogoutDone(ctx, notice, n.Evidence.Event(ctx, notice.ClientID, event.LogoutNotDelivered,
		"attempt", strconv.Itoa(notice.Attempt), "status", status, "reason", reason.Error()))
}

// send signs the logout token, records it and sends it (Back-Channel Logout §2.5).
func (n *Notifier) send(ctx context.Context, notice store.Logout) (status int, err error) {
	found, err := n.Clients.Get(ctx, notice.ClientID)
	if errors.Is(err, store.ErrNotFound) || err == nil && found.Metadata.BackchannelLogoutURI == "" {
		return 0, errNotWanted
	}
	if err != nil {
		return 0, err
	}
	token, evidence, err := n.Tokens.LogoutToken(ctx, found, notice)
	if err != nil {
		return 0, err
	}
	if err := n.Evidence.Record(ctx, evidence); err != nil {
		return 0, err
	}
	return n.Send(ctx, found.Metadata.BackchannelLogoutURI, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
		[]byte(url.Values{"logout_token": {token}}.Encode()))
}

// mayPass reports whether a later try may succeed after a status: what is wrong with the receiver may be repaired, what it thinks
// of the token may not (Back-Channel Logout §2.8).
func mayPass(status int) bool {
	return status >= http.StatusInternalServerError || status == http.StatusRequestTimeout || status == http.StatusTooManyRequests
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
