package fapi

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"countersign/internal/oauth"
	"countersign/store"
)

const (
	// maxState and maxNonce are in bytes. Longer values are refused, never cut.
	maxState = 4096
	maxNonce = 2048
	// maxHint bounds login_hint, in bytes.
	maxHint = 512
	// maxACRs bounds the number of acr values asked for.
	maxACRs = 20
)

// authorizationRequest is a validated authorization request, as it is stored from the push to the decision.
type authorizationRequest struct {
	RedirectURI string `json:"redirect_uri"`
	// ResponseType has its words in alphabetical order; empty means code. ResponseMode is how the answer goes back, with
	// jwt already made what it stands for; empty means query.
	ResponseType string   `json:"response_type,omitempty"`
	ResponseMode string   `json:"response_mode,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	State        string   `json:"state,omitempty"`
	Nonce        string   `json:"nonce,omitempty"`
	Challenge    string   `json:"code_challenge,omitempty"`
	// Pushed tells that the client proved itself when it made the request.
	Pushed bool     `json:"pushed,omitempty"`
	JKT    string   `json:"dpop_jkt,omitempty"`
	Prompt []string `json:"prompt,omitempty"`
	// MaxAge is in seconds; nil when not given.
	MaxAge    *int64 `json:"max_age,omitempty"`
	LoginHint string `json:"login_hint,omitempty"`
	// Subject is who the client wants to be signed in, as the client knows the person, or empty.
	Subject string `json:"subject,omitempty"`
	// ACRs are the authentication context classes that are wished for, best first; one of EssentialACRs, if there
	// are any, must be reached.
	ACRs          []string `json:"acrs,omitempty"`
	EssentialACRs []string `json:"essential_acrs,omitempty"`

	Claims    *claimsRequest `json:"claims,omitempty"`
	Details   details        `json:"authorization_details,omitempty"`
	Resources []string       `json:"resources,omitempty"`
}

// readRequest holds the parameters of an authorization request to the client's profile. They are those of its request
// object where there is one.
func (s *Server) readRequest(ctx context.Context, client *Client, form oauth.Form, pushed bool) (*authorizationRequest, error) {
	_, span := s.span(ctx, "policy")
	defer span.End()
	span.SetAttributes(attribute.String("fapi.profile", client.Profile.Name))
	request := &authorizationRequest{
		Pushed:      pushed,
		RedirectURI: form.Get("redirect_uri"), State: form.Get("state"), Nonce: form.Get("nonce"),
		Challenge: form.Get("code_challenge"), JKT: form.Get("dpop_jkt"), LoginHint: form.Get("login_hint"),
	}
	checks := []func(*Client, oauth.Form, *authorizationRequest) error{
		checkRedirectURI, checkResponse, checkPKCE, checkValues, s.readDetails, s.checkScopes, checkNonce, checkBinding, checkPrompt,
		s.readResources, s.readClaims, s.readACRs,
	}
	for _, check := range checks {
		if err := check(client, form, request); err != nil {
			return nil, err
		}
	}
	if err := s.readHint(ctx, client, form, request); err != nil {
		return nil, err
	}
	return request, nil
}

// checkRedirectURI demands an address that is registered, to the byte (RFC 9700 §2.1, FAPI 2.0 Security Profile
// §5.3.2.2-6). Addresses that are not registered are not accepted from confidential clients either, which
// RFC 9126 §2.4 would permit.
func checkRedirectURI(client *Client, _ oauth.Form, request *authorizationRequest) error {
	if request.RedirectURI == "" {
		return oauth.Errorf(oauth.InvalidRequest, "redirect_uri is missing")
	}
	if !slices.Contains(client.Metadata.RedirectURIs, request.RedirectURI) {
		return oauth.Errorf(oauth.InvalidRequest, "redirect_uri is not registered for this client; it must match to the byte")
	}
	return nil
}

// checkPKCE demands an S256 challenge (RFC 7636 §4.3, FAPI 2.0 Security Profile §5.3.2.2-5), unless the profile leaves
// requests of this kind without one.
func checkPKCE(client *Client, form oauth.Form, request *authorizationRequest) error {
	optional := client.Profile.PKCE == PKCEPushed && !request.Pushed
	if optional && !form.Has("code_challenge") && !form.Has("code_challenge_method") {
		return nil
	}
	if request.Challenge == "" {
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge is missing; PKCE with S256 is required")
	}
	if form.Get("code_challenge_method") != "S256" {
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge_method must be S256")
	}
	if !isDigest(request.Challenge) {
		return oauth.Errorf(oauth.InvalidRequest, "code_challenge must be a SHA-256 digest in base64url without padding (43 characters)")
	}
	return nil
}

// isDigest tells whether text is 32 bytes in base64url.
func isDigest(text string) bool {
	digest, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(digest) == 32 && len(text) == 43 // the decoder passes over line ends
}

// checkValues bounds what is handed back to the client or stored.
func checkValues(_ *Client, _ oauth.Form, request *authorizationRequest) error {
	for _, value := range []struct {
		name, text string
		most       int
	}{{"state", request.State, maxState}, {"nonce", request.Nonce, maxNonce}, {"login_hint", request.LoginHint, maxHint}} {
		if len(value.text) > value.most {
			return oauth.Errorf(oauth.InvalidRequest, "%s is longer than %d bytes", value.name, value.most)
		}
	}
	// RFC 6749 Appendix A.5: state is visible ASCII.
	if strings.ContainsFunc(request.State, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return oauth.Errorf(oauth.InvalidRequest, "state may hold printable ASCII characters only (RFC 6749 Appendix A.5)")
	}
	return nil
}

// checkScopes keeps the known scope values. Unknown ones are ignored (OpenID Connect Core §3.1.2.1) and missing in
// the token response; known ones that are not registered for the client are refused.
func (s *Server) checkScopes(client *Client, form oauth.Form, request *authorizationRequest) error {
	for _, name := range strings.Fields(form.Get("scope")) {
		if !slices.ContainsFunc(s.scopes, func(known Scope) bool { return known.Name == name }) {
			continue
		}
		if !slices.Contains(client.scopes, name) {
			return oauth.Errorf(oauth.InvalidScope, "the scope %q is not registered for this client", name)
		}
		if !slices.Contains(request.Scopes, name) {
			request.Scopes = append(request.Scopes, name)
		}
	}
	if len(request.Scopes) == 0 && len(request.Details) == 0 {
		return oauth.Errorf(oauth.InvalidScope, "scope names nothing that this server knows")
	}
	if request.Nonce != "" && !slices.Contains(request.Scopes, "openid") {
		request.Nonce = "" // it would come back nowhere
	}
	return nil
}

// checkBinding checks dpop_jkt (RFC 9449 §10).
func checkBinding(client *Client, _ oauth.Form, request *authorizationRequest) error {
	if request.JKT == "" {
		return nil
	}
	if client.constraint() != ByDPoP {
		return oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound to its certificate; send no dpop_jkt")
	}
	if !isDigest(request.JKT) {
		return oauth.Errorf(oauth.InvalidRequest, "dpop_jkt must be a SHA-256 thumbprint in base64url without padding (43 characters)")
	}
	return nil
}

// prompts are the values of prompt that are understood.
func prompts() []string { return []string{"none", "login", "consent", "select_account"} }

// checkPrompt reads prompt and max_age (OpenID Connect Core §3.1.2.1).
func checkPrompt(client *Client, form oauth.Form, request *authorizationRequest) error {
	request.Prompt = strings.Fields(form.Get("prompt"))
	for _, prompt := range request.Prompt {
		if !slices.Contains(prompts(), prompt) {
			return oauth.Errorf(oauth.InvalidRequest, "prompt holds an unknown value; known are none, login, consent, select_account")
		}
	}
	if len(request.Prompt) > 1 && slices.Contains(request.Prompt, "none") {
		return oauth.Errorf(oauth.InvalidRequest, "prompt=none must stand alone")
	}
	if raw := form.Get("max_age"); raw != "" {
		age, err := strconv.ParseInt(raw, 10, 32)
		if err != nil || age < 0 {
			return oauth.Errorf(oauth.InvalidRequest, "max_age must be a number of seconds")
		}
		request.MaxAge = &age
	} else {
		request.MaxAge = client.Metadata.DefaultMaxAge
	}
	return nil
}

// readDetails reads authorization_details (RFC 9396 §2). Unlike an unknown scope, an unknown type is refused (§5).
func (s *Server) readDetails(client *Client, form oauth.Form, request *authorizationRequest) error {
	raw := form.Get("authorization_details")
	if raw == "" {
		return nil
	}
	var err error
	request.Details, err = s.details.read(raw, client.Metadata.AuthorizationDetailsTypes)
	return err
}

// readResources reads the resources that access tokens will be for (RFC 8707 §2).
func (s *Server) readResources(_ *Client, form oauth.Form, request *authorizationRequest) error {
	for _, resource := range form.All("resource") {
		if !s.knownResource(resource) {
			return oauth.Errorf(oauth.InvalidTarget, "resource names no resource server that is known here (RFC 8707 §2)")
		}
		if !slices.Contains(request.Resources, resource) {
			request.Resources = append(request.Resources, resource)
		}
	}
	audience := request.Resources
	if len(audience) == 0 {
		audience = []string{s.config.Issuer}
	}
	// Otherwise a person would allow what is then in no token (RFC 9396 §9).
	if len(request.Details.forResource(audience)) < len(request.Details) {
		return oauth.Errorf(oauth.InvalidTarget, "the locations of authorization_details must be among the values of resource, or this server where there are none")
	}
	if len(request.Details) == 0 && len(s.meaningful(request.Scopes, audience)) == 0 {
		return oauth.Errorf(oauth.InvalidTarget, "no scope asked for means anything to the resource %s", strings.Join(audience, " "))
	}
	return nil
}

// readACRs reads acr_values and the acr of the claims parameter (OpenID Connect Core §3.1.2.1, §5.5.1.1). What is
// essential and can never be reached is refused here, before a person is bothered.
func (s *Server) readACRs(client *Client, form oauth.Form, request *authorizationRequest) error {
	request.ACRs = strings.Fields(form.Get("acr_values"))
	if len(request.ACRs) == 0 {
		request.ACRs = client.Metadata.DefaultACRValues
	}
	if len(request.ACRs) > maxACRs {
		return oauth.Errorf(oauth.InvalidRequest, "acr_values holds more than %d values", maxACRs)
	}
	wanted, essential := request.Claims.acr()
	if len(wanted) > maxACRs {
		return oauth.Errorf(oauth.InvalidRequest, "the claims parameter names more than %d acr values", maxACRs)
	}
	if !essential {
		request.ACRs = append(wanted, request.ACRs...)
		return nil
	}
	if len(wanted) == 0 {
		wanted = s.config.ACRValues // essential with any value
	}
	request.EssentialACRs = intersect(s.config.ACRValues, wanted)
	if len(request.EssentialACRs) == 0 {
		return oauth.Errorf(oauth.UnmetAuthentication, "none of the acr values that are essential can be reached here; acr_values_supported lists those that can")
	}
	return nil
}

// readHint reads id_token_hint (OpenID Connect Core §3.1.2.1): an ID token that this server issued to this client,
// which may have expired. It and the sub of the claims parameter say who is to be signed in.
func (s *Server) readHint(ctx context.Context, client *Client, form oauth.Form, request *authorizationRequest) error {
	request.Subject = request.Claims.subject()
	raw := form.Get("id_token_hint")
	if raw == "" {
		return nil
	}
	var hint idTokenClaims
	err := s.verifyOwn(ctx, raw, "JWT", &hint)
	if err == nil && (hint.Issuer != s.config.Issuer || hint.Audience != client.ID || hint.Subject == "") {
		err = errNotOurs
	}
	if errors.Is(err, errNotOurs) {
		return oauth.Errorf(oauth.InvalidRequest, "id_token_hint is not an ID token that this server issued to this client").Because(err)
	}
	if err != nil {
		return err
	}
	if request.Subject != "" && request.Subject != hint.Subject {
		return oauth.Errorf(oauth.InvalidRequest, "id_token_hint and the claims parameter name different persons")
	}
	request.Subject = hint.Subject
	return nil
}

// satisfied tells whether a sign-in is what the request wants: recent enough when the browser came, the right person,
// strong enough. How long the person then takes to decide does not count.
func (s *Server) satisfied(ctx context.Context, client *Client, r *authorizationRequest, session *store.Session, pushedAt, cameAt time.Time) (bool, error) {
	if r.MaxAge != nil && cameAt.Sub(session.AuthTime) > time.Duration(*r.MaxAge)*time.Second {
		return false, nil
	}
	// A sign-in made for this very request satisfies prompt=login; an older one does not.
	again := slices.Contains(r.Prompt, "login") || slices.Contains(r.Prompt, "select_account")
	if again && session.AuthTime.Before(pushedAt) {
		return false, nil
	}
	if len(r.EssentialACRs) > 0 && !slices.Contains(r.EssentialACRs, session.ACR) {
		return false, nil
	}
	if r.Subject == "" {
		return true, nil
	}
	subject, err := s.subjectFor(ctx, client, session.Subject)
	return subject == r.Subject, err
}

// mayBeSilent tells whether the request can be answered without a page, given what the person allowed before.
func (s *Server) mayBeSilent(client *Client, r *authorizationRequest, consent *store.Consent) bool {
	// What a person allowed was shown for the registration of that time, and for no resource in particular.
	if consent == nil || consent.CreatedAt.Before(client.changedAt) || len(r.Resources) > 0 || len(r.Details) > 0 || slices.ContainsFunc(r.Prompt, func(p string) bool { return p != "none" }) {
		return false
	}
	for _, name := range r.Scopes {
		if !slices.Contains(consent.Scopes, name) || s.scope(name).AlwaysAsk {
			return false
		}
	}
	for _, name := range r.singleClaims() {
		if !slices.Contains(consent.Claims, name) {
			return false
		}
	}
	return true
}

// singleClaims are the names of the claims asked for that no scope of the request stands for.
func (r *authorizationRequest) singleClaims() []string {
	var names []string
	for _, name := range r.Claims.names() {
		byScope := slices.ContainsFunc(r.Scopes, func(scope string) bool { return slices.Contains(claimsOf(scope), name) })
		if !byScope {
			names = append(names, name)
		}
	}
	return names
}

// seconds is a duration as JSON wants it.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }

// checkNonce demands what ties an answer to its request where the profile wants it from the request itself (FAPI 1.0
// Baseline §5.2.2.2, §5.2.2.3; OpenID Connect Core §3.3.2.11 for ID tokens through the browser).
func checkNonce(client *Client, _ oauth.Form, request *authorizationRequest) error {
	openID := slices.Contains(request.Scopes, "openid")
	withIDToken := slices.Contains(strings.Fields(request.ResponseType), "id_token")
	switch {
	case withIDToken && !openID:
		return oauth.Errorf(oauth.InvalidRequest, "response_type %s needs the scope openid", request.ResponseType)
	case request.Nonce == "" && (withIDToken || client.Profile.RequireNonce && openID):
		return oauth.Errorf(oauth.InvalidRequest, "nonce is missing")
	case request.State == "" && client.Profile.RequireNonce && !openID:
		return oauth.Errorf(oauth.InvalidRequest, "state is missing; without the scope openid it is what ties the answer to the request")
	}
	return nil
}
