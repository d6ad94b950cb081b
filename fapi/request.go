package fapi

import (
	"context"
	"encoding/base64"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"countersign/internal/oauth"
)

const (
	// maxState and maxNonce are in bytes. Longer values are refused, never cut.
	maxState = 4096
	maxNonce = 2048
	// maxHint bounds login_hint and ui_locales, in bytes.
	maxHint = 512
)

// authorizationRequest is a validated authorization request, as it is stored from the push to the decision.
type authorizationRequest struct {
	RedirectURI string   `json:"redirect_uri"`
	Scopes      []string `json:"scopes"`
	State       string   `json:"state,omitempty"`
	Nonce       string   `json:"nonce,omitempty"`
	Challenge   string   `json:"code_challenge"`
	JKT         string   `json:"dpop_jkt,omitempty"`
	Prompt      []string `json:"prompt,omitempty"`
	// MaxAge is in seconds; nil when not given.
	MaxAge    *int64 `json:"max_age,omitempty"`
	LoginHint string `json:"login_hint,omitempty"`
}

// readRequest holds the parameters of an authorization request to the client's profile.
func (s *Server) readRequest(ctx context.Context, client *Client, form oauth.Form) (*authorizationRequest, error) {
	_, span := s.span(ctx, "policy")
	defer span.End()
	span.SetAttributes(attribute.String("fapi.profile", client.Profile.Name))
	if form.Has("request") {
		return nil, oauth.Errorf(oauth.RequestNotSupported, "signed request objects are not supported for this client; push plain parameters")
	}
	request := &authorizationRequest{
		RedirectURI: form.Get("redirect_uri"), State: form.Get("state"), Nonce: form.Get("nonce"),
		Challenge: form.Get("code_challenge"), JKT: form.Get("dpop_jkt"), LoginHint: form.Get("login_hint"),
	}
	checks := []func(*Client, oauth.Form, *authorizationRequest) error{
		checkRedirectURI, checkResponse, checkPKCE, checkValues, s.checkScopes, checkBinding, checkPrompt, s.checkUnsupported,
	}
	for _, check := range checks {
		if err := check(client, form, request); err != nil {
			return nil, err
		}
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

func checkResponse(client *Client, form oauth.Form, _ *authorizationRequest) error {
	switch kind := form.Get("response_type"); {
	case kind == "":
		return oauth.Errorf(oauth.InvalidRequest, "response_type is missing")
	case !slices.Contains(client.Profile.ResponseTypes, kind):
		return oauth.Errorf(oauth.UnsupportedResponseType, "response_type must be %s", strings.Join(client.Profile.ResponseTypes, " or "))
	}
	if mode := form.Get("response_mode"); mode != "" && !slices.Contains(client.Profile.ResponseModes, mode) {
		return oauth.Errorf(oauth.InvalidRequest, "response_mode must be %s", strings.Join(client.Profile.ResponseModes, " or "))
	}
	return nil
}

// checkPKCE demands an S256 challenge (RFC 7636 §4.3, FAPI 2.0 Security Profile §5.3.2.2-5).
func checkPKCE(_ *Client, form oauth.Form, request *authorizationRequest) error {
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
	return err == nil && len(digest) == 32
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
	if len(request.Scopes) == 0 {
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

// checkPrompt reads prompt and max_age (OpenID Connect Core §3.1.2.1).
func checkPrompt(_ *Client, form oauth.Form, request *authorizationRequest) error {
	request.Prompt = strings.Fields(form.Get("prompt"))
	for _, prompt := range request.Prompt {
		if !slices.Contains([]string{"none", "login", "consent", "select_account"}, prompt) {
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
	}
	return nil
}

// checkUnsupported refuses what would change the meaning of the request and is not supported, instead of granting
// something else than was asked for.
func (s *Server) checkUnsupported(_ *Client, form oauth.Form, _ *authorizationRequest) error {
	if form.Has("authorization_details") {
		return oauth.Errorf(oauth.InvalidAuthorizationDetails, "no authorization_details types are supported")
	}
	for _, resource := range form.All("resource") {
		if resource != s.config.Issuer {
			return oauth.Errorf(oauth.InvalidTarget, "access tokens are issued for the resource %s only", s.config.Issuer)
		}
	}
	return nil
}

// mustSignIn tells whether a session is too old for the request, or not wanted.
func (r *authorizationRequest) mustSignIn(authTime, pushedAt, now time.Time) bool {
	if r.MaxAge != nil && now.Sub(authTime) > time.Duration(*r.MaxAge)*time.Second {
		return true
	}
	// A sign-in made for this very request satisfies prompt=login; an older one does not.
	again := slices.Contains(r.Prompt, "login") || slices.Contains(r.Prompt, "select_account")
	return again && authTime.Before(pushedAt)
}

// seconds is a duration as JSON wants it.
func seconds(d time.Duration) int64 { return int64(d / time.Second) }
