package authorize

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize/handoff"
	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/event"
	"countersign/fapi/rar"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// What a login answers; see package handoff.
type (
	Answer   = handoff.Answer
	Allowed  = handoff.Allowed
	decision = handoff.Decision
)

// Returned is where the login sends the browser: to an address that works once, and in the browser that began.
type Returned struct {
	To   string
	Left time.Duration
}

// AnswerHandOff records the answer about an interaction. Errors are *[oauth.Error] and change nothing: those of
// [Handler.HandedOff], and 400 for an answer that the interaction does not take.
func (h *Handler) AnswerHandOff(r *http.Request, handle string, answer Answer) (Returned, error) {
	ctx := r.Context()
	open, _, _, err := h.handedOff(r, handle)
	if err != nil {
		return Returned{}, err
	}
	decided, err := open.check(ctx, answer)
	if err != nil {
		return Returned{}, err
	}
	now := h.now()
	secret := random.Secret()
	recorded := store.HandOffAnswer{
		Return: store.DigestOf(secret), ReturnBy: earlier(now.Add(returnLifetime), open.pending.Interaction.ExpiresAt), Upstream: answer.Upstream,
	}
	if recorded.Answer, err = json.Marshal(decided); err != nil {
		return Returned{}, err
	}
	if decided.Login {
		name := answer.Username
		if name == "" {
			name = answer.Subject
		}
		recorded.User = &store.User{Subject: answer.Subject, Username: name, Claims: answer.Claims, CreatedAt: now, UpdatedAt: now}
	}
	outcome, part := "allowed", ""
	switch {
	case decided.Error != "":
		outcome = decided.Error
	case !decided.Consent:
		outcome = "signed in"
	default:
		allowed, err := decided.Of(&open.request, h.tokens.Details)
		if err != nil {
			return Returned{}, err
		}
		part = page.Granted(allowed, open.consent).DigestFor(allowed.Scopes)
	}
	recorded.Evidence = []store.Evidence{h.evidence.Event(ctx, open.client.ID, event.HandOffAnswered,
		"outcome", outcome, "subject", decided.Subject, "acr", decided.ACR, "amr", strings.Join(decided.AMR, " "),
		"shown", decided.Digest, "request_digest", part, "interaction", digestText(open.pending.Interaction.ID))}
	if err := h.store.AnswerHandOff(ctx, store.DigestOf(handle), recorded); err != nil {
		return Returned{}, handOffError(err)
	}
	return Returned{To: h.addressOf(open.handle) + "/return/" + secret, Left: recorded.ReturnBy.Sub(now)}, nil
}

// check checks an answer against the request and against what the login may say.
func (o *openInteraction) check(ctx context.Context, a Answer) (decision, error) {
	settings := o.handler.handOff
	refuse := func(format string, arguments ...any) (decision, error) {
		return decision{}, oauth.Errorf(oauth.InvalidRequest, format, arguments...)
	}
	if a.Digest != o.digest {
		return refuse("request_digest is not that of this request as it is now; read it again and show it again")
	}
	if a.Error != "" {
		if _, known := handoff.Refusals()[a.Error]; !known {
			return refuse("error must be one of %s", strings.Join(slices.Sorted(maps.Keys(handoff.Refusals())), ", "))
		}
		if a.Subject != "" || a.Allowed != nil || a.ACR != "" || a.Claims != nil || a.Username != "" || len(a.AMR) > 0 || !a.AuthTime.IsZero() || a.Accounts != nil {
			return refuse("an answer with error has nothing else but request_digest")
		}
		return decision{Digest: a.Digest, Error: a.Error}, nil
	}
	decided := decision{
		Digest: a.Digest, Login: settings.Login, Consent: settings.Consent, Subject: a.Subject, ACR: a.ACR, AMR: a.AMR,
		AuthTime: earlier(a.AuthTime, o.handler.now()).UTC(), // the login's clock may be ahead
		Accounts: a.Accounts,
	}
	decided.Began(a.Upstream)
	if err := handoff.CheckSubject(a.Subject, a.Username); err != nil {
		return decision{}, err
	}
	switch {
	case settings.Login:
		if err := o.checkSignIn(a); err != nil {
			return decision{}, err
		}
	case o.session == nil || o.session.Subject != a.Subject:
		return refuse("subject is not who signed in")
	case a.ACR != "" || len(a.AMR) > 0 || !a.AuthTime.IsZero() || a.Claims != nil || a.Username != "":
		return refuse("this login asks for consent alone: it has nothing to say about the sign-in")
	}
	if err := decided.Allow(settings.Consent, a.Allowed); err != nil {
		return decision{}, err
	}
	if err := o.checkOffered(ctx, a); err != nil {
		return decision{}, err
	}
	satisfied, err := o.satisfies(ctx, decided)
	switch {
	case err != nil && oauth.AsError(err).Code != oauth.ServerError: // more than was asked
		return decision{}, oauth.Errorf(oauth.InvalidRequest, "allowed: %s", oauth.AsError(err).Description).Because(err)
	case err != nil:
		return decision{}, err
	case !satisfied:
		return refuse("the request demands another acr, another user or a more recent sign-in; " +
			"if that cannot be, answer with error unmet_authentication_requirements")
	}
	return decided, nil
}

// checkSignIn checks what an answer says about the sign-in.
func (o *openInteraction) checkSignIn(a Answer) error {
	if err := o.handler.handOff.CheckSignIn(a.ACR, a.AMR, a.AuthTime, o.handler.now()); err != nil {
		return err
	}
	again := slices.Contains(o.request.Prompt, "login") || slices.Contains(o.request.Prompt, "select_account")
	if again && a.AuthTime.Before(o.pending.Interaction.CreatedAt.Add(-time.Second)) { // auth_time is in whole seconds
		return oauth.Errorf(oauth.InvalidRequest,
			"auth_time is before this interaction, and the request has prompt=login: the user has to sign in again")
	}
	return nil
}

// checkOffered checks the accounts of an answer, and fills the lists from which the user has chosen.
func (o *openInteraction) checkOffered(ctx context.Context, a Answer) error {
	if o.handler.handOff.Signs() {
		return o.handler.offers.CheckLogin(o.request.Details, a.Accounts, a.Accounts != nil)
	}
	if err := rar.CheckOffered(a.Accounts); err != nil {
		return oauth.Errorf(oauth.InvalidRequest, "accounts: %s", err)
	}
	if err := o.offer(ctx, a.Subject); err != nil || o.unoffered == nil {
		return err
	}
	if o.lacks == browser.NothingOffered {
		return oauth.Errorf(oauth.InvalidRequest, "the user has nothing to choose for authorization_details; answer with error access_denied").
			Because(o.unoffered)
	}
	return o.unoffered
}
