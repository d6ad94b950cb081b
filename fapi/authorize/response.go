package authorize

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/fapi/authorize/page"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/request"
	"countersign/internal/oauth"
	"countersign/store"
)

// redirectTarget is where and how a response is sent through the browser. Its uri is registered for the client, or
// empty.
type redirectTarget struct {
	uri   string
	state string
	// mode is one of query, fragment, form_post, query.jwt, fragment.jwt, form_post.jwt.
	mode   string
	client *client.Client
	// answers is true when the request came from the client: pushed, or in a signed request object.
	answers bool
}

// targetOf returns where the response to a checked request goes: nowhere if its redirect URI is no longer registered.
func targetOf(caller *client.Client, checked *request.Request) redirectTarget {
	mode := checked.ResponseMode
	if mode == "" {
		mode = "query"
	}
	target := redirectTarget{state: checked.State, mode: mode, client: caller, answers: true}
	if caller.HasRedirectURI(checked.RedirectURI) {
		target.uri = checked.RedirectURI
	}
	return target
}

// refusalTarget returns where an error goes while the request is not checked: the redirect_uri that it names, if that
// is registered for its client, and otherwise none. whole says that parameter reads the complete request.
func refusalTarget(caller *client.Client, parameter func(string) string, whole bool) redirectTarget {
	back := redirectTarget{
		state: parameter("state"), client: caller,
		mode: refusalMode(caller, parameter("response_type"), parameter("response_mode"), whole),
	}
	if address := parameter("redirect_uri"); caller.HasRedirectURI(address) {
		back.uri = address
	}
	return back
}

// refusalMode returns the response mode of an error whose request could not be checked. An error holds no secret, so
// that it is sent in the mode that the request names; it is signed only for a client whose profile has signed
// responses. Without response_mode the default of the response_type applies when the request is complete, and the
// client's first mode when it could not be read.
func refusalMode(caller *client.Client, rawKind, rawMode string, whole bool) string {
	kind := request.ResponseType(rawKind)
	known := slices.Contains(caller.Profile.ResponseTypes, kind)
	if !known && len(caller.Profile.ResponseTypes) > 0 {
		kind = caller.Profile.ResponseTypes[0]
	}
	allowed, mode := caller.Profile.ResponseModes[kind], request.ResponseMode(rawMode, kind)
	switch {
	case slices.Contains([]string{"query", "fragment", "form_post"}, rawMode), whole && known && rawMode == "":
		return mode
	case slices.Contains(allowed, mode), slices.Contains(allowed, rawMode):
		return mode
	case len(allowed) == 0:
		return "query"
	}
	return request.ResponseMode(allowed[0], kind)
}

// isSigned reports whether a response_mode is one of JARM's.
func isSigned(mode string) bool { return mode == "jwt" || strings.HasSuffix(mode, ".jwt") }

// response is an authorization response that is ready to be sent.
type response struct {
	to redirectTarget
	// parameters are sent through the browser.
	parameters url.Values
	// evidence is recorded before the response is sent: its signed part, if it answers a request of the client. Responses
	// to unauthenticated requests are not recorded, so that they cannot fill the log.
	evidence []store.Evidence
}

// prepare makes an authorization response with state and iss (RFC 9207), signs it where its mode says so, and
// encrypts it to a client that registered that: then all of it is in the one parameter "response" (JARM §2.3).
func (h *Handler) prepare(ctx context.Context, to redirectTarget, subject string, parameters url.Values) (response, error) {
	if to.state != "" {
		parameters.Set("state", to.state)
	}
	signed := isSigned(to.mode)
	to.mode = strings.TrimSuffix(to.mode, ".jwt")
	if !signed {
		parameters.Set("iss", h.addresses.Issuer)
		return response{to: to, parameters: parameters}, nil
	}
	jarm, kept, err := h.tokens.AuthorizationResponse(ctx, to.client, subject, parameters)
	if err != nil {
		return response{}, err
	}
	prepared := response{to: to, parameters: url.Values{"response": {jarm}}}
	if to.answers {
		prepared.evidence = []store.Evidence{kept}
	}
	return prepared, nil
}

// send sends a response through the browser.
func send(w http.ResponseWriter, r response) {
	switch r.to.mode {
	case "form_post":
		page.PostForm(w, r.to.uri, r.parameters)
	case "fragment":
		browser.SeeOther(w, r.to.uri+"#"+r.parameters.Encode())
	default:
		separator := "?"
		if strings.Contains(r.to.uri, "?") {
			separator = "&"
		}
		browser.SeeOther(w, r.to.uri+separator+r.parameters.Encode())
	}
}

// redirectError sends an error to the client through the browser, or shows it when there is no valid redirect URI.
func (h *Handler) redirectError(w http.ResponseWriter, r *http.Request, back redirectTarget, err error) {
	e := event.Of(r.Context())
	err = endpoint.Translate(err)
	e.Failed(err)
	if back.uri == "" {
		h.showError(w, r, err)
		return
	}
	if isSigned(back.mode) && !back.answers { // signed for unauthenticated requests: limited
		if err := h.mayBeRefused(r, back.client, err); err != nil {
			h.showError(w, r, err)
			return
		}
	}
	refusal := oauth.AsError(err)
	prepared, err := h.prepare(r.Context(), back, "", url.Values{
		"error":             {refusal.Code},
		"error_description": {oauth.Printable(refusal.Description) + " (correlation id " + e.CorrelationID + ")"},
	})
	if err != nil { // a response that has to be signed is not sent without
		h.showError(w, r, err)
		return
	}
	if err := h.evidence.Record(r.Context(), prepared.evidence...); err != nil {
		h.showError(w, r, err)
		return
	}
	send(w, prepared)
}

// mayBeRefused counts a signed error response to an unauthenticated request, by address first.
func (h *Handler) mayBeRefused(r *http.Request, caller *client.Client, refusal error) error {
	if refused := oauth.AsError(refusal); refused.Status == http.StatusTooManyRequests {
		return refusal // a limit is no reason to sign
	}
	if err := h.limits.Stranger(r); err != nil {
		return err
	}
	return h.limits.Unauthenticated("refusal", caller.ID)
}

// showError shows an error to the user.
func (h *Handler) showError(w http.ResponseWriter, r *http.Request, err error) {
	browser.ShowError(h.interactor, w, r, err)
}
