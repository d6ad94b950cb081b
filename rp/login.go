package rp

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/rp/client"
	"countersign/rp/internal/transaction"
	"countersign/rp/internal/web"
	"countersign/rp/session"
)

// LoginOption is what a login asks for, or where it leads.
type LoginOption func(*loginOptions) error

type loginOptions struct {
	client.AuthorizeOptions
	acrs     []string // of which one is demanded
	more     []string // scopes besides
	returnTo string
	state    any
	silent   bool
	demand   string
}

// WithReturnTo is the path to which the user returns, of this application; any other is [ErrReturnTo].
func WithReturnTo(path string) LoginOption {
	return func(o *loginOptions) error { o.returnTo = path; return nil }
}

// WithState keeps a value for [Login.State], as JSON. It stays with this browser, sealed; the provider does not see it.
func WithState(value any) LoginOption {
	return func(o *loginOptions) error { o.state = value; return nil }
}

// WithScopes replaces the scopes of the configuration. "openid" is always among them.
func WithScopes(scopes ...string) LoginOption {
	return func(o *loginOptions) error { o.Scopes = slices.Clone(scopes); return nil }
}

// WithMoreScopes adds scopes.
func WithMoreScopes(scopes ...string) LoginOption {
	return func(o *loginOptions) error { o.more = append(o.more, scopes...); return nil }
}

// WithAuthorizationDetails asks for authorization_details (RFC 9396), written as JSON.
func WithAuthorizationDetails(details any) LoginOption {
	return func(o *loginOptions) error { o.AuthorizationDetails = details; return nil }
}

// WithACR demands one of the authentication contexts: a login with another is an [*InsufficientError]. It is asked for as an essential claim where the provider takes
// the claims parameter (OpenID Connect Core §5.5.1.1), and else by acr_values, which a provider may pass over.
func WithACR(values ...string) LoginOption {
	return func(o *loginOptions) error { o.acrs = slices.Clone(values); return nil }
}

// WithMaxAge demands that the user has authenticated within a time, at least in seconds.
func WithMaxAge(age time.Duration) LoginOption {
	return func(o *loginOptions) error { o.MaxAge = &age; return nil }
}

// WithPrompt is prompt: "login", "consent", "select_account", or several (OpenID Connect Core §3.1.2.1).
func WithPrompt(prompts ...string) LoginOption {
	return func(o *loginOptions) error { o.Prompt = slices.Clone(prompts); return nil }
}

// WithClaims is the claims parameter (OpenID Connect Core §5.5), written as JSON.
func WithClaims(claims any) LoginOption {
	return func(o *loginOptions) error { o.Claims = claims; return nil }
}

// WithLocales are the user's languages (BCP 47), in order.
func WithLocales(locales ...string) LoginOption {
	return func(o *loginOptions) error { o.UILocales = slices.Clone(locales); return nil }
}

// WithLoginHint names the user that is expected.
func WithLoginHint(hint string) LoginOption {
	return func(o *loginOptions) error { o.LoginHint = hint; return nil }
}

// WithResource are the resources that the access token is for (RFC 8707).
func WithResource(resources ...string) LoginOption {
	return func(o *loginOptions) error { o.Resource = slices.Clone(resources); return nil }
}

// WithGrant is grant_management_action, "create", "merge" or "replace", and for the latter two the grant.
func WithGrant(action, grantID string) LoginOption {
	return func(o *loginOptions) error { o.GrantAction, o.GrantID = action, grantID; return nil }
}

// WithParameter adds a parameter of the provider's own.
func WithParameter(name, value string) LoginOption {
	return func(o *loginOptions) error {
		if o.Extra == nil {
			o.Extra = map[string][]string{}
		}
		o.Extra.Add(name, value)
		return nil
	}
}

// Login sends the browser to the provider. What goes wrong is answered.
func (a *App) Login(w http.ResponseWriter, r *http.Request, options ...LoginOption) {
	address, err := a.begin(w, r, options...)
	if err != nil {
		a.fail(w, r, err)
		return
	}
	redirect(w, r, address)
}

// begin begins a login, and returns the address to send the browser to.
func (a *App) begin(w http.ResponseWriter, r *http.Request, options ...LoginOption) (string, error) {
	v, _, err := a.visit(w, r)
	if err != nil {
		return "", unavailable(err)
	}
	o := loginOptions{returnTo: a.config.Home}
	for _, option := range slices.Concat(a.config.Login, options) {
		if err := option(&o); err != nil {
			return "", err
		}
	}
	returnTo, ok := web.LocalPath(a.config.BaseURL, o.returnTo)
	if !ok || a.own(returnTo) {
		return "", ErrReturnTo
	}
	pending := transaction.Transaction{ReturnTo: returnTo, Silent: o.silent, Demand: o.demand}
	if o.state != nil {
		if pending.State, err = json.Marshal(o.state); err != nil {
			return "", fmt.Errorf("WithState: %w", err)
		}
	}
	if v.session != nil {
		pending.Renews = v.session.record.Key
	}
	if len(o.Scopes) == 0 {
		o.Scopes = slices.Clone(a.config.Client.Scopes)
	}
	for _, scope := range append([]string{"openid"}, o.more...) {
		if !slices.Contains(o.Scopes, scope) {
			o.Scopes = append(o.Scopes, scope)
		}
	}
	pending.ACRValues = o.acrs
	if err := demandACR(a.client, &o); err != nil {
		return "", err
	}
	o.RedirectURI = a.config.BaseURL + a.path("/callback")
	address, begun, err := a.client.Authorize(r.Context(), o.AuthorizeOptions)
	if err != nil {
		return "", err
	}
	pending.Client = begun
	if err := a.logins.Remember(w, r, &pending); err != nil {
		return "", err
	}
	return address, nil
}

// demandACR asks for the authentication contexts in one of the two ways: what both at once are is not specified.
func demandACR(c *client.Client, o *loginOptions) error {
	if len(o.acrs) == 0 {
		return nil
	}
	if !c.Metadata().ClaimsParameter {
		o.ACRValues, o.ACRVoluntary = o.acrs, true
		return nil
	}
	claims := map[string]map[string]any{}
	if o.Claims != nil {
		raw, err := json.Marshal(o.Claims)
		if err != nil {
			return fmt.Errorf("WithClaims: %w", err)
		}
		if err := json.Unmarshal(raw, &claims); err != nil {
			return fmt.Errorf("WithClaims: %w", err)
		}
	}
	if claims["id_token"] == nil {
		claims["id_token"] = map[string]any{}
	}
	claims["id_token"]["acr"] = map[string]any{"essential": true, "values": o.acrs}
	o.Claims = claims
	return nil
}

// own reports whether a path is one of the handler's endpoints, to which no login returns.
func (a *App) own(path string) bool {
	path, _, _ = strings.Cut(path, "?")
	return strings.HasPrefix(path, a.path("/"))
}

// login serves a login that the user or, by initiate_login_uri, the provider or another site asks for (OpenID Connect Core §4).
func (a *App) login(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		a.fail(w, r, errors.Join(ErrMalformed, err))
		return
	}
	if issuer := r.Form.Get("iss"); issuer != "" && issuer != a.config.Issuer {
		a.fail(w, r, fmt.Errorf("%w: iss is %q", ErrMalformed, issuer))
		return
	}
	var options []LoginOption
	if target := cmp.Or(r.Form.Get("return_to"), r.Form.Get("target_link_uri")); target != "" {
		options = append(options, WithReturnTo(target))
	}
	if hint := r.Form.Get("login_hint"); hint != "" && len(hint) <= maxHint {
		options = append(options, WithLoginHint(hint))
	}
	if sealed := r.Form.Get("step"); sealed != "" {
		insufficient, err := a.openStep(sealed)
		if err != nil {
			a.fail(w, r, err)
			return
		}
		v, _, err := a.visit(w, r)
		if err != nil {
			a.fail(w, r, unavailable(err))
			return
		}
		options = append(options, stepOptions(v.session, insufficient)...)
	}
	session.RemoveCookie(w, a.cookieName("loop")) // the user asks for it: that is no loop
	a.Login(w, r, options...)
}

// maxHint is the size of a login_hint that is passed on.
const maxHint = 256
