package authorize

import (
	"context"
	"strconv"
	"strings"
	"time"

	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/store"
)

// The evidence of the ordinary flow goes with the verb whose outcome it is. It names the user by the subject alone.

// signedIn is the evidence of a sign-in for an interaction.
func (o *openInteraction) signedIn(ctx context.Context, a browser.Authentication) store.Evidence {
	return o.handler.evidence.Event(ctx, o.client.ID, event.SignedIn,
		"subject", a.Subject, "acr", a.ACR, "amr", strings.Join(a.AMR, " "), "interaction", digestText(o.pending.Interaction.ID), "message", o.request.Message)
}

// signInFailed is the evidence of a sign-in that was refused, with the true reason and whose it was.
func (o *openInteraction) signInFailed(ctx context.Context, problem browser.Problem) store.Evidence {
	return o.handler.evidence.Event(ctx, o.client.ID, event.SignInFailed,
		"subject", problem.Subject, "reason", problem.Audited(), "failures", strconv.Itoa(o.pending.Interaction.SignInFailures+1),
		"interaction", digestText(o.pending.Interaction.ID))
}

// decided is the evidence of what a user decided on the page that was shown: the part of the request that was allowed, or nil.
func (o *openInteraction) decided(ctx context.Context, allowed *request.Request) store.Evidence {
	subject := ""
	if o.session != nil {
		subject = o.session.Subject
	}
	part := allowed
	if part == nil {
		part = &o.request
	}
	shownAt := ""
	if o.shown.Content != "" {
		shownAt = o.shown.At.UTC().Format(time.RFC3339)
	}
	return o.handler.evidence.Event(ctx, o.client.ID, event.ConsentDecided,
		"allowed", strconv.FormatBool(allowed != nil), "subject", subject, "shown", o.shown.Content, "shown_at", shownAt,
		"language", o.language, "request_digest", page.Granted(part, o.consent).DigestFor(part.Scopes),
		"scope", strings.Join(part.Scopes, " "), "claims", strings.Join(part.ExtraClaims(), " "),
		"interaction", digestText(o.pending.Interaction.ID), "message", o.request.Message)
}

// ended is the evidence that a request ended with an error that no user chose.
func (h *Handler) ended(ctx context.Context, clientID string, interaction store.Digest, code, reason string) store.Evidence {
	named := ""
	if !interaction.Zero() {
		named = digestText(interaction)
	}
	return h.evidence.Event(ctx, clientID, event.RequestEnded, "error", code, "reason", reason, "interaction", named)
}

// granted is the evidence of a grant; consent is how it came to be: decided now, or stored before.
func (h *Handler) granted(ctx context.Context, grant *store.Grant, consent, digest string, managed ...string) store.Evidence {
	return h.evidence.Event(ctx, grant.ClientID, event.GrantMade, append([]string{
		"grant", grant.ID, "subject", grant.Subject, "scope", strings.Join(grant.Scopes, " "), "acr", grant.ACR, "consent", consent,
		"request_digest", digest,
	}, managed...)...)
}

// stepUp is the evidence that a user who is signed in has to authenticate again, and why.
func (h *Handler) stepUp(ctx context.Context, clientID string, interaction store.Digest, checked *request.Request, session *store.Session) store.Evidence {
	return h.evidence.Event(ctx, clientID, event.StepUpRequired,
		"subject", session.Subject, "acr", session.ACR, "required_acr", strings.Join(checked.EssentialACRs, " "),
		"prompt", strings.Join(checked.Prompt, " "), "auth_time", session.AuthTime.UTC().Format(time.RFC3339),
		"interaction", digestText(interaction))
}
