package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"

	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/store"
)

// authorize is the authorization endpoint (RFC 6749 §3.1). Of its parameters only client_id counts and either
// request_uri, which names a pushed request, or request, where the client's profile allows a request object by value.
func (h *Handler) authorize(w http.ResponseWriter, r *http.Request) {
	switch r.Method {
	case http.MethodPost:
		h.authorizeByPost(w, r)
		return
	case http.MethodHead: // safe and without a body (RFC 9110 §9.3.2): previews of links must not consume the request
		w.Header().Set("Cache-Control", "no-store")
		return
	}
	form, err := oauth.ReadQuery(r)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	ctx := r.Context()
	caller, err := h.clients.Get(ctx, form.Get("client_id"))
	if errors.Is(err, store.ErrNotFound) {
		err = oauth.Errorf(oauth.InvalidClient, "%s", client.Gone(err, "the application that sent you here is not registered"))
	}
	if err != nil {
		h.showError(w, r, err)
		return
	}
	event.Of(ctx).ClientID = caller.ID
	requestURI := form.Get("request_uri")
	// A redirect_uri in the query counts only beside a request object. Otherwise nothing comes from the client, and
	// anybody could have the server send browsers on, to whoever has registered (RFC 9700 §4.11.2): a page is shown.
	switch {
	case requestURI == "" && form.Has("request") && !caller.Profile.RequirePushed:
		h.authorizeByValue(w, r, caller, form, refusalTarget(caller, form.Get, false))
		return
	case requestURI != "" && form.Has("request") && !caller.Profile.RequirePushed:
		err = oauth.Errorf(oauth.InvalidRequest, "request and request_uri exclude each other (RFC 9101 §5)")
	case requestURI == "" && !caller.Profile.RequirePushed:
		err = oauth.Errorf(oauth.InvalidRequest,
			"the request is not signed; push it (RFC 9126), or send a request object as request (RFC 9101)")
	case requestURI == "":
		err = oauth.Errorf(oauth.InvalidRequest, "request_uri is missing; push the request first (RFC 9126)")
	case !strings.HasPrefix(requestURI, requestURIPrefix):
		err = oauth.Errorf(oauth.InvalidRequestURI, "request_uri was not issued by this server")
	}
	if err != nil {
		h.showError(w, r, err)
		return
	}
	h.openRequest(w, r, caller, opening{id: store.IssuedDigest(requestURI)}, redirectTarget{})
}

// authorizeByPost turns a POST (OpenID Connect Core §3.1.2.1) into the same GET, to which the browser adds its
// SameSite cookies.
func (h *Handler) authorizeByPost(w http.ResponseWriter, r *http.Request) {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		h.showError(w, r, err)
		return
	}
	browser.SeeOther(w, h.addresses.Issuer+"/authorize?"+form.Values().Encode())
}

// opening names a stored request that a browser opens.
type opening struct {
	id store.Digest
	// browser is the value of the browser's cookie, for a request object by value; empty for a request_uri.
	browser string
}

// openRequest opens a stored request for this browser. It answers at once when no interaction is needed, and otherwise
// redirects the browser to its interaction. Errors of a request that is not this client's go to back.
func (h *Handler) openRequest(
	w http.ResponseWriter, r *http.Request, caller *client.Client, of opening, back redirectTarget,
) {
	ctx, id := r.Context(), of.id
	opened, err := h.store.Open(ctx, id, browser.Session(r))
	known := err == nil || errors.Is(err, store.ErrExpired) || errors.Is(err, store.ErrConsumed)
	if known && opened.Request.ClientID != caller.ID {
		known, err = false, store.ErrNotFound // another client's request: neither used nor revealed
	}
	if !known {
		h.redirectError(w, r, back, of.failed(err))
		return
	}
	var checked request.Request
	if err := json.Unmarshal(opened.Request.Parameters, &checked); err != nil {
		h.showError(w, r, err)
		return
	}
	// Until the request is answered, whoever has seen it can have it refused again and again: such an answer is no evidence.
	back = targetOf(caller, &checked)
	back.answers = false
	if err == nil {
		_, err = h.recheck(ctx, caller, &checked)
	}
	if err != nil {
		h.redirectError(w, r, back, of.failed(err))
		return
	}
	now := h.now()
	var granted approved
	satisfied := false
	if opened.Session != nil {
		granted, satisfied, err = h.satisfied(ctx, caller, &checked, opened.Session, now, false)
		if err != nil {
			h.redirectError(w, r, back, err)
			return
		}
	}
	switch {
	case satisfied && h.mayBeSilent(granted, opened.Consent):
		h.answerSilently(w, r, of, granted, back)
	case slices.Contains(checked.Prompt, "none"):
		// A client that the user never allowed must not find out who is signed in by naming them.
		names := checked.Claims.Subject() != "" && opened.Consent == nil
		h.refusePrompt(w, r, of, satisfied && !names, back)
	default:
		interaction := store.Interaction{RequestID: id, CreatedAt: now, ExpiresAt: now.Add(h.interactionLifetime)}
		if satisfied {
			interaction.Session = opened.Session.ID
		}
		var why func(store.Digest) store.Evidence
		if opened.Session != nil && !satisfied {
			why = func(id store.Digest) store.Evidence { return h.stepUp(ctx, caller.ID, id, &checked, opened.Session) }
		}
		h.beginInteraction(w, r, interaction, of.browser, why)
	}
}

// recheck checks a stored request again, and reads the consent that it names, if it does: its client's registration, the configuration
// and the consent may have changed since.
func (h *Handler) recheck(ctx context.Context, caller *client.Client, stored *request.Request) (*consent.Consent, error) {
	at := request.ByValue
	if stored.Pushed {
		at = request.Pushed
	}
	if err := h.checker.Recheck(ctx, at, caller, stored); err != nil {
		return nil, err
	}
	return h.consents.Check(ctx, caller, stored.Consent, stored.Scopes)
}

// failed returns the error for a request that cannot be opened.
func (o opening) failed(err error) error {
	byValue := o.browser != ""
	switch {
	case byValue && (errors.Is(err, store.ErrExpired) || errors.Is(err, store.ErrConsumed)):
		return oauth.Errorf(oauth.InvalidRequestObject,
			"the request object was used in this browser before; start again, with a new one").Because(err)
	case errors.Is(err, store.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequestURI,
			"request_uri is not known for this client; push a new request").Because(err)
	case errors.Is(err, store.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequestURI, "request_uri has expired; push a new request").Because(err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.InvalidRequestURI, "request_uri was used before; push a new request").Because(err)
	}
	return err
}

// answerSilently grants without a page: the user is signed in and the stored consent covers the request. Errors go to back.
func (h *Handler) answerSilently(
	w http.ResponseWriter, r *http.Request, of opening, granted approved, back redirectTarget,
) {
	finish, prepared, err := h.grant(r.Context(), granted, store.Finish{Request: of.id}, "stored")
	if err != nil {
		h.redirectError(w, r, back, of.failed(err))
		return
	}
	if err := h.store.Finish(r.Context(), finish); err != nil {
		h.redirectError(w, r, back, of.failed(err))
		return
	}
	send(w, prepared)
}

// refusePrompt answers a prompt=none that needs interaction (OpenID Connect Core §3.1.2.6), which consumes the request.
func (h *Handler) refusePrompt(
	w http.ResponseWriter, r *http.Request, of opening, signedIn bool, back redirectTarget,
) {
	refusal := oauth.Errorf(oauth.LoginRequired, "the user is not signed in, or not as the request demands")
	if signedIn {
		refusal = oauth.Errorf(oauth.ConsentRequired, "the user has to decide")
	}
	why := h.ended(r.Context(), back.client.ID, store.Digest{}, refusal.Code, refusal.Description)
	if err := h.store.Finish(r.Context(), store.Finish{Request: of.id, Evidence: []store.Evidence{why}}); err != nil {
		h.redirectError(w, r, back, of.failed(err))
		return
	}
	back.answers = true
	h.redirectError(w, r, back, refusal)
}
