package fapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"countersign/internal/oauth"
	"countersign/store"
)

// openInteraction is an interaction that was checked to be this browser's.
type openInteraction struct {
	handle  string
	pending store.Pending
	request authorizationRequest
	client  *Client
}

// beginInteraction stores a new interaction for this browser and sends the browser to it.
func (s *Server) beginInteraction(w http.ResponseWriter, r *http.Request, interaction store.Interaction) {
	handle := newSecret()
	interaction.ID = store.DigestOf(handle)
	interaction.Browser = store.DigestOf(browserSecret(w, r))
	if err := s.store.BeginInteraction(r.Context(), interaction); err != nil {
		s.showError(w, r, err)
		return
	}
	seeOther(w, s.config.Issuer+"/interaction/"+handle)
}

// interact checks a visit to an interaction and hands it to the Interactor.
func (s *Server) interact(w http.ResponseWriter, r *http.Request) {
	turn, err := s.turn(w, r)
	if err != nil {
		s.showError(w, r, err)
		return
	}
	s.config.Interactor.Interact(w, r, turn)
}

// ownForm reads a form that was sent from a page of this server, and from no other site.
func (s *Server) ownForm(w http.ResponseWriter, r *http.Request) (oauth.Form, error) {
	if err := s.origins.Check(r); err != nil {
		return oauth.Form{}, oauth.Errorf(oauth.AccessDenied, "this form was sent from another site").WithStatus(http.StatusForbidden).Because(err)
	}
	return oauth.ReadForm(w, r)
}

func (s *Server) turn(w http.ResponseWriter, r *http.Request) (*Turn, error) {
	var form oauth.Form
	if r.Method == http.MethodPost {
		var err error
		if form, err = s.ownForm(w, r); err != nil {
			return nil, err
		}
	}
	cookie, err := r.Cookie(browserCookie)
	if err != nil {
		return nil, oauth.Errorf(oauth.InvalidRequest, "this page belongs to another browser, or cookies are off; go back to the application and start again").Because(err)
	}
	handle := r.PathValue("handle")
	if r.Method == http.MethodPost && !sameToken(form.Get("form_token"), formToken(cookie.Value, handle)) {
		return nil, oauth.Errorf(oauth.InvalidRequest, "this form is not one that the server showed to this browser; go back and load the page again").WithStatus(http.StatusForbidden)
	}
	open, err := s.openInteraction(r.Context(), handle, store.DigestOf(cookie.Value))
	if err != nil {
		return nil, err
	}
	eventOf(r.Context()).client = open.client.ID
	turn := s.newTurn(open, formToken(cookie.Value, handle))
	turn.browser = cookie.Value
	turn.PasskeyOnly = s.passkeys != nil && slices.Equal(open.request.EssentialACRs, []string{PasskeyACR})
	if turn.Passkey, err = s.passkeyOptions(signInBinding(cookie.Value, handle), nil); err != nil {
		return nil, err
	}
	if r.Method == http.MethodPost {
		turn.Form = form.Values()
	}
	// The sign-in counts only in the browser that holds its cookie.
	if session := open.pending.Session; session != nil && session.ID == sessionOf(r) {
		turn.SignedIn = &SignedIn{Subject: session.Subject, Username: open.pending.Username, AuthTime: session.AuthTime}
	}
	return turn, nil
}

func (s *Server) openInteraction(ctx context.Context, handle string, browser store.Digest) (openInteraction, error) {
	pending, err := s.store.Interaction(ctx, store.DigestOf(handle), browser)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return openInteraction{}, oauth.Errorf(oauth.InvalidRequest, "this page belongs to another browser, or it is too old; go back to the application and start again").WithStatus(http.StatusNotFound).Because(err)
	case errors.Is(err, store.ErrExpired):
		return openInteraction{}, oauth.Errorf(oauth.InvalidRequest, "this took too long; go back to the application and start again").Because(err)
	case errors.Is(err, store.ErrConsumed):
		return openInteraction{}, oauth.Errorf(oauth.InvalidRequest, "this request was answered already; go back to the application").Because(err)
	case err != nil:
		return openInteraction{}, err
	}
	open := openInteraction{handle: handle, pending: pending}
	if err := json.Unmarshal(pending.Request.Parameters, &open.request); err != nil {
		return openInteraction{}, err
	}
	open.client, err = s.clients.get(ctx, pending.Request.ClientID)
	if errors.Is(err, store.ErrNotFound) {
		return openInteraction{}, oauth.Errorf(oauth.InvalidClient, "the application that sent you here is no longer registered").Because(err)
	}
	return open, err
}

func (s *Server) newTurn(open openInteraction, token string) *Turn {
	m := open.client.Metadata
	turn := &Turn{
		Client: ClientView{
			ID: open.client.ID, Name: m.ClientName, URI: m.ClientURI, LogoURI: m.LogoURI, PolicyURI: m.PolicyURI, TermsURI: m.TermsURI,
		},
		FormToken: token, LoginHint: open.request.LoginHint, ACRs: append(slices.Clone(open.request.EssentialACRs), open.request.ACRs...),
		Claims: open.request.singleClaims(), Details: open.request.Details.view(s.details), Resources: open.request.Resources,
		SignInFailures: open.pending.Interaction.SignInFailures, GrantLifetime: s.config.GrantLifetime,
		server: s, open: open,
	}
	if u, err := url.Parse(open.request.RedirectURI); err == nil {
		turn.Client.RedirectHost = u.Host
	}
	for _, name := range open.request.Scopes {
		turn.Scopes = append(turn.Scopes, s.scope(name))
	}
	return turn
}

// signIn stores a new session, whose cookie replaces whatever the browser had before (no fixation), and binds the
// interaction to it.
func (s *Server) signIn(w http.ResponseWriter, r *http.Request, t *Turn, a Authentication) {
	secret, now := newSecret(), s.now()
	session := store.Session{
		ID: store.DigestOf(secret), Subject: a.Subject, AuthTime: now, ACR: a.ACR, AMR: a.AMR,
		ExpiresAt: now.Add(s.config.SessionLifetime),
	}
	if err := s.store.SignIn(r.Context(), t.open.pending.Interaction.ID, session); err != nil {
		s.showError(w, r, err)
		return
	}
	setCookie(w, sessionCookie, secret, s.config.SessionLifetime)
	seeOther(w, s.config.Issuer+"/interaction/"+t.open.handle)
}

// decide ends an interaction. Of several answers to one request only the first counts.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, t *Turn, allowed bool) {
	open := t.open
	finish := store.Finish{Interaction: open.pending.Interaction.ID, Request: open.pending.Request.ID}
	refusal := oauth.Errorf(oauth.AccessDenied, "the person refused")
	var prepared response
	if allowed {
		if t.SignedIn == nil {
			s.showError(w, r, oauth.Errorf(oauth.AccessDenied, "sign in first").WithStatus(http.StatusForbidden))
			return
		}
		satisfied, err := s.satisfied(r.Context(), open.client, &open.request, open.pending.Session, open.pending.Request.CreatedAt, open.pending.Interaction.CreatedAt)
		switch {
		case err != nil:
		case satisfied:
			prepared, err = s.grant(r.Context(), &finish, open.client, &open.request, open.pending.Session)
			finish.Consent = s.consent(open)
		default:
			allowed = false
			refusal = oauth.Errorf(oauth.UnmetAuthentication, "the person signed in, but not in the way or as the one that the request demands")
		}
		if err != nil {
			s.showError(w, r, err)
			return
		}
	}
	err := s.store.Finish(r.Context(), finish)
	switch {
	case errors.Is(err, store.ErrConsumed):
		err = oauth.Errorf(oauth.InvalidRequest, "this request was answered already; go back to the application").Because(err)
	case errors.Is(err, store.ErrExpired):
		err = oauth.Errorf(oauth.InvalidRequest, "this took too long; go back to the application and start again").Because(err)
	}
	switch {
	case err != nil:
		s.showError(w, r, err)
	case !allowed:
		s.redirectError(w, r, open.request.target(open.client), refusal)
	default:
		send(w, prepared)
	}
}

// consent is what the person need not be asked again, or nil: authorization_details and resources are asked each time.
func (s *Server) consent(open openInteraction) *store.Consent {
	if len(open.request.Details) > 0 || len(open.request.Resources) > 0 {
		return nil
	}
	now := s.now()
	return &store.Consent{
		Subject: open.pending.Session.Subject, ClientID: open.client.ID, Scopes: open.request.Scopes,
		Claims: open.request.singleClaims(), CreatedAt: now, ExpiresAt: now.Add(s.config.GrantLifetime),
	}
}

// grantDetail is the part of a grant that the store does not look into.
type grantDetail struct {
	Nonce     string         `json:"nonce,omitempty"`
	Claims    *claimsRequest `json:"claims,omitempty"`
	Details   details        `json:"authorization_details,omitempty"`
	Resources []string       `json:"resources,omitempty"`
}

// readDetail reads what grant wrote.
func readDetail(grant store.Grant) (grantDetail, error) {
	var detail grantDetail
	if len(grant.Detail) == 0 {
		return detail, nil
	}
	return detail, json.Unmarshal(grant.Detail, &detail)
}

// grant fills in what the person allowed and prepares the response with the code that stands for it. Everything in the
// response is signed before the claim.
func (s *Server) grant(ctx context.Context, finish *store.Finish, client *Client, request *authorizationRequest, session *store.Session) (response, error) {
	detail, err := json.Marshal(grantDetail{
		Nonce: request.Nonce, Claims: request.Claims, Details: request.Details, Resources: request.Resources,
	})
	if err != nil {
		return response{}, err
	}
	code, now := newSecret(), s.now()
	finish.Grant = &store.Grant{
		ID: newUUID(), ClientID: client.ID, Subject: session.Subject, Scopes: request.Scopes, Detail: detail,
		AuthTime: session.AuthTime, ACR: session.ACR, AMR: session.AMR,
		CreatedAt: now, ExpiresAt: now.Add(s.config.GrantLifetime),
	}
	finish.Code = &store.Code{
		ID: store.DigestOf(code), GrantID: finish.Grant.ID, ClientID: client.ID,
		RedirectURI: request.RedirectURI, Challenge: request.Challenge, JKT: request.JKT,
		CreatedAt: now, ExpiresAt: now.Add(lifetime(s.config.CodeLifetime, client.Profile.MaxCodeLifetime)),
	}
	parameters := url.Values{"code": {code}}
	if slices.Contains(strings.Fields(request.ResponseType), "id_token") {
		idToken, kept, err := s.detachedSignature(ctx, client, *finish.Grant, request, code)
		if err != nil {
			return response{}, err
		}
		parameters.Set("id_token", idToken)
		finish.Evidence = append(finish.Evidence, kept)
	}
	prepared, err := s.prepare(ctx, request.target(client), parameters)
	finish.Evidence = append(finish.Evidence, prepared.evidence...)
	return prepared, err
}
