package client

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"countersign/internal/jose"
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

// newSecret is 256 bits in base64url: 43 characters (RFC 7636 §4.1).
func newSecret() string {
	var octets [32]byte
	rand.Read(octets[:])
	return base64.RawURLEncoding.EncodeToString(octets[:])
}

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
	form := request.form()
	if c.config.signedRequests() {
		object, err := c.signRequest(ctx, request.claims())
		if err != nil {
			return "", Transaction{}, err
		}
		form = url.Values{"client_id": {c.config.ClientID}, "request": {object}}
	}
	if c.config.pushes() {
		if form, err = c.push(ctx, p, form); err != nil {
			return "", Transaction{}, err
		}
	} else if form.Has("request") { // OpenID Connect Core §6.1: these are repeated outside
		for _, name := range []string{"response_type", "scope", "redirect_uri"} {
			if value, ok := request[name]; ok {
				form.Set(name, value.text)
			}
		}
	}
	address, err = withQuery(to.address, form)
	if err != nil {
		return "", Transaction{}, err
	}
	return address, t, nil
}

// begin makes the transaction.
func (c *Client) begin(options AuthorizeOptions) (Transaction, error) {
	scopes := c.config.Scopes
	if options.Scopes != nil {
		scopes = options.Scopes
	}
	t := Transaction{
		Issuer: c.config.Issuer, State: newSecret(), RedirectURI: c.config.RedirectURI, ResponseType: c.config.ResponseType,
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
		t.Nonce = newSecret()
	}
	if !c.config.Weak.NoPKCE {
		t.CodeVerifier = newSecret()
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
	if options.IDTokenHint != "" {
		subject, err := hinted(options.IDTokenHint)
		if err != nil {
			return Transaction{}, err
		}
		t.Subject = subject
	}
	return t, nil
}

// hinted reads the sub of an ID token that was verified when it came.
func hinted(idToken string) (string, error) {
	parsed, err := jose.Parse(idToken, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA, jose.RS256}, PKCS1: true})
	if err != nil {
		return "", misconfigured("IDTokenHint", "it is no ID token as Tokens has it: %v", err)
	}
	var claims struct {
		Subject string `json:"sub"`
	}
	if err := parsed.Claims(&claims); err != nil || claims.Subject == "" {
		return "", misconfigured("IDTokenHint", "it has no sub")
	}
	return claims.Subject, nil
}

// parameter is a parameter of a request, as it is written in a form and as a claim of a request object.
type parameter struct {
	text  string
	claim any
	// several are the values of one that may be repeated.
	several []string
}

// parameters are those of a request, by their names.
type parameters map[string]parameter

func (p parameters) set(name, text string) {
	if text != "" {
		p[name] = parameter{text: text, claim: text}
	}
}

// setJSON adds a parameter that is JSON.
func (p parameters) setJSON(name, field string, value any) error {
	if value == nil {
		return nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return misconfigured(field, "it cannot be written as JSON: %v", err)
	}
	p[name] = parameter{text: string(raw), claim: json.RawMessage(raw)}
	return nil
}

// setDetails adds authorization_details, which are an array.
func (p parameters) setDetails(value any) error {
	if err := p.setJSON("authorization_details", "AuthorizationDetails", value); err != nil {
		return err
	}
	if own, ok := p["authorization_details"]; ok && !strings.HasPrefix(own.text, "[") {
		return p.setJSON("authorization_details", "AuthorizationDetails", []any{json.RawMessage(own.text)})
	}
	return nil
}

func (p parameters) setNumber(name string, number int64) {
	p[name] = parameter{text: strconv.FormatInt(number, 10), claim: number}
}

func (p parameters) setResources(resources []string) {
	if len(resources) > 0 {
		p["resource"] = parameter{several: slices.Clone(resources), claim: slices.Clone(resources)}
	}
}

// setExtra adds the caller's own, which replace none.
func (p parameters) setExtra(extra url.Values) error {
	for name, values := range extra {
		_, known := p[name]
		if known || slices.Contains([]string{"request", "request_uri", "client_id", "client_secret", "client_assertion", "client_assertion_type", "state", "nonce", "code_verifier", "grant_type"}, name) {
			return misconfigured("Extra", "%q is not the caller's to set", printable(name))
		}
		if len(values) != 1 {
			return misconfigured("Extra", "%q needs one value", printable(name))
		}
		p.set(name, values[0])
	}
	return nil
}

// form writes them as a form.
func (p parameters) form() url.Values {
	form := url.Values{}
	for name, one := range p {
		form[name] = []string{one.text}
		if one.several != nil {
			form[name] = one.several
		}
	}
	return form
}

// claims writes them as claims.
func (p parameters) claims() map[string]any {
	claims := map[string]any{}
	for name, one := range p {
		claims[name] = one.claim
	}
	return claims
}

// request gives the parameters of an authorization request.
func (c *Client) request(t Transaction, options AuthorizeOptions) (parameters, error) {
	p := parameters{}
	p.set("client_id", c.config.ClientID)
	p.set("response_type", t.ResponseType)
	p.set("response_mode", t.ResponseMode)
	p.set("redirect_uri", t.RedirectURI)
	p.set("scope", t.Scope)
	p.set("state", t.State)
	p.set("nonce", t.Nonce)
	if t.CodeVerifier != "" {
		p.set("code_challenge", challengeOf(t.CodeVerifier))
		p.set("code_challenge_method", "S256")
	}
	p.set("dpop_jkt", t.JKT)
	p.set("acr_values", strings.Join(options.ACRValues, " "))
	p.set("prompt", strings.Join(options.Prompt, " "))
	p.set("ui_locales", strings.Join(options.UILocales, " "))
	p.set("login_hint", options.LoginHint)
	p.set("id_token_hint", options.IDTokenHint)
	p.set("grant_management_action", options.GrantAction)
	p.set("grant_id", options.GrantID)
	if t.MaxAge != nil {
		p.setNumber("max_age", *t.MaxAge)
	}
	p.setResources(options.Resource)
	if err := p.setJSON("claims", "Claims", options.Claims); err != nil {
		return nil, err
	}
	if err := p.setDetails(options.AuthorizationDetails); err != nil {
		return nil, err
	}
	return p, p.setExtra(options.Extra)
}

// push pushes a request (RFC 9126 §2) and gives the parameters that are left for the browser.
func (c *Client) push(ctx context.Context, p *provider, form url.Values) (url.Values, error) {
	to, err := need("pushed_authorization_request_endpoint", p.document.PAR)
	if err != nil {
		return nil, err
	}
	reply, err := c.post(ctx, to, form, false)
	if err != nil {
		return nil, err
	}
	var pushed struct {
		RequestURI string `json:"request_uri"`
	}
	if err := decode("pushed response", to.name, reply, &pushed); err != nil {
		return nil, err
	}
	if pushed.RequestURI == "" || reply.Status != http.StatusCreated && reply.Status != http.StatusOK {
		return nil, refuse("pushed response", "request_uri", "it is missing (RFC 9126 §2.2)")
	}
	return url.Values{"client_id": {c.config.ClientID}, "request_uri": {pushed.RequestURI}}, nil
}

// withQuery adds parameters to an address that may have some (RFC 6749 §3.1).
func withQuery(address string, form url.Values) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", refuse("metadata", "authorization_endpoint", "it is not an address")
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return "", refuse("metadata", "authorization_endpoint", "its query cannot be read")
	}
	maps.Copy(query, form)
	parsed.RawQuery = query.Encode()
	return parsed.String(), nil
}
