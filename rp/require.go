package rp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/rp/internal/claim"
	"countersign/rp/internal/web"
)

// Condition is a [Requirement], or how [App.Require] answers who does not satisfy it.
type Condition interface{ apply(*required) }

type required struct {
	requirements []Requirement
	answer       Unauthorized
}

// Requirement is what a session has to satisfy. An [*InsufficientError] is helped by another login; any other error is [ErrForbidden].
type Requirement func(r *http.Request, s *Session) error

func (q Requirement) apply(to *required) { to.requirements = append(to.requirements, q) }

// Unauthorized is how a request is answered that needs a login.
type Unauthorized int

// The answers.
const (
	// ByAccept is Redirect for a page that the browser navigates to, and Problem for everything else.
	ByAccept Unauthorized = iota
	// Redirect begins a login. What has a body is answered by a page, from which the user may sign in: a redirect would lose the body.
	Redirect
	// Problem is a problem document (RFC 9457) with status 401, or 403 for a login that is not enough; its member "login" is the address to send the user to.
	Problem
)

func (u Unauthorized) apply(to *required) { to.answer = u }

// WithUnauthorized sets the answer in place of [ByAccept].
func WithUnauthorized(answer Unauthorized) Condition { return answer }

// Authenticated is any session. It is required in any case.
func Authenticated() Requirement {
	return func(*http.Request, *Session) error { return nil }
}

// Claims are the claims of an ID token; numbers are of type [json.Number].
type Claims map[string]any

// claims reads the claims with numbers as they are written.
func (s *Session) claims() (Claims, error) {
	decoder := json.NewDecoder(bytes.NewReader(s.Identity().Raw))
	decoder.UseNumber()
	var claims Claims
	if err := decoder.Decode(&claims); err != nil {
		return nil, err
	}
	return claims, nil
}

// ClaimEquals requires a claim of this value, compared as JSON.
func ClaimEquals(name string, value any) Requirement {
	return ClaimFunc(func(_ *http.Request, claims Claims) error {
		got, present := claims[name]
		if !present || !claim.Equal(got, value) {
			return fmt.Errorf("claim %s is not what is required", name)
		}
		return nil
	})
}

// ClaimIncludes requires a claim to be an array, or words with spaces between, that has all of the values.
func ClaimIncludes(name string, values ...any) Requirement {
	return ClaimFunc(func(_ *http.Request, claims Claims) error {
		if !claim.Includes(claims[name], values) {
			return fmt.Errorf("claim %s has not all that is required", name)
		}
		return nil
	})
}

// ClaimFunc requires what a function finds in the claims.
func ClaimFunc(check func(r *http.Request, claims Claims) error) Requirement {
	return func(r *http.Request, s *Session) error {
		claims, err := s.claims()
		if err != nil {
			return err
		}
		return check(r, claims)
	}
}

// Scope requires scopes; missing ones are asked for by another login.
func Scope(scopes ...string) Requirement {
	return func(_ *http.Request, s *Session) error {
		granted := s.Scopes()
		var missing []string
		for _, scope := range scopes {
			if !slices.Contains(granted, scope) {
				missing = append(missing, scope)
			}
		}
		if len(missing) > 0 {
			return &InsufficientError{Reason: "a scope is missing: " + strings.Join(missing, " "), Scopes: missing}
		}
		return nil
	}
}

// MaxAuthAge requires the user to have authenticated at the provider within a time, at least in seconds (step-up, RFC 9470).
func MaxAuthAge(age time.Duration) Requirement {
	return func(_ *http.Request, s *Session) error {
		at := s.Identity().AuthTime
		if at.IsZero() || s.app.now().Sub(at) > age {
			return &InsufficientError{Reason: "a more recent authentication is required", MaxAge: &age}
		}
		return nil
	}
}

// ACR requires one of the authentication contexts (step-up, RFC 9470).
func ACR(values ...string) Requirement {
	return func(_ *http.Request, s *Session) error {
		if !slices.Contains(values, s.Identity().ACR) {
			return &InsufficientError{Reason: "a different authentication level is required", ACRValues: values}
		}
		return nil
	}
}

// Require lets only those requests through that have a session which satisfies everything; [FromContext] then has it. A login, or a stronger one, is begun
// where that helps, and returns to the request's address.
func (a *App) Require(conditions ...Condition) func(next http.Handler) http.Handler {
	var q required
	for _, condition := range conditions {
		condition.apply(&q)
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, inner, err := a.visit(w, r)
			if err != nil {
				a.fail(w, r, unavailable(err))
				return
			}
			w.Header().Add("Vary", "Cookie")
			if v.session == nil {
				a.unauthorized(w, r, q.answer, errors.Join(ErrLoginRequired, v.absent), nil)
				return
			}
			for _, requirement := range q.requirements {
				if err := requirement(inner, v.session); err != nil {
					a.refuse(w, inner, q.answer, v.session, err)
					return
				}
			}
			next.ServeHTTP(w, inner)
		})
	}
}

// refuse answers a session that is not enough.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, answer Unauthorized, s *Session, err error) {
	insufficient, ok := errors.AsType[*InsufficientError](err)
	if !ok {
		if !errors.Is(err, ErrForbidden) {
			err = errors.Join(ErrForbidden, err)
		}
		a.answer(w, r, err, answer != Problem && web.WantsPage(r), Action{})
		return
	}
	if s.tried(insufficient) {
		a.answer(w, r, insufficient, answer != Problem && web.WantsPage(r), Action{Label: "To the start page", Path: a.config.Home})
		return
	}
	a.unauthorized(w, r, answer, insufficient, s)
}

// triedTime is within which a login that was for the same thing has not helped.
const triedTime = 10 * time.Second

// tried reports whether the session has begun just now by a login for what is still missing: another would not help, and go round in circles.
func (s *Session) tried(e *InsufficientError) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.content.Demand == e.demand() && s.app.now().Sub(time.UnixMilli(s.content.Created)) < triedTime
}

// unauthorized begins a login, or says that one is needed.
func (a *App) unauthorized(w http.ResponseWriter, r *http.Request, answer Unauthorized, cause error, s *Session) {
	navigates := web.WantsPage(r)
	redirects := answer == Redirect || answer == ByAccept && navigates
	if strings.Contains(r.Header.Get("Sec-Purpose"), "prefetch") {
		redirects = false // nobody is looking
	}
	returnTo := r.URL.RequestURI()
	if redirects && s == nil && a.loops(r) >= loopMost {
		a.answer(w, r, ErrLoop, navigates, a.loginAction(returnTo, nil, cause))
		return
	}
	if redirects && r.Method == http.MethodGet {
		a.Login(w, r, append(stepOptions(s, cause), WithReturnTo(returnTo))...)
		return
	}
	if r.Method != http.MethodGet { // the page with the form, if that is known
		returnTo = a.config.Home
		if local, ok := web.LocalPath(a.config.BaseURL, r.Referer()); ok && r.Referer() != "" {
			returnTo = local
		}
	}
	a.answer(w, r, cause, navigates && answer != Problem, a.loginAction(returnTo, s, cause))
}

// stepOptions are the options of a login that adds what is missing to a session, and keeps what it has.
func stepOptions(s *Session, cause error) []LoginOption {
	insufficient, ok := errors.AsType[*InsufficientError](cause)
	if !ok {
		return nil
	}
	options := append(insufficient.Options(), func(o *loginOptions) error { o.demand = insufficient.demand(); return nil })
	if s != nil {
		options = append(options, WithMoreScopes(s.Scopes()...))
	}
	return options
}

// step is a demand in the address of a login, sealed.
type step struct {
	ACRValues []string `json:"a,omitempty"`
	MaxAge    *int64   `json:"m,omitempty"`
	Scopes    []string `json:"s,omitempty"`
}

const stepPurpose = "step-up"

// loginAction is a link to a login that helps against an error, and returns to a path.
func (a *App) loginAction(returnTo string, s *Session, cause error) Action {
	query := url.Values{}
	if local, ok := web.LocalPath(a.config.BaseURL, returnTo); ok && !a.own(local) {
		query.Set("return_to", local)
	}
	label := "Sign in"
	if insufficient, ok := errors.AsType[*InsufficientError](cause); ok && s != nil {
		wanted := step{ACRValues: insufficient.ACRValues, Scopes: insufficient.Scopes}
		if insufficient.MaxAge != nil {
			age := int64(*insufficient.MaxAge)
			wanted.MaxAge = &age
		}
		if plain, err := json.Marshal(wanted); err == nil {
			query.Set("step", a.sessions.Keys().SealText(stepPurpose, plain))
		}
		label = "Confirm that it is you"
	}
	address := a.path("/login")
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	return Action{Label: label, Path: address}
}

// openStep is the reverse of what loginAction puts into the address.
func (a *App) openStep(sealed string) (*InsufficientError, error) {
	plain, _, err := a.sessions.Keys().OpenText(stepPurpose, sealed)
	if err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	var wanted step
	if err := json.Unmarshal(plain, &wanted); err != nil {
		return nil, errors.Join(ErrMalformed, err)
	}
	insufficient := &InsufficientError{Reason: "a stronger authentication is required", ACRValues: wanted.ACRValues, Scopes: wanted.Scopes}
	if wanted.MaxAge != nil {
		age := time.Duration(*wanted.MaxAge)
		insufficient.MaxAge = &age
	}
	return insufficient, nil
}

// StepUp begins a login for what an API's answer asks (RFC 9470 §3, RFC 6750 §3.1), and reports whether it has answered the request. It returns to the request's address, or where an
// option says; a request with a body is sent to a login only if one says so. Where a login for the same has not helped just now, the answer is an error.
func (a *App) StepUp(w http.ResponseWriter, r *http.Request, response *http.Response, options ...LoginOption) bool {
	insufficient, ok := ParseChallenge(response.Header)
	if !ok {
		return false
	}
	s, _ := FromContext(r.Context())
	switch {
	case s == nil:
		a.unauthorized(w, r, ByAccept, errors.Join(ErrLoginRequired, insufficient), nil)
	case s.tried(insufficient):
		a.answer(w, r, insufficient, web.WantsPage(r), Action{Label: "To the start page", Path: a.config.Home})
	case len(options) > 0 && web.WantsPage(r):
		a.Login(w, r, append(stepOptions(s, insufficient), options...)...)
	default:
		a.unauthorized(w, r, ByAccept, insufficient, s)
	}
	return true
}

// Silent signs in who is signed in at the provider, without asking (prompt=none): once in a browser's session, when it navigates to a page without a session here. Whoever
// is not goes on without.
func (a *App) Silent() func(next http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			v, inner, err := a.visit(w, r)
			if err != nil {
				a.fail(w, r, unavailable(err))
				return
			}
			if v.session != nil || !a.mayTry(r) {
				next.ServeHTTP(w, inner)
				return
			}
			a.tried(w)
			quiet := func(o *loginOptions) error { o.silent = true; return nil }
			address, err := a.begin(w, inner, WithPrompt("none"), WithReturnTo(r.URL.RequestURI()), quiet)
			if err != nil {
				a.report(r, newError(r.Context(), err))
				next.ServeHTTP(w, inner)
				return
			}
			redirect(w, r, address)
		})
	}
}
