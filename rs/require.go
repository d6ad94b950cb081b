package rs

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/internal/set"
)

// Requirement is what a request needs beside a valid token of the issuer for this API, from whom it is bound to.
type Requirement struct{ apply func(*Rule) }

// Rule is what a route requires: a guard makes it once, with [Guard.Rule].
type Rule struct {
	audience    []string
	scopes      []scopes
	checks      []func(ctx context.Context, call *Call, token *Token) error
	acr         []string
	maxAge      *time.Duration
	interaction bool
	signed      bool
	// known and types are what the metadata say of it.
	known, types []string
}

// scopes finds the scope values of which a token must have one.
type scopes func(call *Call) []string

// Scope requires all of some scope values.
func Scope(values ...string) Requirement {
	return Requirement{func(r *Rule) {
		r.known = append(r.known, values...)
		for _, value := range values {
			r.scopes = append(r.scopes, func(*Call) []string { return []string{value} })
		}
	}}
}

// AnyScope requires one of some scope values.
func AnyScope(values ...string) Requirement {
	values = slices.Clone(values)
	return Requirement{func(r *Rule) {
		r.known = append(r.known, values...)
		r.scopes = append(r.scopes, func(*Call) []string { return values })
	}}
}

// ScopeFor requires a parameterised scope: each {name} in the pattern is the part of the address that the route names so. With
// the route "GET /consents/{id}" and the pattern "consent:{id}", /consents/42 needs the scope value consent:42. A part that is
// empty, or that no scope value can have in it (RFC 6749 §3.3), is refused. For routers that do not fill in
// [http.Request.PathValue] there is [ScopeOf].
func ScopeFor(pattern string) Requirement {
	return ScopeOf(func(call *Call) string {
		value, ok := expand(pattern, call.Value)
		if !ok {
			return ""
		}
		return value
	})
}

// ScopeOf requires the scope value that a function finds; "" is one that no token has.
func ScopeOf(find func(call *Call) string) Requirement {
	return Requirement{func(r *Rule) {
		r.scopes = append(r.scopes, func(call *Call) []string { return []string{find(call)} })
	}}
}

// expand puts values into the places of a pattern.
func expand(pattern string, value func(string) string) (string, bool) {
	var made strings.Builder
	for {
		before, rest, found := strings.Cut(pattern, "{")
		made.WriteString(before)
		if !found {
			return made.String(), true
		}
		name, after, closed := strings.Cut(rest, "}")
		if !closed || value == nil {
			return "", false
		}
		part := value(name)
		if part == "" || !isScopeToken(part) {
			return "", false
		}
		made.WriteString(part)
		pattern = after
	}
}

// isScopeToken reports whether a text may be in a scope value (RFC 6749 §3.3).
func isScopeToken(text string) bool {
	for at := range len(text) {
		if c := text[at]; c < 0x21 || c == '"' || c == '\\' || c > 0x7e {
			return false
		}
	}
	return true
}

// Details requires authorization_details of a type (RFC 9396) that a check of their values accepts. The check gets all of the
// type, at least one, and refuses with [Refuse].
func Details[T any](typ string, check func(ctx context.Context, call *Call, details []T) error) Requirement {
	return Requirement{func(r *Rule) {
		r.types = append(r.types, typ)
		r.checks = append(r.checks, func(ctx context.Context, call *Call, token *Token) error {
			details, err := DetailsOf[T](token, typ)
			if err != nil {
				return missingDetails("the authorization_details of the access token cannot be read", err)
			}
			if len(details) == 0 {
				return missingDetails("this needs authorization_details of the type "+typ, nil)
			}
			return check(ctx, call, details)
		})
	}}
}

func missingDetails(description string, cause error) error {
	return &Error{Status: http.StatusForbidden, Code: oauth.InsufficientScope, Reason: MissingDetails, Description: description, cause: cause}
}

// Check requires what a function checks, which refuses with [Refuse]. It runs after the other requirements.
func Check(check func(ctx context.Context, call *Call, token *Token) error) Requirement {
	return Requirement{func(r *Rule) { r.checks = append(r.checks, check) }}
}

// MaxAge requires a user who authenticated at most so long ago (auth_time). Others get the challenge of RFC 9470 §3, with max_age.
func MaxAge(age time.Duration) Requirement {
	return Requirement{func(r *Rule) { r.maxAge = &age }}
}

// ACR requires one of some authentication context classes. Others get the challenge of RFC 9470 §3, with acr_values.
func ACR(values ...string) Requirement {
	values = slices.Clone(values)
	return Requirement{func(r *Rule) { r.acr = append(r.acr, values...) }}
}

// Audience has tokens for one of some other identifiers accepted too, beside those for [Config].Audience.
func Audience(values ...string) Requirement {
	values = slices.Clone(values)
	return Requirement{func(r *Rule) { r.audience = append(r.audience, values...) }}
}

// InteractionID requires x-fapi-interaction-id, a UUID. Without it an answer has one all the same.
func InteractionID() Requirement { return Requirement{func(r *Rule) { r.interaction = true }} }

// Signed requires a signed request and signs the answer (RFC 9421, FAPI 2.0 HTTP Signatures); [Config].Messages says with which
// keys. It is for HTTP.
func Signed() Requirement { return Requirement{func(r *Rule) { r.signed = true }} }

// Rule makes a rule of requirements. It panics for [Signed] without [Config].Messages, which would refuse everything.
func (g *Guard) Rule(requirements ...Requirement) *Rule {
	rule := &Rule{audience: []string{g.config.Audience}}
	for _, each := range requirements {
		each.apply(rule)
	}
	if rule.signed && g.messages == nil {
		panic("rs: Signed needs Config.Messages")
	}
	g.offered.add(rule)
	return rule
}

// NeedsSignature reports whether the rule has [Signed] in it, which only HTTP can do.
func (r *Rule) NeedsSignature() bool { return r.signed }

// offered is what the routes require, for the metadata.
type offered struct {
	mu            sync.Mutex
	scopes, types []string
}

func (o *offered) add(rule *Rule) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.scopes = set.Union(o.scopes, rule.known)
	o.types = set.Union(o.types, rule.types)
}

func (o *offered) all() (scopes, types []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.scopes), slices.Clone(o.types)
}

// check holds a token to the rule.
func (r *Rule) check(ctx context.Context, now time.Time, call *Call, token *Token) error {
	if r.interaction && !random.IsUUID(call.Header.Get(interactionHeader)) {
		return badRequest(BadInteractionID, "x-fapi-interaction-id is missing or no UUID", nil)
	}
	if err := r.checkScopes(call, token); err != nil {
		return err
	}
	if err := r.checkAuthentication(now, token); err != nil {
		return err
	}
	for _, check := range r.checks {
		if err := check(ctx, call, token); err != nil {
			return err
		}
	}
	return nil
}

// checkScopes says of all scope values that would have been enough, not only of the first that is missing (RFC 6750 §3).
func (r *Rule) checkScopes(call *Call, token *Token) error {
	var needed []string
	missing := false
	for _, find := range r.scopes {
		values := find(call)
		if slices.ContainsFunc(values, func(value string) bool { return value != "" && token.HasScope(value) }) {
			needed = append(needed, values[:1]...)
			continue
		}
		missing = true
		if len(values) > 0 && values[0] != "" {
			needed = append(needed, values[0])
		}
	}
	if !missing {
		return nil
	}
	description := "the access token does not have a scope for this address"
	if len(needed) > 0 {
		description = "this needs the scope " + strings.Join(needed, " ")
	}
	return &Error{Status: http.StatusForbidden, Code: oauth.InsufficientScope, Reason: MissingScope, Description: description, Scopes: needed}
}

// checkAuthentication checks how and when the user authenticated (RFC 9470). What is missing in the token is not enough.
func (r *Rule) checkAuthentication(now time.Time, token *Token) error {
	strong := len(r.acr) == 0 || slices.Contains(r.acr, token.ACR)
	fresh := r.maxAge == nil || !token.AuthTime.IsZero() && now.Sub(token.AuthTime) <= *r.maxAge
	if strong && fresh {
		return nil
	}
	description := "this needs a user who authenticated more strongly; ask for that with acr_values"
	if !fresh {
		description = "this needs a user who has just authenticated; ask for that with max_age"
	}
	return &Error{
		Status: http.StatusUnauthorized, Code: oauth.InsufficientAuthentication, Reason: StepUp, Description: description,
		ACRValues: r.acr, MaxAge: r.maxAge,
	}
}
