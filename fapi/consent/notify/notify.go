// Package notify tells the operator of changes of consents that clients lodged, as security event tokens (RFC 8417) that are pushed
// to an address (RFC 8935), and ends consents whose time is over.
package notify

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"countersign/fapi/event"
	"countersign/fapi/tokens"
	"countersign/internal/delivery"
	"countersign/store"
)

const (
	// atOnce is how many notices a node sends at once.
	atOnce = 16
	// Timeout is how long a try may take, and lease how long a notice is kept from other nodes: signing has its time too.
	Timeout, lease = 10 * time.Second, 30 * time.Second
	// look is how often a node looks for what is due.
	look = time.Second
	// firstRetry is the time before the second try; each later one takes twice as long, up to lastRetry.
	firstRetry, lastRetry = time.Second, 10 * time.Minute
)

// Webhook is where changes are told.
type Webhook struct {
	// Address is the https address, and the audience of the tokens.
	Address string
	// Send posts a body with a header and returns the status of the answer, within [Timeout]. It follows no redirect.
	Send func(ctx context.Context, address string, header http.Header, body []byte) (status int, err error)
}

// Notifier sends notices and ends what is over. Several nodes may run one each.
//
// A notice is enqueued by the transaction that changes the consent, and stays until the operator has acknowledged it, for
// [store.ConsentNoticesLast] at most: a node that dies in between loses nothing, and another sends it. So one may come twice, or after
// a later one: it has the version of the consent.
type Notifier struct {
	Store  store.Consents
	Tokens *tokens.Issuer
	// Webhook is nil where nobody is to be told: then only what is over is ended.
	Webhook  *Webhook
	Evidence *event.Recorder
	Now      func() time.Time
	Log      *slog.Logger

	loop delivery.Loop
}

// Run does what is due until ctx ends, and lets tries under way end.
func (n *Notifier) Run(ctx context.Context) {
	endFailing, claimFailing := false, false
	// first reports whether a failure is the first of a row, which is the one that is logged.
	first := func(err error, failing *bool) bool {
		is := err != nil && !*failing && ctx.Err() == nil
		*failing = err != nil
		return is
	}
	delivery.Run(ctx, &n.loop, delivery.Work[store.ConsentNotice]{AtOnce: atOnce, Every: look, Send: n.deliver,
		Claim: func(ctx context.Context, limit int) []store.ConsentNotice {
			if err := n.endDue(ctx); first(err, &endFailing) {
				n.Log.WarnContext(ctx, "consents whose time is over could not be ended", "error", err.Error())
			}
			if n.Webhook == nil {
				return nil
			}
			due, err := n.Store.ClaimConsentNotices(ctx, limit, lease)
			if first(err, &claimFailing) {
				n.Log.WarnContext(ctx, "consent notices could not be claimed", "error", err.Error())
			}
			return due
		}})
}

// dueAtOnce is how many consents are ended in one step.
const dueAtOnce = 100

// endDue ends the consents whose time is over. Tokens of them have ended before: at the same time.
func (n *Notifier) endDue(ctx context.Context) error {
	due, err := n.Store.DueConsents(ctx, dueAtOnce)
	for _, c := range due {
		_, err := n.Store.EndConsent(ctx, store.ConsentEnding{
			ID: c.ID, ClientID: c.ClientID, Due: true, By: store.EndedByTime,
			Evidence: []store.Evidence{n.Evidence.Event(ctx, c.ClientID, event.ConsentExpired, "consent", c.ID, "kind", c.Kind, "grant", c.GrantID, "subject", c.Subject)},
		})
		// Another node may have been first.
		if err != nil && !errors.Is(err, store.ErrConsumed) && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return err
}

// deliver sends one notice and saves how it went.
func (n *Notifier) deliver(ctx context.Context, notice store.ConsentNotice) {
	log := n.Log.With("client_id", notice.ClientID, "consent_id", notice.ConsentID, "attempt", notice.Attempt)
	if err := n.settle(ctx, log, notice); err != nil {
		// The lease runs out, and the notice is sent once more.
		log.WarnContext(ctx, "consent notice result not saved; will be resent", "error", err.Error())
	}
}

// settle sends one notice, and makes it due again or says what became of it. The error is that of the store.
func (n *Notifier) settle(ctx context.Context, log *slog.Logger, notice store.ConsentNotice) error {
	detail := []string{"consent", notice.ConsentID, "status", string(notice.Status), "version", strconv.Itoa(notice.Version), "attempt", strconv.Itoa(notice.Attempt)}
	if !n.Now().Before(notice.ExpiresAt) {
		log.WarnContext(ctx, "consent notice abandoned", "status", string(notice.Status))
		return n.Store.ConsentNoticeDone(ctx, notice, n.Evidence.Event(ctx, notice.ClientID, event.ConsentNoticeNotDelivered, detail...))
	}
	status, err := n.send(ctx, notice)
	if err == nil && (status == http.StatusAccepted || status == http.StatusOK || status == http.StatusNoContent) {
		log.InfoContext(ctx, "consent notice delivered", "status", status)
		return n.Store.ConsentNoticeDone(ctx, notice, n.Evidence.Event(ctx, notice.ClientID, event.ConsentNoticeDelivered,
			append(detail, "answer", strconv.Itoa(status))...))
	}
	next := n.Now().Add(delivery.RetryAfter(notice.Attempt, firstRetry, lastRetry))
	if notice.ExpiresAt.Before(next) {
		next = notice.ExpiresAt // to be abandoned
	}
	reason := ""
	if err != nil {
		reason = err.Error()
	}
	log.WarnContext(ctx, "consent notice failed; will be retried", "status", status, "error", reason, "next_attempt_at", next)
	return n.Store.ConsentNoticeFailed(ctx, notice, next)
}

// send signs the token, records it and sends it (RFC 8935 §2.1).
func (n *Notifier) send(ctx context.Context, notice store.ConsentNotice) (status int, err error) {
	token, evidence, err := n.Tokens.ConsentEvent(ctx, n.Webhook.Address, notice)
	if err != nil {
		return 0, err
	}
	if err := n.Evidence.Record(ctx, evidence); err != nil {
		return 0, err
	}
	return n.Webhook.Send(ctx, n.Webhook.Address, http.Header{
		"Content-Type": {"application/secevent+jwt"}, "Accept": {"application/json"},
	}, []byte(token))
}
