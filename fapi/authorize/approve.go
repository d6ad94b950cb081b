package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/fapi/authorize/page"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/fapi/tokens"
	"countersign/store"
)

// approved is a validated request with a sign-in that satisfies it. Only Handler.satisfied makes one, and nothing is
// granted without.
type approved struct {
	client  *client.Client
	request *request.Request
	session *store.Session
	// consent is the one that the request names, or nil.
	consent *consent.Consent
}

var errNotApproved = errors.New("authorize: the sign-in was not checked against the request")

// satisfied reports whether a sign-in meets the request: recent enough when the browser arrived (max_age), the right
// user (id_token_hint), a sufficient acr. here says that the sign-in was made in an interaction of the request. The time that the user then takes to decide does not count.
func (h *Handler) satisfied(
	ctx context.Context, caller *client.Client, checked *request.Request, session *store.Session,
	arrivedAt time.Time, here bool,
) (approved, bool, error) {
	if !checked.RecentEnough(session.AuthTime, arrivedAt) {
		return approved{}, false, nil
	}
	// A sign-in made for this very request satisfies prompt=login; one for another request does not, whenever it was.
	again := slices.Contains(checked.Prompt, "login") || slices.Contains(checked.Prompt, "select_account")
	if again && !here {
		return approved{}, false, nil
	}
	if len(checked.EssentialACRs) > 0 && !slices.Contains(checked.EssentialACRs, session.ACR) {
		return approved{}, false, nil
	}
	if checked.Subject != "" {
		subject, err := h.tokens.Subjects.For(ctx, caller, session.Subject)
		if err != nil || subject != checked.Subject {
			return approved{}, false, err
		}
	}
	switch err := h.tokens.Users.Fits(ctx, checked.Claims, caller.Profile, claims.Question{
		Subject: session.Subject, ClientID: caller.ID, Purpose: claims.ForTokens, Scopes: checked.Scopes,
	}); {
	case errors.Is(err, claims.ErrOtherUser) && !here:
		return approved{}, false, nil // another user may sign in
	case err != nil:
		return approved{}, false, err
	}
	return approved{client: caller, request: checked, session: session}, true, nil
}

// mayBeSilent reports whether the stored consent covers the request, so that no page is needed.
func (h *Handler) mayBeSilent(a approved, consent *store.Consent) bool {
	if consent == nil || consent.CreatedAt.Before(a.client.ChangedAt) {
		return false // the consent was given to an older registration
	}
	requested := a.request
	if len(requested.Resources) > 0 || len(requested.Details) > 0 || requested.Consent != "" || requested.Purpose != "" || requested.Managed.Replaced() != "" {
		return false // these are never remembered, and a purpose is shown each time
	}
	if slices.ContainsFunc(requested.Prompt, func(prompt string) bool { return prompt != "none" }) {
		return false
	}
	for _, name := range requested.Scopes {
		if !slices.Contains(consent.Scopes, name) || h.tokens.Scopes.Lookup(name).AlwaysAsk {
			return false
		}
	}
	for _, name := range requested.ExtraClaims() {
		if !slices.Contains(consent.Claims, name) {
			return false
		}
	}
	return true
}

// consent is the consent to remember, or nil: authorization_details and resources need consent each time. It is as old
// as the page that the user decided on: a client that has changed since then is asked about again.
func (h *Handler) consent(a approved, shownAt time.Time) *store.Consent {
	if len(a.request.Details) > 0 || len(a.request.Resources) > 0 || a.request.Consent != "" ||
		slices.ContainsFunc(a.request.Scopes, h.tokens.Scopes.Parameterized) {
		return nil
	}
	return &store.Consent{
		Subject: a.session.Subject, ClientID: a.client.ID, Scopes: a.request.Scopes, Claims: a.request.ExtraClaims(),
		CreatedAt: shownAt, ExpiresAt: h.now().Add(h.grantLifetime),
	}
}

// life is how long a grant of the request lasts: as long as any does, or as its ecosystem has it, and not longer than its details and
// its consent allow.
func (h *Handler) life(of *request.Request, by *client.Client, c *consent.Consent) (display.Life, error) {
	life, err := of.Details.Life(h.tokens.Details)
	return life.Shorter(consent.Life(by.Profile, c, of.Grant().Lasts(by.Profile, h.grantLifetime))), err
}

// grant adds the grant and its code to finish, and prepares the authorization response. Everything in the response is
// signed before the request is consumed. consent is how the user allowed it, for the audit log.
func (h *Handler) grant(ctx context.Context, a approved, finish store.Finish, consent string) (store.Finish, response, error) {
	if a.client == nil || a.request.Consent != "" && a.consent == nil {
		return store.Finish{}, response{}, errNotApproved
	}
	allowed := page.Granted(a.request, a.consent).Begin(a.client.Profile).Sealed(a.request.Scopes)
	allowed.Session = tokens.SessionOf(a.session)
	detail, err := json.Marshal(allowed)
	if err != nil {
		return store.Finish{}, response{}, err
	}
	life, err := h.life(a.request, a.client, a.consent)
	if err != nil {
		return store.Finish{}, response{}, err
	}
	code, now := h.tokens.Identifiers.Secret(), h.now()
	finish.Grant = &store.Grant{
		ID: h.tokens.Identifiers.UUID(), ClientID: a.client.ID, Subject: a.session.Subject, Scopes: a.request.Scopes, Detail: detail,
		AuthTime: a.session.AuthTime, ACR: h.checker.ACR(a.client, a.session.ACR, a.request.ACRNames), AMR: a.session.AMR,
		CreatedAt: now, ExpiresAt: life.End(now), ManagedID: a.request.Managed.Name(),
	}
	finish.Replaces = a.request.Managed.Replaced()
	finish.Evidence = append(finish.Evidence, h.granted(ctx, finish.Grant, consent, allowed.Digest, a.request.Managed.Evidence(finish.Grant)...))
	finish.Code = &store.Code{
		ID: store.IssuedDigest(code), GrantID: finish.Grant.ID, ClientID: a.client.ID,
		RedirectURI: a.request.RedirectURI, Challenge: a.request.Challenge, JKT: a.request.JKT,
		CreatedAt: now, ExpiresAt: now.Add(min(h.codeLifetime, a.client.Profile.MaxCodeLifetime)),
	}
	parameters := url.Values{"code": {code}}
	if slices.Contains(strings.Fields(a.request.ResponseType), "id_token") {
		nonce, state := a.request.Nonce, a.request.State
		idToken, kept, err := h.tokens.DetachedSignature(ctx, a.client, *finish.Grant, nonce, state, code)
		if err != nil {
			return store.Finish{}, response{}, err
		}
		parameters.Set("id_token", idToken)
		finish.Evidence = append(finish.Evidence, kept)
	}
	prepared, err := h.prepare(ctx, targetOf(a.client, a.request), a.session.Subject, parameters)
	if err != nil {
		return store.Finish{}, response{}, err
	}
	finish.Evidence = append(finish.Evidence, prepared.evidence...)
	return finish, prepared, nil
}
