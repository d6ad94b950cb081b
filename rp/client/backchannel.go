package client

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/internal/pause"
	"countersign/internal/random"
	"countersign/rp/internal/answer"
	"countersign/rp/internal/metadata"
	"countersign/rp/internal/parameter"
	"countersign/rp/internal/signed"
)

// BackchannelOptions are what a user is asked over the backchannel (CIBA Core §7.1). One of the three hints is required.
type BackchannelOptions struct {
	LoginHint, IDTokenHint, LoginHintToken string
	// Scopes replace those of [Config].
	Scopes               []string
	AuthorizationDetails any
	Claims               any
	ACRValues            []string
	// ACRVoluntary accepts another acr than those.
	ACRVoluntary bool
	// BindingMessage is shown on both devices.
	BindingMessage string
	UserCode       string
	// RequestedExpiry is rounded down to seconds; 0 is the provider's.
	RequestedExpiry time.Duration
	// Ping asks to be told of the decision (token delivery mode ping): a notification token is made.
	Ping bool
	// RequestContext is request_context (FAPI-CIBA §5.2.5), written as a JSON object.
	RequestContext       any
	Resource             []string
	GrantAction, GrantID string
	Extra                url.Values
	// Data is kept in the request for the caller.
	Data json.RawMessage
}

// BackchannelRequest is a request that a user is deciding. It can be stored as JSON, and is secret.
type BackchannelRequest struct {
	Issuer    string    `json:"iss"`
	AuthReqID string    `json:"auth_req_id"`
	ExpiresAt time.Time `json:"expires_at"`
	// Interval is the least time between two polls; it grows by slow_down. In JSON it is in nanoseconds.
	Interval time.Duration `json:"interval"`
	// NotificationToken is what a ping has to bear.
	NotificationToken string   `json:"notification_token,omitempty"`
	Scope             string   `json:"scope,omitempty"`
	ACRValues         []string `json:"acr_values,omitempty"`
	// Subject is the sub that has to come, if an ID token named one.
	Subject string          `json:"sub,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
}

// String hides the secrets.
func (r BackchannelRequest) String() string { return "backchannel request to " + r.Issuer }

// GoString is [BackchannelRequest.String].
func (r BackchannelRequest) GoString() string { return r.String() }

// slowDown is how much longer the interval is after slow_down (CIBA Core §11), up to maxInterval.
const (
	slowDown    = 5 * time.Second
	maxInterval = answer.MaxInterval
)

// Backchannel asks a user over the backchannel, by a signed request where the profile is FAPI2MessageSigning or FAPI1Advanced or RequestKey is set
// (CIBA Core §7.1.1, FAPI-CIBA §5.2.2). Errors are a [*ConfigError], [*ProviderError], [*CheckError] or [*UnavailableError].
func (c *Client) Backchannel(ctx context.Context, options BackchannelOptions) (*BackchannelRequest, error) {
	p := c.current(ctx)
	to, err := need("backchannel_authentication_endpoint", p.document.Backchannel)
	if err != nil {
		return nil, err
	}
	made, err := c.beginBackchannel(options)
	if err != nil {
		return nil, err
	}
	request, err := backchannelParameters(made, options)
	if err != nil {
		return nil, err
	}
	form := request.Form()
	if c.config.signedRequests() {
		if !metadata.Offers(p.document.BackchannelAlgs, c.config.RequestKey.Algorithm()) {
			return nil, misconfigured("RequestKey", "the provider takes no backchannel requests signed with %s", c.config.RequestKey.Algorithm())
		}
		if form, err = c.requestObject(ctx, request); err != nil {
			return nil, err
		}
	}
	asked := c.config.Now()
	reply, err := c.sender.post(ctx, to, form, false)
	if err != nil {
		return nil, err
	}
	if err := to.wantJSON(reply); err != nil {
		return nil, err
	}
	told, err := answer.ReadBackchannel(reply.Body)
	if err != nil {
		return nil, verdict("backchannel response", err)
	}
	made.AuthReqID, made.ExpiresAt, made.Interval = told.AuthReqID, asked.Add(told.Expiry), told.Interval
	return made, nil
}

// beginBackchannel makes what is remembered of a request.
func (c *Client) beginBackchannel(options BackchannelOptions) (*BackchannelRequest, error) {
	hints := 0
	for _, hint := range []string{options.LoginHint, options.IDTokenHint, options.LoginHintToken} {
		if hint != "" {
			hints++
		}
	}
	if hints != 1 {
		return nil, misconfigured("LoginHint", "one hint is needed, and no second (CIBA Core §7.1)")
	}
	scopes := c.scopes(options.Scopes)
	if !slices.Contains(scopes, "openid") {
		return nil, misconfigured("Scopes", "openid is needed (CIBA Core §7.1)")
	}
	made := &BackchannelRequest{Issuer: c.config.Issuer, Scope: strings.Join(scopes, " "), Data: options.Data}
	if !options.ACRVoluntary {
		made.ACRValues = slices.Clone(options.ACRValues)
	}
	if options.Ping {
		made.NotificationToken = random.Secret()
	}
	var err error
	made.Subject, err = hinted(options.IDTokenHint)
	return made, err
}

// backchannelParameters are those of a request.
func backchannelParameters(made *BackchannelRequest, options BackchannelOptions) (parameter.Set, error) {
	p := parameter.Set{}
	p.Texts(map[string]string{
		"scope": made.Scope, "login_hint": options.LoginHint, "id_token_hint": options.IDTokenHint, "login_hint_token": options.LoginHintToken,
		"binding_message": options.BindingMessage, "user_code": options.UserCode, "client_notification_token": made.NotificationToken,
		"grant_management_action": options.GrantAction, "grant_id": options.GrantID,
	})
	p.Words("acr_values", options.ACRValues)
	if expiry := int64(options.RequestedExpiry / time.Second); expiry > 0 {
		p.Number("requested_expiry", expiry)
	}
	if err := errors.Join(p.JSON("claims", options.Claims), p.JSON("request_context", options.RequestContext)); err != nil {
		return nil, unsendable(err)
	}
	return p, unsendable(p.Common(options.AuthorizationDetails, options.Resource, options.Extra))
}

// Poll asks once for the tokens of a request (CIBA Core §10.1). Errors wrap [ErrPending] while the user has not decided, and Interval is longer after
// slow_down; else they are a [*ProviderError] ("access_denied", "expired_token"), [*CheckError] or [*UnavailableError].
func (c *Client) Poll(ctx context.Context, request *BackchannelRequest) (*Tokens, error) {
	if request == nil || request.AuthReqID == "" || request.Issuer != c.config.Issuer {
		return nil, misconfigured("BackchannelRequest", "it is not one with this provider")
	}
	p := c.current(ctx)
	tokens, err := c.token(ctx, p, url.Values{"grant_type": {"urn:openid:params:grant-type:ciba"}, "auth_req_id": {request.AuthReqID}})
	if err != nil {
		return nil, pending(err, request)
	}
	expected := signed.Expected{Subject: request.Subject, Encrypted: c.config.RequireIDTokenEncryption}
	if len(request.ACRValues) > 0 {
		expected.ACRs = request.ACRValues
	}
	if tokens.Scope == "" {
		tokens.Scope = request.Scope
	}
	if err := c.identify(ctx, p, tokens, expected, true); err != nil {
		return nil, err
	}
	return tokens, nil
}

// pending makes an error that wraps [ErrPending] of those that say so.
func pending(err error, request *BackchannelRequest) error {
	told, ok := errors.AsType[*ProviderError](err)
	if !ok {
		return err
	}
	switch told.Code {
	case "slow_down":
		request.Interval = min(max(request.Interval+slowDown, told.RetryAfter), maxInterval)
	case "authorization_pending":
		request.Interval = min(max(request.Interval, told.RetryAfter), maxInterval)
	default:
		return err
	}
	return fmt.Errorf("%w: %w", ErrPending, err)
}

// Await polls at the request's interval until the user has decided, the request expires or ctx ends, also while the provider is out of order for a
// while. The first poll is after an interval. Errors are those of [Client.Poll] but [ErrPending], the last of them when the request has expired, or that of ctx.
func (c *Client) Await(ctx context.Context, request *BackchannelRequest) (*Tokens, error) {
	if request == nil {
		return nil, misconfigured("BackchannelRequest", "there is none")
	}
	for {
		if pause.For(ctx, max(request.Interval, time.Second)) != nil {
			return nil, context.Cause(ctx)
		}
		tokens, err := c.Poll(ctx, request)
		if err == nil || !errors.Is(err, ErrPending) && !Temporary(err) || !c.config.Now().Before(request.ExpiresAt) {
			return tokens, err
		}
	}
}

// ParsePing reads the auth_req_id from the body of a ping (CIBA Core §10.2), by which its request is found. Errors are a [*CheckError].
func ParsePing(body []byte) (authReqID string, err error) {
	const maxPing = 16 << 10
	var ping struct {
		AuthReqID string `json:"auth_req_id"`
	}
	if len(body) > maxPing {
		return "", refuse("ping", "malformed", "it is larger than %d bytes", maxPing)
	}
	if err := decode("ping", body, &ping); err != nil {
		return "", err
	}
	if ping.AuthReqID == "" {
		return "", refuse("ping", "auth_req_id", "it is missing (CIBA Core §10.2)")
	}
	return ping.AuthReqID, nil
}

// VerifyPing checks the Authorization header of a ping: it must bear the request's notification token (CIBA Core §10.2). Then [Client.Poll] gets the tokens.
// Errors are a [*CheckError].
func (r *BackchannelRequest) VerifyPing(authorization string) error {
	scheme, token, _ := strings.Cut(authorization, " ")
	if r.NotificationToken == "" || !strings.EqualFold(scheme, "Bearer") ||
		subtle.ConstantTimeCompare([]byte(strings.TrimLeft(token, " ")), []byte(r.NotificationToken)) != 1 {
		return refuse("ping", "authorization", "it does not bear the token of this request")
	}
	return nil
}
