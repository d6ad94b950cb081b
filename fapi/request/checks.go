package request

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"countersign/fapi/claims"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/internal/oauth"
	"countersign/internal/set"
)

const (
	// maxState and maxNonce are in bytes. Longer values are refused, never truncated.
	maxState = 4096
	maxNonce = 2048
	// maxHint bounds login_hint, in bytes.
	maxHint = 512
	// maxACRs bounds the number of acr values requested.
	maxACRs = 20
)

// redirectURI demands a registered redirect URI, as [client.Client.Redirects] compares them. Unregistered ones of confidential clients, which RFC 9126 §2.4 permits, are refused.
func redirectURI(in input) (string, error) {
	address := in.form.Get("redirect_uri")
	if address == "" {
		return "", oauth.Errorf(oauth.InvalidRequest, "redirect_uri is missing")
	}
	if !in.client.HasRedirectURI(address) {
		return "", oauth.Errorf(oauth.InvalidRequest,
			"redirect_uri is not registered for this client; it must match to the byte (but the port of http://127.0.0.1 and http://[::1])")
	}
	return address, nil
}

// response reads response_type and response_mode.
func response(in input) (kind, mode string, err error) {
	kind, raw := ResponseType(in.form.Get("response_type")), in.form.Get("response_mode")
	switch {
	case kind == "":
		return "", "", oauth.Errorf(oauth.InvalidRequest, "response_type is missing")
	case !slices.Contains(in.client.Profile.ResponseTypes, kind):
		return "", "", oauth.Errorf(oauth.UnsupportedResponseType, "response_type must be %s",
			strings.Join(in.client.Profile.ResponseTypes, " or "))
	}
	mode = ResponseMode(raw, kind)
	allowed := in.client.Profile.ResponseModes[kind]
	if !slices.Contains(allowed, mode) && !slices.Contains(allowed, raw) {
		return "", "", oauth.Errorf(oauth.InvalidRequest,
			"response_mode must be %s with response_type %s", strings.Join(allowed, " or "), kind)
	}
	return kind, mode, nil
}

// ResponseType sorts the values of a response_type, whose order is irrelevant (OAuth 2.0 Multiple Response Type
// Encoding Practices §5).
func ResponseType(raw string) string {
	words := strings.Split(raw, " ")
	slices.Sort(words)
	return strings.Join(words, " ")
}

// ResponseMode resolves a response_mode: jwt is the signed form of the default of the response_type (JARM §2.3.4),
// which is query for code and fragment for the others (OAuth 2.0 Multiple Response Type Encoding Practices §5).
func ResponseMode(raw, responseType string) string {
	usual := "fragment"
	if responseType == "code" {
		usual = "query"
	}
	switch raw {
	case "":
		return usual
	case "jwt":
		return usual + ".jwt"
	}
	return raw
}

// challenge demands an S256 challenge (RFC 7636 §4.3, FAPI 2.0 Security Profile §5.3.2.2-5), unless the profile
// exempts the endpoint.
func challenge(in input) (string, error) {
	exempt := in.client.Profile.PKCE == profile.PKCEPushed && in.at != Pushed
	if exempt && !in.form.Has("code_challenge") && !in.form.Has("code_challenge_method") {
		return "", nil
	}
	value := in.form.Get("code_challenge")
	switch {
	case value == "":
		return "", oauth.Errorf(oauth.InvalidRequest, "code_challenge is missing; PKCE with S256 is required")
	case in.form.Get("code_challenge_method") != "S256":
		return "", oauth.Errorf(oauth.InvalidRequest, "code_challenge_method must be S256")
	case !isDigest(value):
		return "", oauth.Errorf(oauth.InvalidRequest,
			"code_challenge must be a SHA-256 digest in base64url without padding (43 characters)")
	}
	return value, nil
}

// isDigest reports whether text is 32 bytes in base64url.
func isDigest(text string) bool {
	digest, err := base64.RawURLEncoding.Strict().DecodeString(text)
	return err == nil && len(digest) == 32 && len(text) == 43 // the decoder ignores line ends
}

// opaque bounds values that are returned to the client or stored.
func opaque(in input) (state, nonce, loginHint string, err error) {
	state, nonce, loginHint = in.form.Get("state"), in.form.Get("nonce"), in.form.Get("login_hint")
	for _, value := range []struct {
		name, text string
		most       int
	}{{"state", state, maxState}, {"nonce", nonce, maxNonce}, {"login_hint", loginHint, maxHint}} {
		if len(value.text) > value.most {
			return "", "", "", oauth.Errorf(oauth.InvalidRequest, "%s is longer than %d bytes", value.name, value.most)
		}
	}
	// RFC 6749 Appendix A.5: state is visible ASCII.
	if strings.ContainsFunc(state, func(r rune) bool { return r < 0x20 || r > 0x7e }) {
		return "", "", "", oauth.Errorf(oauth.InvalidRequest,
			"state may hold printable ASCII characters only (RFC 6749 Appendix A.5)")
	}
	return state, nonce, loginHint, nil
}

// maxUILocales bounds what is kept of ui_locales, in bytes.
const maxUILocales = 200

// uiLocales reads the languages that pages should have. What cannot be read is no error (OpenID Connect Core §3.1.2.1).
func uiLocales(in input) string {
	var tags []string
	for tag := range strings.FieldsSeq(in.form.Get("ui_locales")) {
		if strings.ContainsFunc(tag, func(r rune) bool {
			return r != '-' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
		}) {
			continue
		}
		if kept := strings.Join(append(tags, tag), " "); len(kept) <= maxUILocales {
			tags = append(tags, tag)
		}
	}
	return strings.Join(tags, " ")
}

// details reads authorization_details (RFC 9396 §2). Unlike an unknown scope, an unknown type is refused (§5). For
// client_credentials the client may have registered default ones.
func (c *Checker) details(in input) (rar.Details, error) {
	types := in.client.Metadata.AuthorizationDetailsTypes
	if raw := in.form.Get("authorization_details"); raw != "" {
		return c.readDetails(in.at, raw, types)
	}
	defaults := in.client.Metadata.DefaultAuthorizationDetails
	if in.at != ClientCredentials || len(defaults) == 0 || in.form.Has("authorization_details") {
		return nil, nil
	}
	read, err := c.types.Read(string(defaults), types)
	if err == nil && c.leavesOpen(read) {
		err = errOpen
	}
	if err != nil { // a problem of the configuration, not of the request
		return nil, fmt.Errorf("fapi: default_authorization_details of the client %q: %s", in.client.ID, err)
	}
	return read, nil
}

// errOpen is the error of details that only a user could complete.
var errOpen = errors.New("authorization_details leaves a list empty, and without a user nothing is offered for it")

// leavesOpen reports whether details leave lists to be offered to a user.
func (c *Checker) leavesOpen(d rar.Details) bool {
	return len(d.Open(c.types, rar.FromLogin))+len(d.Open(c.types, rar.FromClaims)) > 0
}

// readDetails reads objects, of which none may have ended.
func (c *Checker) readDetails(at Endpoint, raw string, types []string) (rar.Details, error) {
	read, err := c.types.Read(raw, types)
	if err != nil {
		return nil, err
	}
	life, err := read.Life(c.types)
	switch {
	case err == nil && at == ClientCredentials && c.leavesOpen(read):
		return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "%s", errOpen)
	case err != nil:
		return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "authorization_details ends at what is no time").Because(err)
	case !life.Until.IsZero() && !life.Until.After(c.tokens.Now()):
		return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "authorization_details ends in the past")
	}
	return read, nil
}

// boundAnswer demands the nonce or state that binds a response to its request, where the profile requires it (FAPI
// 1.0 Baseline §5.2.2.2, §5.2.2.3; OpenID Connect Core §3.3.2.11 for ID tokens through the browser). It returns the
// nonce to store: none without openid, since there is no ID token.
func boundAnswer(in input, read Request) (nonce string, err error) {
	openID := slices.Contains(read.Scopes, "openid")
	withIDToken := slices.Contains(strings.Fields(read.ResponseType), "id_token")
	if openID {
		nonce = read.Nonce
	}
	switch {
	case withIDToken && !openID:
		return "", oauth.Errorf(oauth.InvalidRequest, "response_type %s needs the scope openid", read.ResponseType)
	case nonce == "" && (withIDToken || in.client.Profile.RequireNonce && openID):
		return "", oauth.Errorf(oauth.InvalidRequest, "nonce is missing")
	case read.State == "" && in.client.Profile.RequireNonce && !openID:
		return "", oauth.Errorf(oauth.InvalidRequest,
			"state is missing; without the scope openid it binds the response to the request")
	}
	return nonce, nil
}

// dpopKey checks dpop_jkt (RFC 9449 §10).
func dpopKey(in input) (string, error) {
	thumbprint := in.form.Get("dpop_jkt")
	switch {
	case thumbprint == "":
		return "", nil
	case in.client.Constraint() != profile.ByDPoP:
		return "", oauth.Errorf(oauth.InvalidRequest, "this client's tokens are bound to its certificate; send no dpop_jkt")
	case !isDigest(thumbprint):
		return "", oauth.Errorf(oauth.InvalidRequest,
			"dpop_jkt must be a SHA-256 thumbprint in base64url without padding (43 characters)")
	}
	return thumbprint, nil
}

// Prompts returns the supported values of prompt.
func Prompts() []string { return []string{"none", "login", "consent", "select_account"} }

// prompt reads prompt (OpenID Connect Core §3.1.2.1).
func prompt(in input) ([]string, error) {
	values := strings.Fields(in.form.Get("prompt"))
	for _, value := range values {
		if !slices.Contains(Prompts(), value) {
			return nil, oauth.Errorf(oauth.InvalidRequest,
				"prompt holds an unknown value; known are none, login, consent, select_account")
		}
	}
	if len(values) > 1 && slices.Contains(values, "none") {
		return nil, oauth.Errorf(oauth.InvalidRequest, "prompt=none excludes other values")
	}
	return values, nil
}

// age reads max_age (OpenID Connect Core §3.1.2.1), in seconds.
func age(in input) (*int64, error) {
	raw := in.form.Get("max_age")
	if raw == "" {
		return youngest(in, in.client.Metadata.DefaultMaxAge), nil
	}
	seconds, err := strconv.ParseInt(raw, 10, 32)
	if err != nil || seconds < 0 {
		return nil, oauth.Errorf(oauth.InvalidRequest, "max_age must be a number of seconds")
	}
	return youngest(in, &seconds), nil
}

// resources reads the resources that access tokens will be for (RFC 8707 §2).
func (c *Checker) resources(in input, scopes []string, details rar.Details) ([]string, error) {
	return c.allowedResources(in.form.All("resource"), scopes, details)
}

// allowedResources checks requested resources against the resource servers, the scopes and the details.
func (c *Checker) allowedResources(requested, scopes []string, details rar.Details) ([]string, error) {
	var resources []string
	for _, resource := range requested {
		if !c.scopes.KnownResource(resource) {
			return nil, oauth.Errorf(oauth.InvalidTarget, "resource names no resource server that is known here (RFC 8707 §2)")
		}
		if !slices.Contains(resources, resource) {
			resources = append(resources, resource)
		}
	}
	audience := c.scopes.Audience(resources)
	// Otherwise the user would consent to details that no token contains (RFC 9396 §9).
	if len(details.ForResource(audience)) < len(details) {
		return nil, oauth.Errorf(oauth.InvalidTarget,
			"the locations of authorization_details must be among the values of resource, or this server where there are none")
	}
	if len(details) == 0 && len(c.scopes.Filter(scopes, audience)) == 0 {
		return nil, oauth.Errorf(oauth.InvalidTarget,
			"none of the requested scopes applies to the resource %s", strings.Join(audience, " "))
	}
	return resources, nil
}

// requestedClaims reads the claims parameter. It needs the scope openid: without it there is no ID token and no
// UserInfo response. Claims of scopes that are not registered for the client are left out, like any that cannot be
// returned (OpenID Connect Core §5.5.1).
func requestedClaims(in input, scopes []string) (*claims.Request, error) {
	raw, of := in.form.Get("claims"), in.client.Profile
	if !slices.Contains(scopes, "openid") || in.at == Backchannel && !of.Backchannel.ClaimsParameter {
		return nil, nil
	}
	var wanted *claims.Request
	if raw != "" {
		var err error
		if wanted, err = claims.Parse(raw, of); err != nil {
			return nil, err
		}
	}
	if err := wanted.Need(of); err != nil {
		return nil, err
	}
	return wanted.Within(in.client.Scopes, of).AddAlways(of), nil
}

// authenticationContext reads acr_values and the acr of the claims parameter (OpenID Connect Core §3.1.2.1,
// §5.5.1.1). An essential value that cannot be reached is refused here, before the user interacts.
func (c *Checker) authenticationContext(in input, read *Request) error {
	voluntary := strings.Fields(in.form.Get("acr_values"))
	if len(voluntary) == 0 {
		voluntary = in.client.Metadata.DefaultACRValues
	}
	if len(voluntary) > maxACRs {
		return oauth.Errorf(oauth.InvalidRequest, "acr_values holds more than %d values", maxACRs)
	}
	byClaim, isEssential := read.Claims.ACR()
	if len(byClaim) > maxACRs {
		return oauth.Errorf(oauth.InvalidRequest, "the claims parameter names more than %d acr values", maxACRs)
	}
	if in.client.Profile.ACRRequired && len(byClaim)+len(voluntary) == 0 && !isEssential {
		return oauth.Errorf(oauth.InvalidRequest, "the request has to ask for an acr, by acr_values or the claims parameter")
	}
	names := c.namesFor(in.client)
	classes, named := names.resolve(byClaim, c.acrs)
	voluntary, others := names.resolve(voluntary, c.acrs)
	read.ACRNames = append(named, others...)
	if !isEssential {
		read.ACRs = append(classes, voluntary...)
		return nil
	}
	if len(byClaim) == 0 {
		classes = c.acrs // essential with any value
	}
	read.ACRs, read.EssentialACRs = voluntary, set.Intersect(c.acrs, classes)
	if len(read.EssentialACRs) == 0 {
		return oauth.Errorf(oauth.UnmetAuthentication,
			"none of the acr values that are essential can be reached here; acr_values_supported lists those that can")
	}
	return nil
}

// subject returns the subject that the request demands: that of id_token_hint (OpenID Connect Core §3.1.2.1), or the
// sub of the claims parameter.
func (c *Checker) subject(ctx context.Context, in input, wanted *claims.Request) (string, error) {
	byClaim, raw := wanted.Subject(), in.form.Get("id_token_hint")
	if raw == "" {
		return byClaim, nil
	}
	hinted, err := c.tokens.IDTokenHint(ctx, in.client, raw)
	if err != nil {
		return "", err
	}
	if byClaim != "" && byClaim != hinted {
		return "", oauth.Errorf(oauth.InvalidRequest, "id_token_hint and the claims parameter name different users")
	}
	return hinted, nil
}
