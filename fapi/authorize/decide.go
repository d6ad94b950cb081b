package authorize

import (
	"errors"
	"net/http"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/store"
)

// Allow implements [Actions].
func (o *openInteraction) Allow(w http.ResponseWriter, r *http.Request) {
	if o.session != nil && o.unchosen {
		browser.SeeOther(w, o.handler.addressOf(o.handle))
		return
	}
	o.allow(w, r, &o.chosen)
}

// allow grants what was allowed of the request: all of it, or a part. Only the first decision about a request counts.
func (o *openInteraction) allow(w http.ResponseWriter, r *http.Request, allowed *request.Request) {
	h := o.handler
	if o.session == nil {
		h.showError(w, r, oauth.Errorf(oauth.AccessDenied, "sign in first").WithStatus(http.StatusForbidden))
		return
	}
	if o.changed {
		browser.SeeOther(w, h.addressOf(o.handle)) // shows the request as it is now
		return
	}
	// With prompt=login an interaction begins without a session, so that this one was made in it.
	granted, satisfied, err := h.satisfied(
		r.Context(), o.client, allowed, o.session, o.pending.Interaction.CreatedAt, true)
	if errors.Is(err, claims.ErrOtherUser) {
		o.refuse(w, r, err)
		return
	}
	if err != nil {
		h.showError(w, r, err)
		return
	}
	if !satisfied {
		o.refuse(w, r, oauth.Errorf(oauth.UnmetAuthentication,
			"the user signed in, but not with the acr, or not as the user, that the request demands"))
		return
	}
	granted.consent = o.consent
	if err := h.consents.Admit(r.Context(), o.client, o.consent, o.session.Subject); err != nil {
		o.refuse(w, r, err)
		return
	}
	finish := o.finish()
	finish.Evidence = append(finish.Evidence, o.decided(r.Context(), allowed))
	finish, prepared, err := h.grant(r.Context(), granted, finish, "decided")
	if err != nil {
		h.showError(w, r, err)
		return
	}
	finish.Consent = h.consent(granted, o.shown.At)
	lodged, err := h.consents.Decide(r.Context(), o.consent, o.pending.Interaction.ID, o.session.Subject, finish.Grant)
	if err != nil {
		o.refuse(w, r, err)
		return
	}
	finish.Lodged, finish.Evidence = lodged.Lodged, append(finish.Evidence, lodged.Evidence...)
	err = h.store.Finish(r.Context(), finish)
	if err != nil {
		lodged.Undo()
	}
	switch {
	case errors.Is(err, store.ErrConflict) && o.consent != nil:
		o.refuse(w, r, consent.Conflict(err))
		return
	case errors.Is(err, store.ErrConflict) && allowed.Managed.Replaced() != "":
		o.refuse(w, r, allowed.Managed.Changed(err))
		return
	case err != nil:
		h.showError(w, r, over(err))
		return
	}
	send(w, prepared)
}

// Deny implements [Actions]. Where too many sign-ins were refused nobody has denied anything, and the client is told
// so.
func (o *openInteraction) Deny(w http.ResponseWriter, r *http.Request) {
	if o.pending.Interaction.SignInFailures >= MaxSignInFailures {
		o.refuse(w, r, oauth.Errorf(oauth.AccessDenied, "nobody signed in: %d sign-ins in a row were refused", MaxSignInFailures))
		return
	}
	o.deny(w, r, "the user denied the request")
}

// deny ends the interaction because the user decided so, and rejects the consent of the request.
func (o *openInteraction) deny(w http.ResponseWriter, r *http.Request, why string) {
	subject := ""
	if o.session != nil {
		subject = o.session.Subject
	}
	lodged, err := o.handler.consents.Decide(r.Context(), o.consent, o.pending.Interaction.ID, subject, nil)
	if err != nil {
		o.handler.showError(w, r, err)
		return
	}
	o.end(w, r, oauth.Errorf(oauth.AccessDenied, "%s", why), lodged, o.decided(r.Context(), nil))
}

// refuse ends the interaction with an error response for a reason that is not the user's decision.
func (o *openInteraction) refuse(w http.ResponseWriter, r *http.Request, refusal error) {
	told := oauth.AsError(endpoint.Translate(refusal))
	o.end(w, r, refusal, consent.Decided{}, o.handler.ended(r.Context(), o.client.ID, o.pending.Interaction.ID, told.Code, told.Description))
}

// end ends the interaction with an error response, and with the evidence of why. lodged is what that does to the consent.
func (o *openInteraction) end(w http.ResponseWriter, r *http.Request, refusal error, lodged consent.Decided, why store.Evidence) {
	h := o.handler
	finish := o.finish()
	finish.Lodged, finish.Evidence = lodged.Lodged, append([]store.Evidence{why}, lodged.Evidence...)
	if err := h.store.Finish(r.Context(), finish); err != nil {
		lodged.Undo()
		h.showError(w, r, over(err))
		return
	}
	h.redirectError(w, r, targetOf(o.client, &o.request), refusal)
}

// finish names the interaction and the request that an answer consumes.
func (o *openInteraction) finish() store.Finish {
	return store.Finish{Interaction: o.pending.Interaction.ID, Request: o.pending.Request.ID}
}
