package fapi

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/internal/oauth"
	"countersign/store"
)

// authorize is the authorization endpoint (RFC 6749 §3.1). Of what a browser brings, only client_id and request_uri
// count; the rest of the request was pushed.
func (s *Server) authorize(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		s.authorizeByPost(w, r)
		return
	}
	form, err := oauth.ReadQuery(r)
	if err != nil {
		s.showError(w, r, err)
		return
	}
	ctx := r.Context()
	client, err := s.clients.get(ctx, form.Get("client_id"))
	if errors.Is(err, store.ErrNotFound) {
		err = oauth.Errorf(oauth.InvalidClient, "the application that sent you here is not registered")
	}
	if err != nil {
		s.showError(w, r, err)
		return
	}
	eventOf(ctx).client = client.ID
	// An address in the query is only good for sending an error back, and only if it is registered.
	back := redirectTarget{state: form.Get("state")}
	if address := form.Get("redirect_uri"); slices.Contains(client.Metadata.RedirectURIs, address) {
		back.uri = address
	}
	requestURI := form.Get("request_uri")
	switch {
	case requestURI == "":
		s.redirectError(w, r, back, oauth.Errorf(oauth.InvalidRequest, "request_uri is missing; push the request first (RFC 9126)"))
		return
	case !strings.HasPrefix(requestURI, requestURIPrefix):
		s.redirectError(w, r, back, oauth.Errorf(oauth.InvalidRequestURI, "request_uri was not issued by this server"))
		return
	}
	s.openRequest(w, r, client, store.DigestOf(requestURI), back)
}

// authorizeByPost turns a POST (OpenID Connect Core §3.1.2.1) into the same GET, to which the browser adds its
// SameSite cookies.
func (s *Server) authorizeByPost(w http.ResponseWriter, r *http.Request) {
	form, err := oauth.ReadForm(w, r)
	if err != nil {
		s.showError(w, r, err)
		return
	}
	seeOther(w, s.config.Issuer+"/authorize?"+form.Values().Encode())
}

// openRequest opens a pushed request for this browser and sends it to its interaction.
func (s *Server) openRequest(w http.ResponseWriter, r *http.Request, client *Client, id store.Digest, back redirectTarget) {
	ctx := r.Context()
	pushed, session, err := s.store.Open(ctx, id, sessionOf(r))
	known := err == nil || errors.Is(err, store.ErrExpired) || errors.Is(err, store.ErrSpent)
	if known && pushed.ClientID != client.ID {
		err = store.ErrNotFound // nothing of another client's request is used or told
		known = false
	}
	var request authorizationRequest
	if known {
		if err := json.Unmarshal(pushed.Parameters, &request); err != nil {
			s.showError(w, r, err)
			return
		}
		back = redirectTarget{uri: request.RedirectURI, state: request.State}
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		err = oauth.Errorf(oauth.InvalidRequestURI, "request_uri is not known for this client; push a new request").Because(err)
	case errors.Is(err, store.ErrExpired):
		err = oauth.Errorf(oauth.InvalidRequestURI, "request_uri has expired; push a new request").Because(err)
	case errors.Is(err, store.ErrSpent):
		err = oauth.Errorf(oauth.InvalidRequestURI, "request_uri was used before; push a new request").Because(err)
	}
	if err != nil {
		s.redirectError(w, r, back, err)
		return
	}
	now := s.now()
	if session != nil && request.mustSignIn(session.AuthTime, pushed.CreatedAt, now) {
		session = nil
	}
	interaction := store.Interaction{RequestID: id, CreatedAt: now, ExpiresAt: now.Add(s.config.InteractionLifetime)}
	if session != nil {
		interaction.Session = session.ID
	}
	if slices.Contains(request.Prompt, "none") {
		s.refusePrompt(w, r, interaction, back)
		return
	}
	s.beginInteraction(w, r, interaction)
}

// refusePrompt answers prompt=none: a decision of the person is always needed, so it can never succeed.
func (s *Server) refusePrompt(w http.ResponseWriter, r *http.Request, interaction store.Interaction, back redirectTarget) {
	refusal := oauth.Errorf(oauth.LoginRequired, "the person is not signed in")
	if !interaction.Session.Zero() {
		refusal = oauth.Errorf(oauth.ConsentRequired, "the person has to decide")
	}
	s.redirectError(w, r, back, refusal)
}

// redirectTarget is where an answer may be sent through the browser. Its uri is registered for the client, or empty.
type redirectTarget struct {
	uri   string
	state string
}

// redirectError sends an error to the client through the browser, or shows it when no address is proven.
func (s *Server) redirectError(w http.ResponseWriter, r *http.Request, back redirectTarget, err error) {
	e := eventOf(r.Context())
	err = translate(err)
	e.failed(err)
	if back.uri == "" {
		s.showError(w, r, err)
		return
	}
	refusal := oauth.AsError(err)
	s.redirect(w, back, url.Values{
		"error":             {refusal.Code},
		"error_description": {oauth.Printable(refusal.Description) + " (correlation id " + e.correlationID + ")"},
	})
}

// redirect sends an answer to the client through the browser, with state and iss (RFC 9207).
func (s *Server) redirect(w http.ResponseWriter, to redirectTarget, parameters url.Values) {
	if to.state != "" {
		parameters.Set("state", to.state)
	}
	parameters.Set("iss", s.config.Issuer)
	separator := "?"
	if strings.Contains(to.uri, "?") {
		separator = "&"
	}
	seeOther(w, to.uri+separator+parameters.Encode())
}

// seeOther is the only redirect that the server sends: 303, so that no browser repeats a form with a password
// (FAPI 2.0 Security Profile §5.3.2.2-10).
func seeOther(w http.ResponseWriter, address string) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Location", address)
	w.WriteHeader(http.StatusSeeOther)
}

// showError shows an error to the person.
func (s *Server) showError(w http.ResponseWriter, r *http.Request, err error) {
	e := eventOf(r.Context())
	err = translate(err)
	e.failed(err)
	refusal := oauth.AsError(err)
	s.config.Interactor.Fail(w, r, Failure{
		Status: refusal.HTTPStatus(), Code: refusal.Code, Description: refusal.Description, CorrelationID: e.correlationID,
	})
}
