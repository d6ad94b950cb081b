// Package request parses authorization requests and validates them against the client's profile and registration.
//
// All endpoints with authorization requests use one table (table.go): a row for each check, a column for each endpoint.
// [Checker.Check] runs the rows of an endpoint in order and returns the [Request] that is stored until it is decided.
package request

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/finding"
	"countersign/internal/oauth"
)

// Request is a checked authorization request, in the form in which it is stored until the decision.
type Request struct {
	RedirectURI string `json:"redirect_uri"`
	// ResponseType has its values in alphabetical order; empty is code. ResponseMode is the resolved response mode (jwt is
	// replaced); empty is query.
	ResponseType string   `json:"response_type,omitempty"`
	ResponseMode string   `json:"response_mode,omitempty"`
	Scopes       []string `json:"scopes,omitempty"`
	State        string   `json:"state,omitempty"`
	Nonce        string   `json:"nonce,omitempty"`
	// Challenge is the S256 code_challenge (RFC 7636 §4.3), or empty where the profile allows that.
	Challenge string `json:"code_challenge,omitempty"`
	// Profile is the name of the client's profile when the request was checked.
	Profile string `json:"profile,omitempty"`
	// Unsigned reports whether the request did not come in a request object.
	Unsigned bool `json:"unsigned,omitempty"`
	// Pushed reports whether the client authenticated to make the request.
	Pushed bool `json:"pushed,omitempty"`
	// JKT is the thumbprint of the DPoP key that the code is bound to, or empty (RFC 9449 §10).
	JKT    string   `json:"dpop_jkt,omitempty"`
	Prompt []string `json:"prompt,omitempty"`
	// MaxAge is in seconds; nil when not given.
	MaxAge    *int64 `json:"max_age,omitempty"`
	LoginHint string `json:"login_hint,omitempty"`
	// Purpose is why the client asks, to be shown to the user; or empty.
	Purpose string `json:"purpose,omitempty"`
	// UILocales are the languages that pages should have, best first and separated by spaces; or empty.
	UILocales string `json:"ui_locales,omitempty"`
	// Subject is the user that the request demands, by the sub for this client, or empty.
	Subject string `json:"subject,omitempty"`
	// ACRs are the authentication context classes requested, best first; one of EssentialACRs, if there are any, must be
	// reached.
	ACRs          []string `json:"acrs,omitempty"`
	EssentialACRs []string `json:"essential_acrs,omitempty"`
	// ACRNames are the names of classes, further ones ([ACRNames]) or their own, by which the client asked for them.
	ACRNames []string `json:"acr_names,omitempty"`

	Claims    *claims.Request `json:"claims,omitempty"`
	Details   rar.Details     `json:"authorization_details,omitempty"`
	Resources []string        `json:"resources,omitempty"`
	// Accounts are words for those entries of Details that were offered to the user; a stored request has none.
	Accounts []display.Offered `json:"accounts,omitempty"`
	// Consent is the id of the consent that the request names, or empty.
	Consent string `json:"consent,omitempty"`
	// Managed is nil unless the client names the grant that is made.
	Managed *Managed `json:"grant_management,omitempty"`
	// Message names the request object in the audit log, or is empty.
	Message string `json:"message,omitempty"`
}

// ExtraClaims returns the names of the requested claims that no scope of the request includes.
func (r *Request) ExtraClaims() []string { return extraClaims(r.Scopes, r.Claims) }

func extraClaims(scopes []string, requested *claims.Request) []string {
	var names []string
	for _, name := range requested.Names() {
		byScope := slices.ContainsFunc(scopes,
			func(scope string) bool { return slices.Contains(claims.OfScope(scope), name) })
		if !byScope {
			names = append(names, name)
		}
	}
	return names
}

// Grant returns the part of the request that is stored with the grant.
func (r *Request) Grant() tokens.Detail {
	return tokens.Detail{Nonce: r.Nonce, Claims: r.Claims, Details: r.Details, Resources: r.Resources, Accounts: r.Accounts, Begun: r.Managed.Since()}
}

// Restrict returns the request with a part of what it asks for: scopes, claims about the user that no scope of it includes,
// and authorization_details, each of those as it was requested or with what the user chose of its lists. openid is no part: what has to do with it is asked for as a
// whole. Errors are *[oauth.Error].
func (r *Request) Restrict(types *rar.Types, scopes, extra []string, details rar.Details) (*Request, error) {
	part := *r
	part.Scopes = nil
	for _, name := range r.Scopes {
		if slices.Contains(scopes, name) {
			part.Scopes = append(part.Scopes, name)
		}
	}
	if len(part.Scopes) != len(scopes) {
		return nil, oauth.Errorf(oauth.InvalidScope, "more scopes than were requested, or one twice")
	}
	if slices.Contains(r.Scopes, "openid") && !slices.Contains(scopes, "openid") {
		return nil, oauth.Errorf(oauth.InvalidScope, "openid was requested, and is allowed with everything or not at all")
	}
	requested := r.Claims.Names()
	for i, name := range extra {
		if !slices.Contains(requested, name) || slices.Contains(extra[:i], name) {
			return nil, oauth.Errorf(oauth.InvalidRequest, "more claims than were requested, or one twice")
		}
	}
	var err error
	if part.Details, err = r.Details.Restrict(types, details); err != nil {
		return nil, err
	}
	left := part.ExtraClaims()
	part.Claims = r.Claims.Without(func(name string) bool { return slices.Contains(left, name) && !slices.Contains(extra, name) })
	return &part, nil
}

// Endpoint is the endpoint of a request: a column of the table. Values can be combined.
type Endpoint uint8

// The endpoints.
const (
	// Pushed is the pushed authorization request endpoint (RFC 9126).
	Pushed Endpoint = 1 << iota
	// ByValue is the authorization endpoint with a request object (RFC 9101 §5.1).
	ByValue
	// Backchannel is the backchannel authentication endpoint (CIBA Core §7).
	Backchannel
	// ClientCredentials is the token endpoint with client_credentials (RFC 6749 §4.4).
	ClientCredentials
)

// Checker checks requests against profile, registration and configuration.
type Checker struct {
	issuer string
	scopes *scope.Catalog
	types  *rar.Types
	acrs   []string
	names  ACRNames
	tokens *tokens.Issuer
	grants Grants
	tracer trace.Tracer
	table  []row
}

// NewChecker makes a checker. acrs are the supported authentication context classes, best first, names further names of
// them, and grants those that clients name.
func NewChecker(issuer *tokens.Issuer, acrs []string, names ACRNames, grants Grants, tracer trace.Tracer) *Checker {
	return &Checker{
		issuer: issuer.ID, scopes: issuer.Scopes, types: issuer.Details, acrs: acrs, names: names, tokens: issuer, grants: grants, tracer: tracer,
		table: table(),
	}
}

// ACRValues returns the supported authentication context classes, best first.
func (c *Checker) ACRValues() []string { return c.acrs }

// Check checks the parameters of a request: those of its request object, if it has one. Errors are *[oauth.Error], or
// internal.
func (c *Checker) Check(ctx context.Context, at Endpoint, caller *client.Client, form oauth.Form) (*Request, error) {
	ctx, span := c.tracer.Start(ctx, "policy")
	defer span.End()
	span.SetAttributes(attribute.String("fapi.profile", caller.Profile.Name))
	read := new(Request)
	if err := finding.First(c.Findings(ctx, at, caller, form, read)); err != nil {
		return nil, err
	}
	return read, nil
}

// Findings are the rules of [Checker.Check] by the names of their rows, one by one and in its order. A row that needs what a refused
// one would have read is left out. What they read is the request when none has refused it.
func (c *Checker) Findings(ctx context.Context, at Endpoint, caller *client.Client, form oauth.Form, read *Request) finding.Findings {
	return func(yield func(string, error) bool) {
		in := input{at: at, client: caller, form: form}
		read.Pushed, read.Profile = at == Pushed, caller.Profile.Name
		var lacking []string // the rows that have read nothing
		for _, row := range c.table {
			if row.at&at == 0 {
				continue
			}
			if slices.ContainsFunc(row.after, func(name string) bool { return slices.Contains(lacking, name) }) {
				lacking = append(lacking, row.name)
				continue
			}
			err := row.check(ctx, c, in, read)
			if err != nil {
				lacking = append(lacking, row.name)
			}
			if !yield(row.name, err) {
				return
			}
		}
	}
}

// Rows are the names of the rules at an endpoint, in their order.
func Rows(at Endpoint) []string {
	var names []string
	for _, row := range table() {
		if row.at&at != 0 {
			names = append(names, row.name)
		}
	}
	return names
}

// maxAge returns a number of seconds as a duration.
func maxAge(seconds int64) time.Duration { return time.Duration(seconds) * time.Second }

// RecentEnough reports whether a sign-in at one time satisfies max_age at another time.
func (r *Request) RecentEnough(signedIn, at time.Time) bool {
	return r.MaxAge == nil || at.Sub(signedIn) <= maxAge(*r.MaxAge)
}
