// Package backchannel is client-initiated backchannel authentication (CIBA Core, FAPI-CIBA): the endpoint, the
// lookup of the user by the hint, the decision, and the notification of the client.
//
// A request is validated like any authorization request (package request), stored until the user decides on a device
// (package device), and redeemed at the token endpoint.
package backchannel

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/ciba"
	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/fapi/offers"
	"countersign/fapi/profile"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/request"
	"countersign/fapi/scope"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/limit"
	"countersign/internal/oauth"
	"countersign/internal/random"
	"countersign/store"
)

// path is the path of the endpoint, below the issuer.
const path = "/backchannel"

// Store has the methods of package store that backchannel requests need.
type Store interface {
	store.Backchannel
	User(ctx context.Context, subject string) (store.User, error)
	UserByName(ctx context.Context, username string) (store.User, error)
	AdmitUser(ctx context.Context, user store.User) error
}

// Config is the configuration of a [Handler].
type Config struct {
	// Settings were checked by [Settings.Check].
	Settings  Settings
	Addresses endpoint.Addresses
	Store     Store
	Clients   *client.Cache
	Keys      *client.KeySets
	Checker   *request.Checker
	Scopes    *scope.Catalog
	Details   *rar.Types
	Offers    *offers.Offers
	// AccountsAtLogin reports that a login of the operator's own decides requests, and so offers what it offers of its accounts.
	AccountsAtLogin bool
	Tokens          *tokens.Issuer
	Consents        *consent.Engine
	Evidence        *event.Recorder
	BackChannel     *endpoint.BackChannel
	// Shared counts requests for users and wrong user codes.
	Shared *limit.Shared
	// GrantLifetime is the lifetime of grants.
	GrantLifetime time.Duration
	// Post sends a notification to a client (CIBA Core §10.2).
	Post func(ctx context.Context, address, authorization string, body []byte) (status int, err error)
	// Notify notifies the user's browsers of a new request (web push); nil does not.
	Notify func(ctx context.Context, record store.BackchannelRequest)
	// Draining reports whether the server is shutting down: then long polls are answered at once.
	Draining func() bool
	Now      func() time.Time
	Log      *slog.Logger
	Tracer   trace.Tracer
}

// Handler is the backchannel authentication endpoint, and lists and decides requests for authentication devices.
type Handler struct {
	settings      Settings
	addresses     endpoint.Addresses
	store         Store
	clients       *client.Cache
	keys          *client.KeySets
	checker       *request.Checker
	scopes        *scope.Catalog
	details       *rar.Types
	offers        *offers.Offers
	atLogin       bool
	tokens        *tokens.Issuer
	agreements    agreements
	evidence      *event.Recorder
	backChannel   *endpoint.BackChannel
	grantLifetime time.Duration
	notify        func(ctx context.Context, record store.BackchannelRequest)
	draining      func() bool
	now           func() time.Time
	log           *slog.Logger
	tracer        trace.Tracer

	// prompts limits how often users are asked, and wrong user codes, on all nodes together.
	prompts *limit.Shared
	// notifier is nil without ping.
	notifier *ciba.Notifier
	polls    polls
}

// New makes the endpoint.
func New(c Config) *Handler {
	h := &Handler{
		settings: c.Settings, addresses: c.Addresses, store: c.Store, clients: c.Clients, keys: c.Keys, checker: c.Checker,
		scopes: c.Scopes, details: c.Details, offers: c.Offers, atLogin: c.AccountsAtLogin, tokens: c.Tokens, agreements: agreements{c.Consents, c.Clients}, evidence: c.Evidence, backChannel: c.BackChannel,
		grantLifetime: c.GrantLifetime, notify: c.Notify, draining: c.Draining, now: c.Now, log: c.Log, tracer: c.Tracer,
		prompts: c.Shared,
	}
	if c.Settings.Seals != nil {
		h.notifier = &ciba.Notifier{
			Outbox: outbox{c.Store}, Seals: c.Settings.Seals, Endpoint: h.notificationEndpoint, Owner: h.organisationOf,
			Post: c.Post, Now: c.Now, Log: c.Log,
		}
	}
	return h
}

// Routes mounts the endpoint.
func (h *Handler) Routes() []endpoint.Route {
	return []endpoint.Route{{
		Methods: endpoint.Post(), Path: path, Metadata: "backchannel_authentication_endpoint", Alias: true, BareErrors: true, AnyListener: true,
		Serve: h.backChannel.Serve(h.authenticate),
	}}
}

// RunPings notifies clients of decisions until ctx ends (CIBA Core §10.2). Every node may run it.
func (h *Handler) RunPings(ctx context.Context) {
	if h.notifier != nil {
		h.notifier.Run(ctx)
	}
}

// notificationEndpoint returns a client's notification endpoint, or [ciba.ErrNoEndpoint].
func (h *Handler) notificationEndpoint(ctx context.Context, clientID string) (string, error) {
	found, err := h.clients.Get(ctx, clientID)
	if errors.Is(err, store.ErrNotFound) {
		return "", ciba.ErrNoEndpoint
	}
	if err != nil {
		return "", err
	}
	if !found.Pings() {
		return "", ciba.ErrNoEndpoint
	}
	return found.Metadata.BackchannelNotificationEndpoint, nil
}

// organisationOf returns who answers for a client; the client itself if it cannot be read.
func (h *Handler) organisationOf(ctx context.Context, clientID string) string {
	found, err := h.clients.Get(ctx, clientID)
	if err != nil {
		return clientID
	}
	return found.Organisation
}

// stored is the form in which a checked request is stored until it is decided.
type stored struct {
	Profile  string      `json:"profile,omitempty"`
	Scopes   []string    `json:"scopes,omitempty"`
	ACRs     []string    `json:"acrs,omitempty"`
	ACRNames []string    `json:"acr_names,omitempty"`
	Details  rar.Details `json:"authorization_details,omitempty"`
	// Accounts are words for those entries of Details that were offered to the user; a request that waits has none.
	Accounts  []display.Offered `json:"-"`
	Resources []string          `json:"resources,omitempty"`
	Claims    *claims.Request   `json:"claims,omitempty"`
	Message   string            `json:"binding_message,omitempty"`
	Context   json.RawMessage   `json:"request_context,omitempty"`
	// Consent is the one that the request names, or nil, and Shown the digest of what users are shown of it.
	Consent *tokens.Consent `json:"consent,omitempty"`
	Shown   string          `json:"consent_shown,omitempty"`
	// Managed is nil unless the client names the grant that is made.
	Managed *request.Managed `json:"grant_management,omitempty"`
}

// response is the acknowledgement of CIBA Core §7.3.
type response struct {
	AuthReqID string `json:"auth_req_id"`
	ExpiresIn int64  `json:"expires_in"`
	Interval  int64  `json:"interval"`
}

// authenticate is the backchannel authentication endpoint (CIBA Core §7). A request for a user who is unknown,
// disabled, or protected by a user code that the client does not send, is acknowledged like any other and then
// expires: the response must not reveal which users exist (§15).
func (h *Handler) authenticate(ctx context.Context, c *endpoint.Call) (endpoint.Answer, error) {
	if !slices.Contains(c.Client.Profile.GrantTypes, profile.CIBA) {
		return endpoint.Answer{}, oauth.Errorf(oauth.UnauthorizedClient,
			"this client is not registered for grant_type %s", profile.CIBA)
	}
	if c.Client.Pings() && h.settings.Seals == nil {
		return endpoint.Answer{}, oauth.Errorf(oauth.UnauthorizedClient,
			"this client is registered for ping, which this server does not offer; register it for poll")
	}
	asked, request, evidence, err := h.read(ctx, c)
	if err != nil {
		return endpoint.Answer{}, err
	}
	lodged, err := h.agreements.consentOf(ctx, c.Client, &request)
	if err != nil {
		return endpoint.Answer{}, err
	}
	user, err := h.identify(ctx, c, asked, lodged)
	if err != nil {
		return endpoint.Answer{}, err
	}
	if err := request.Managed.OfUser(user.subject); err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.heed(ctx, c.Client, &user); err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.mayAsk(ctx, c.Client, user); err != nil {
		return endpoint.Answer{}, err
	}
	if err := h.checkUserCode(ctx, c.Client, &user, asked.UserCode); err != nil {
		return endpoint.Answer{}, err
	}
	return h.start(ctx, c, asked, request, lodged, user, evidence)
}

// start stores a checked request and acknowledges it.
func (h *Handler) start(
	ctx context.Context, c *endpoint.Call, asked ciba.Request, request stored, lodged *consent.Consent, user askedUser, evidence []store.Evidence,
) (endpoint.Answer, error) {
	parameters, err := json.Marshal(request)
	if err == nil {
		evidence, err = event.About(user.subject, evidence)
	}
	if err != nil {
		return endpoint.Answer{}, err
	}
	authReqID, now := random.Secret(), h.now()
	record := store.BackchannelRequest{
		ID: store.DigestOf(authReqID), ClientID: c.Client.ID, Organisation: c.Client.Organisation,
		Subject: user.subject, UserKey: user.key, Parameters: parameters, CreatedAt: now, ExpiresAt: now.Add(asked.Lifetime),
		Interval: h.settings.Interval - PollTolerance, NextPollAt: now,
		Evidence: evidence,
	}
	if lodged != nil {
		if err := h.agreements.Bind(ctx, lodged, record.ID, user.subject); err != nil {
			return endpoint.Answer{}, err
		}
	}
	if asked.NotificationToken != "" {
		record.Ping, err = h.settings.Seals.Seal(record.ID, ciba.Notification{
			AuthReqID: authReqID, Token: asked.NotificationToken, CorrelationID: event.Of(ctx).CorrelationID,
		})
		if err != nil {
			return endpoint.Answer{}, err
		}
	}
	limits := store.BackchannelLimits{
		User: h.settings.PendingPerUser, Organisation: h.settings.pendingPerOrganisation(), Client: h.settings.PendingPerClient,
	}
	err = h.store.StartBackchannel(ctx, record, limits, c.OneTimes()...)
	if errors.Is(err, store.ErrConsumed) {
		h.notShown(ctx, c.Client, user)
		return endpoint.Answer{}, endpoint.TooMany(h.settings.Lifetime, "too many requests are pending for this user")
	}
	if err != nil {
		return endpoint.Answer{}, err
	}
	if record.Subject != "" && h.notify != nil {
		h.notify(ctx, record)
	}
	return endpoint.Answer{Status: http.StatusOK, Body: response{
		AuthReqID: authReqID, ExpiresIn: endpoint.Seconds(asked.Lifetime), Interval: endpoint.Seconds(h.settings.Interval),
	}}, nil
}

// read reads and checks a request, except for its user.
func (h *Handler) read(ctx context.Context, c *endpoint.Call) (ciba.Request, stored, []store.Evidence, error) {
	form, values, evidence, err := h.parameters(ctx, c)
	if err != nil {
		return ciba.Request{}, stored{}, nil, err
	}
	policy := ciba.Policy{
		Ping: c.Client.Pings(), NeedUserCode: h.usesCode(c.Client), NeedBindingMessage: h.needsMessage(form),
		Lifetime: h.settings.Lifetime, MaxLifetime: h.settings.MaxLifetime,
	}
	asked, err := restrict(policy, c.Client.Profile.Backchannel).Read(values)
	if err != nil {
		return ciba.Request{}, stored{}, nil, oauthError(err)
	}
	if err := holdToProfile(asked, c.Client.Profile.Backchannel); err != nil {
		return ciba.Request{}, stored{}, nil, err
	}
	// Parameters that are not CIBA's own are checked as in any authorization request.
	read, err := h.checker.Check(ctx, request.Backchannel, c.Client, form)
	if err != nil {
		return ciba.Request{}, stored{}, nil, err
	}
	if types := read.Details.Open(h.details, rar.FromLogin); len(types) > 0 && !h.atLogin {
		return ciba.Request{}, stored{}, nil, oauth.Errorf(oauth.InvalidAuthorizationDetails,
			"authorization_details leaves a list of %s empty, for which accounts are offered in a browser alone: name them", types[0])
	}
	var named *tokens.Consent
	if read.Consent != "" {
		named = &tokens.Consent{ID: read.Consent}
	}
	return asked, stored{
		Consent: named, Profile: read.Profile, Scopes: read.Scopes, ACRs: wantedACRs(read), ACRNames: read.ACRNames, Details: read.Details,
		Resources: read.Resources, Claims: read.Claims, Message: asked.BindingMessage, Context: asked.Context,
		Managed: read.Managed,
	}, evidence, nil
}

// wantedACRs are the classes of which one has to be reached: those that are essential, if any are, else those asked for.
func wantedACRs(read *request.Request) []string {
	if len(read.EssentialACRs) > 0 {
		return read.EssentialACRs
	}
	return read.ACRs
}

// needsMessage reports whether a request needs a binding_message, which users compare on both devices: only
// authorization_details make the request unique (FAPI-CIBA §5.2.2-2).
func (h *Handler) needsMessage(form oauth.Form) bool {
	if form.Has("authorization_details") {
		return false
	}
	return h.settings.RequireBindingMessage || slices.ContainsFunc(strings.Fields(form.Get("scope")), func(name string) bool {
		return h.scopes.Known(name) && h.scopes.Lookup(name).AlwaysAsk
	})
}

// parameters returns those of the signed request, or those of the form where the client's profile allows that, as a
// form and as values. A signed request is recorded as evidence.
func (h *Handler) parameters(ctx context.Context, c *endpoint.Call) (oauth.Form, url.Values, []store.Evidence, error) {
	rules, values := c.Client.Profile.Backchannel, c.Form.Values()
	if !c.Form.Has("request") {
		if rules.Signed == profile.RequestObjectsRequired {
			return oauth.Form{}, nil, nil, oauth.Errorf(oauth.InvalidRequest,
				"this client's requests have to be signed; send them as request (CIBA Core §7.1.1)")
		}
		return c.Form, values, nil, nil
	}
	values, err := decrypted(ctx, h.tokens.Signer, c.Client.Profile, values)
	if err != nil {
		return oauth.Form{}, nil, nil, err
	}
	object, err := ciba.ParseObject(values, c.Client.Profile.Algorithms)
	if err != nil {
		return oauth.Form{}, nil, nil, oauthError(err)
	}
	var signedBy jose.Key
	check := ciba.Rules{
		Audience: h.addresses.Issuer, ClientID: c.Client.ID, Algorithms: c.Client.RequestAlgorithms(c.Client.Metadata.BackchannelSigningAlg),
		MaxAge: rules.MaxAge, MaxLifetime: rules.MaxLifetime, MaxAhead: c.Client.Profile.MaxAhead, Now: h.now(),
		Verify: h.keys.Verifier(c.Client, &signedBy),
	}
	verified, err := check.Check(ctx, object)
	if err != nil {
		return oauth.Form{}, nil, nil, oauthError(err)
	}
	// Consumed in the transaction of the request, or when the request is refused.
	c.AddOneTime(store.OneTime{
		Kind: "backchannel_request", Key: verified.ReplayKey, Until: verified.Until.Add(endpoint.ClockDifference),
	})
	form, err := oauth.NewForm(verified.Parameters)
	if err != nil {
		return oauth.Form{}, nil, nil, err
	}
	kept, err := h.evidence.Message(ctx, audit.BackchannelRequest, c.Client.ID, object.Compact(), signedBy)
	if errors.Is(err, audit.ErrMessage) {
		return oauth.Form{}, nil, nil, oauth.Errorf(oauth.InvalidRequest,
			"evidence of the signed request cannot be kept without revealing its user_code: make its jti of 16 random characters or more").Because(err)
	}
	return form, verified.Parameters, []store.Evidence{kept}, err
}

// oauthError translates errors of package ciba to *oauth.Error; others pass unchanged.
func oauthError(err error) error {
	if busy := endpoint.KeysBusy(err); busy != nil {
		return busy
	}
	if refused, ok := errors.AsType[*ciba.Error](err); ok {
		return oauth.Errorf(refused.Code, "%s", refused.Description).Because(err)
	}
	return err
}
