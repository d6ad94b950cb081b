package device

import (
	"log/slog"
	"net/http"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// blocks are the actions by which users end what an organisation sends.
type blocks struct {
	requests Requests
	evidence *event.Recorder
	limits   *limits
	log      *slog.Logger
}

// block blocks the organisation that made the request on the page, and denies what is pending of it. The session suffices: it
// allows nobody anything, and the user can undo it.
func (b blocks) block(_ http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	ctx, session := r.Context(), in.session
	if err := endpoint.Allow(b.limits.changes, session.Subject, tooManyChanges); err != nil {
		return false, err
	}
	blocked, denied, err := b.requests.Block(ctx, in.reference, browser.Authentication{
		Subject: session.Subject, ACR: session.ACR, AMR: session.AMR,
	})
	if err != nil {
		return false, decisionError(err)
	}
	b.log.InfoContext(ctx, "organisation blocked by user", "correlation_id", event.Of(ctx).CorrelationID,
		"subject", session.Subject, "client_id", blocked.ID)
	b.evidence.SecurityEvent(ctx, blocked.ID, "backchannel_blocked", "subject", session.Subject, "request", in.reference,
		"denied", strings.Join(denied, " "))
	in.page.Notice = ClientBlocked
	return false, nil
}

// unblock lets an organisation ask again.
func (b blocks) unblock(_ http.ResponseWriter, r *http.Request, in *interaction) (bool, error) {
	ctx, subject, organisation := r.Context(), in.session.Subject, in.form.Get("organisation")
	if err := endpoint.Allow(b.limits.changes, subject, tooManyChanges); err != nil {
		return false, err
	}
	if b.requests == nil || organisation == "" {
		return false, oauth.Errorf(oauth.InvalidRequest, "the form names nothing that is blocked")
	}
	if err := b.requests.Unblock(ctx, subject, organisation); err != nil {
		return false, err
	}
	b.evidence.SecurityEvent(ctx, "", "backchannel_unblocked", "subject", subject, "organisation", organisation)
	in.page.Notice = ClientUnblocked
	return false, nil
}
