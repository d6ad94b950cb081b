package client

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/random"
	"countersign/rp/internal/exchange"
	"countersign/rp/internal/parameter"
	"countersign/rp/internal/signed"
)

// AuthorizeOptions are what one authorization asks for beside [Config].
type AuthorizeOptions struct {
	// Scopes replace those of [Config].
	Scopes []string
	// RedirectURI replaces that of [Config].
	RedirectURI string
	// AuthorizationDetails is written as a JSON array (RFC 9396 §2); a value that is none becomes the only element.
	AuthorizationDetails any
	// Claims is the claims parameter (OpenID Connect Core §5.5), written as a JSON object.
	Claims any
	// ACRValues are asked for, and one of them has to come: another acr is refused, unless ACRVoluntary.
	ACRValues    []string
	ACRVoluntary bool
	// MaxAge is how long ago the user may have authenticated (max_age), checked by auth_time; nil is any time. Seconds are what counts.
	MaxAge *time.Duration
	// Prompt is "none", "login", "consent", "select_account", or several.
	Prompt []string
	// UILocales are languages (BCP 47), in the user's order.
	UILocales []string
	// LoginHint and IDTokenHint name the user that is expected. With the latter another sub is refused.
	LoginHint, IDTokenHint string
	// Resource are the resources that the token is for (RFC 8707).
	Resource []string
	// GrantAction is "create", "merge" or "replace", GrantID the grant of the latter two (Grant Management for OAuth 2.0 §4).
	GrantAction, GrantID string
	// Extra are other parameters. One that the package sends itself is a [*ConfigError].
	Extra url.Values
	// Data is kept in the transaction for the caller, such as where to return to. It is not sent.
	Data json.RawMessage
}

// Transaction is what has to be remembered between [Client.Authorize] and [Client.Callback], for the browser that it was made for and for no
// other: one per State, each used once. It can be stored as JSON, and is secret.
type Transaction struct {
	Issuer       string `json:"iss"`
	State        string `json:"state"`
	Nonce        string `json:"nonce,omitempty"`
	CodeVerifier string `json:"code_verifier,omitempty"`
	RedirectURI  string `json:"redirect_uri"`
	ResponseType string `json:"response_type"`
	ResponseMode string `json:"response_mode,omitempty"`
	Scope        string `json:"scope,omitempty"`
	// MaxAge is in seconds.
	MaxAge *int64 `json:"max_age,omitempty"`
	// ACRValues are those of which one has to come.
	ACRValues []string `json:"acr_values,omitempty"`
	// Essential are claims that have to come with one of some values.
	Essential map[string][]json.RawMessage `json:"essential,omitempty"`
	// Subject is the sub that has to come, if one was named.
	Subject string `json:"sub,omitempty"`
	// JKT is the thumbprint of the DPoP key that the code is bound to (RFC 9449 §10).
	JKT       string          `json:"jkt,omitempty"`
	CreatedAt time.Time       `json:"created_at"`
	Data      json.RawMessage `json:"data,omitempty"`
}

// String hides the secrets.
func (t Transaction) String() string { return "transaction with " + t.Issuer }

// GoString is [Transaction.String].
func (t Transaction) GoString() string { return t.String() }

// challengeOf is the code_challenge of a verifier (RFC 7636 §4.2).
func challengeOf(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// Authorize begins an authorization: it makes state, nonce and PKCE, signs and pushes the request as the profile wants it, and returns the
// address to send the browser to (with status 303) and what to remember. Errors are a [*ConfigError], [*ProviderError] or
// [*UnavailableError].
func (c *Client) Authorize(ctx context.Context, options AuthorizeOptions) (address string, t Transaction, err error) {
	p := c.current(ctx)
	to, err := need("authorization_endpoint", p.document.Authorization)
	if err != nil {
		return "", Transaction{}, err
	}
	t, err = c.begin(options)
	if err != nil {
		return "", Transaction{}, err
	}
	request, err := c.request(t, options)
	if err != nil {
		return "", Transaction{}, err
	}
	form := request.Form()
	if c.config.signedRequests() {
		if form, err = c.requestObject(ctx, request); err != nil {
			return "", Transaction{}, err
		}
	}
	if c.config.pushes() {
		if form, err = c.push(ctx, p, form); err != nil {
			return "", Transaction{}, err
		}
	} else if form.Has("request") { // RFC 9101 §5, OpenID Connect Core §6.1: these are repeated outside
		for _, name := range []string{"client_id", "response_type", "scope", "redirect_uri"} {
			if value := request.Form().Get(name); value != "" {
				form.Set(name, value)
			}
		}
	}
	if address, err = exchange.WithQuery(to.address, form); err != nil {
		return "", Transaction{}, unavailable(to.name, err)
	}
	return address, t, nil
}

// begin makes the transaction.
func (c *Client) begin(options AuthorizeOptions) (Transaction, error) {
	scopes := c.scopes(options.Scopes)
	t := Transaction{
		Issuer: c.config.Issuer, State: random.Secret(), RedirectURI: c.config.RedirectURI, ResponseType: c.config.ResponseType,
		ResponseMode: c.config.ResponseMode, Scope: strings.Join(scopes, " "), CreatedAt: c.config.Now(), Data: options.Data,
	}
	if options.RedirectURI != "" {
		if err := checkRedirectURI(options.RedirectURI); err != nil {
			return Transaction{}, err
		}
		t.RedirectURI = options.RedirectURI
	}
	if t.RedirectURI == "" {
		return Transaction{}, misconfigured("RedirectURI", "it is missing")
	}
	openid := slices.Contains(scopes, "openid")
	if openid {
		t.Nonce = random.Secret()
	}
	if !c.config.Weak.NoPKCE {
		t.CodeVerifier = random.Secret()
	}
	if c.binding == bindingDPoP {
		t.JKT = c.dpop.Thumbprint()
	}
	if !openid && (options.MaxAge != nil || options.IDTokenHint != "" || len(options.ACRValues) > 0 && !options.ACRVoluntary) {
		return Transaction{}, misconfigured("Scopes", "what is asked of the user's authentication comes in an ID token: openid is needed")
	}
	if !openid && t.ResponseType == typeCodeIDToken {
		return Transaction{}, misconfigured("Scopes", "code id_token needs openid")
	}
	if options.MaxAge != nil {
		seconds := int64(*options.MaxAge / time.Second)
		if seconds < 0 {
			return Transaction{}, misconfigured("MaxAge", "it is negative")
		}
		t.MaxAge = &seconds
	}
	if !options.ACRVoluntary {
		t.ACRValues = slices.Clone(options.ACRValues)
	}
	if openid {
		t.Essential = signed.Essential(options.Claims)
	}
	var err error
	t.Subject, err = hinted(options.IDTokenHint)
	return t, err
}

// scopes are those of an option, or else of the configuration.
func (c *Client) scopes(option []string) []string {
	if option != nil {
		return option
	}
	return c.config.Scopes
}

// hinted is the sub that an id_token_hint names; empty without one.
func hinted(idToken string) (subject string, err error) {
	if idToken == "" {
		return "", nil
	}
	if subject, err = signed.Subject(idToken); err != nil {
		return "", misconfigured("IDTokenHint", "%v", err)
	}
	return subject, nil
}

// requestObject signs the parameters of a request, and gives the one that stands for them (RFC 9101 §5, CIBA Core §7.1.1).
func (c *Client) requestObject(ctx context.Context, request parameter.Set) (url.Values, error) {
	object, err := c.sender.states().Request(ctx, c.config.RequestKey.signing, c.config.Issuer, request.Claims())
	if err != nil {
		return nil, signing(err)
	}
	return url.Values{"request": {object}}, nil
}

// request gives the parameters of an authorization request.
func (c *Client) request(t Transaction, options AuthorizeOptions) (parameter.Set, error) {
	p := parameter.Set{}
	p.Texts(map[string]string{
		"client_id": c.config.ClientID, "response_type": t.ResponseType, "response_mode": t.ResponseMode, "redirect_uri": t.RedirectURI,
		"scope": t.Scope, "state": t.State, "nonce": t.Nonce, "dpop_jkt": t.JKT, "login_hint": options.LoginHint, "id_token_hint": options.IDTokenHint,
		"grant_management_action": options.GrantAction, "grant_id": options.GrantID,
	})
	if t.CodeVerifier != "" {
		p.Text("code_challenge", challengeOf(t.CodeVerifier))
		p.Text("code_challenge_method", "S256")
	}
	p.Words("acr_values", options.ACRValues)
	p.Words("prompt", options.Prompt)
	p.Words("ui_locales", options.UILocales)
	if t.MaxAge != nil {
		p.Number("max_age", *t.MaxAge)
	}
	if err := p.JSON("claims", options.Claims); err != nil {
		return nil, unsendable(err)
	}
	return p, unsendable(p.Common(options.AuthorizationDetails, options.Resource, options.Extra))
}

// push pushes a request (RFC 9126 §2) and gives the parameters that are left for the browser.
func (c *Client) push(ctx context.Context, p *provider, form url.Values) (url.Values, error) {
	to, err := need("pushed_authorization_request_endpoint", p.document.PAR)
	if err != nil {
		return nil, err
	}
	reply, err := c.sender.post(ctx, to, form, false)
	if err != nil {
		return nil, err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := to.decode("pushed response", reply, &pushed); err != nil {
		return nil, err
	}
	if pushed.RequestURI == "" || reply.Status != http.StatusCreated && reply.Status != http.StatusOK {
		return nil, refuse("pushed response", "request_uri", "it is missing (RFC 9126 §2.2)")
	}
	return url.Values{"client_id": {c.config.ClientID}, "request_uri": {pushed.RequestURI}}, nil
}
