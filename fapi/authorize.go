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

// authorize is the authorization endpoint (RFC 6749 §3.1). Of what a browser brings, only client_id counts and either
// request_uri, which stands for a request that was pushed, or request, where the client's profile takes a signed request
// object by value.
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
	back := refusalTarget(client, form.Get, false)
	requestURI := form.Get("request_uri")
	switch {
	case requestURI == "" && form.Has("request") && !client.Profile.RequirePushed:
		s.authorizeByValue(w, r, client, form, back)
		return
	case requestURI != "" && form.Has("request") && !client.Profile.RequirePushed:
		s.redirectError(w, r, back, oauth.Errorf(oauth.InvalidRequest, "request and request_uri exclude each other (RFC 9101 §5)"))
		return
	case requestURI == "" && !client.Profile.RequirePushed:
		s.redirectError(w, r, back, oauth.Errorf(oauth.InvalidRequest, "the request is not signed; push it (RFC 9126), or send a request object as request (RFC 9101)"))
		return
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

// openRequest opens a pushed request for this browser. It is answered at once when nobody needs to be asked, and
// otherwise the browser is sent to its interaction.
func (s *Server) openRequest(w http.ResponseWriter, r *http.Request, client *Client, id store.Digest, back redirectTarget) {
	ctx := r.Context()
	opened, err := s.store.Open(ctx, id, sessionOf(r))
	pushed := opened.Request
	known := err == nil || errors.Is(err, store.ErrExpired) || errors.Is(err, store.ErrConsumed)
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
		back = request.target(client)
	}
	if err != nil {
		s.redirectError(w, r, back, unopened(err))
		return
	}
	session := opened.Session
	if session != nil {
		satisfied, err := s.satisfied(ctx, client, &request, session, pushed.CreatedAt, s.now())
		if err != nil {
			s.redirectError(w, r, back, err)
			return
		}
		if !satisfied {
			session = nil
		}
	}
	switch {
	case session != nil && s.mayBeSilent(client, &request, opened.Consent):
		s.answerSilently(w, r, client, pushed, &request, session)
	case slices.Contains(request.Prompt, "none"):
		s.refusePrompt(w, r, id, session, back)
	default:
		now := s.now()
		interaction := store.Interaction{RequestID: id, CreatedAt: now, ExpiresAt: now.Add(s.config.InteractionLifetime)}
		if session != nil {
			interaction.Session = session.ID
		}
		s.beginInteraction(w, r, interaction)
	}
}

// unopened is the answer to a request_uri that cannot be used.
func unopened(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return oauth.Errorf(oauth.InvalidRequestURI, "request_uri is not known for this client; push a new request").Because(err)
	case errors.Is(err, store.ErrExpired):
		return oauth.Errorf(oauth.InvalidRequestURI, "request_uri has expired; push a new request").Because(err)
	case errors.Is(err, store.ErrConsumed):
		return oauth.Errorf(oauth.InvalidRequestURI, "request_uri was used before; push a new request").Because(err)
	}
	return err
}

// answerSilently grants without a page: the person is signed in and has allowed all of it before.
func (s *Server) answerSilently(w http.ResponseWriter, r *http.Request, client *Client, pushed store.Request, request *authorizationRequest, session *store.Session) {
	finish := store.Finish{Request: pushed.ID}
	prepared, err := s.grant(r.Context(), &finish, client, request, session)
	if err == nil {
		err = s.store.Finish(r.Context(), finish)
	}
	if err != nil {
		s.redirectError(w, r, request.target(client), unopened(err))
		return
	}
	send(w, prepared)
}

// refusePrompt answers a prompt=none that needs a page (OpenID Connect Core §3.1.2.6). The answer spends the request.
func (s *Server) refusePrompt(w http.ResponseWriter, r *http.Request, id store.Digest, session *store.Session, back redirectTarget) {
	refusal := oauth.Errorf(oauth.LoginRequired, "the person is not signed in, or not as the request wants it")
	if session != nil {
		refusal = oauth.Errorf(oauth.ConsentRequired, "the person has to decide")
	}
	if err := s.store.Finish(r.Context(), store.Finish{Request: id}); err != nil {
		s.redirectError(w, r, back, unopened(err))
		return
	}
	s.redirectError(w, r, back, refusal)
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
	if isSigned(back.mode) && !back.answers { // the HSM would sign it for anybody
		if err := s.brakes.unproven("refusal", back.client.ID); err != nil {
			s.showError(w, r, err)
			return
		}
	}
	refusal := oauth.AsError(err)
	prepared, err := s.prepare(r.Context(), back, url.Values{
		"error":             {refusal.Code},
		"error_description": {oauth.Printable(refusal.Description) + " (correlation id " + e.correlationID + ")"},
	})
	if err == nil {
		err = s.record(r.Context(), prepared.evidence...)
	}
	if err != nil { // an answer that has to be signed is not sent without, nor one without its evidence
		s.showError(w, r, err)
		return
	}
	send(w, prepared)
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
