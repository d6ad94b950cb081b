package fapi

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"countersign/ciba"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/outbound"
	"countersign/store"
)

// Backchannel has clients ask people on their own devices (CIBA Core, FAPI-CIBA). Durations and numbers of 0 take the
// default named.
type Backchannel struct {
	// Lifetime is how long a request waits that asks for no time (2 min), MaxLifetime the most it can ask for (10 min).
	Lifetime, MaxLifetime time.Duration
	// Interval is the least time between two polls; 5 s.
	Interval time.Duration
	// LongPoll is how long a poll is held while nobody has decided; 0 answers at once. At most 15 s.
	LongPoll time.Duration
	// PendingPerPerson and PendingPerClient bound how many requests wait for one person at once: of all clients (5), and
	// of one client (3).
	PendingPerPerson, PendingPerClient int
	// PersonPerMinute and PersonBurst bound how often one client may ask one person; 3 a minute after a burst of 5.
	PersonPerMinute float64
	PersonBurst     int
	// RequireBindingMessage wants a binding_message in each request without authorization_details. Without it only those
	// requests need one that ask for a scope that people are always asked about (FAPI-CIBA §5.2.2-2).
	RequireBindingMessage bool
	// LoginHint says what a login_hint is: "username", the default, or "subject".
	LoginHint string
	// HintIssuers are those whose login_hint_token is believed.
	HintIssuers []HintIssuer
	// UserCodes compares user codes; nil does not use them.
	UserCodes UserCodes
	// Seals keeps what pings say while they wait; nil offers no ping.
	Seals *ciba.Sealer
	// Certificate is shown to notification endpoints that ask for one; nil shows none.
	Certificate *tls.Certificate
}

// UserCodes compares the user codes that protect people from requests they did not want (CIBA Core §7.1).
type UserCodes interface {
	// Compare tells whether a code is the one that was hashed. An empty hash fits no code, after the same work. Guesses
	// are counted by person: when there were too many, the code is not looked at, and retryAfter says how long to wait.
	Compare(ctx context.Context, person, hash, code string) (fits bool, retryAfter time.Duration, err error)
}

const (
	maxLongPoll = 15 * time.Second
	// pollTolerance is how much sooner than told a poll may come: networks are not even.
	pollTolerance = 500 * time.Millisecond
)

func (c *Config) checkBackchannel() []error {
	if c.Backchannel == nil {
		return nil
	}
	settings := *c.Backchannel
	c.Backchannel = &settings
	setDefault(&settings.Lifetime, 2*time.Minute)
	setDefault(&settings.MaxLifetime, 10*time.Minute)
	setDefault(&settings.Interval, 5*time.Second)
	setDefault(&settings.PendingPerPerson, 5)
	setDefault(&settings.PendingPerClient, 3)
	setDefault(&settings.PersonPerMinute, 3)
	setDefault(&settings.PersonBurst, 5)
	setDefault(&settings.LoginHint, hintUsername)
	var mistakes []error
	mistake := func(format string, arguments ...any) {
		mistakes = append(mistakes, fmt.Errorf("fapi: Backchannel."+format, arguments...))
	}
	if settings.Lifetime < time.Second || settings.Lifetime > settings.MaxLifetime || settings.MaxLifetime > time.Hour {
		mistake("Lifetime must be at most MaxLifetime, and that at most 1h")
	}
	if settings.Interval < time.Second || settings.Interval > time.Minute {
		mistake("Interval must be between 1s and 1m")
	}
	if settings.LongPoll < 0 || settings.LongPoll > maxLongPoll {
		mistake("LongPoll must be at most %s", maxLongPoll)
	}
	if settings.LoginHint != hintUsername && settings.LoginHint != hintSubject {
		mistake("LoginHint must be %s or %s", hintUsername, hintSubject)
	}
	for i, issuer := range settings.HintIssuers {
		if issuer.Issuer == "" || len(issuer.Keys.Keys()) == 0 {
			mistake("HintIssuers[%d] needs an issuer and its keys", i)
		}
	}
	return mistakes
}

// newBackchannel makes what clients are notified with.
func (s *Server) newBackchannel() {
	settings := s.config.Backchannel
	if settings == nil || settings.Seals == nil {
		return
	}
	sender := outbound.New(outbound.Policy{
		AllowLoopback: onLoopback(s.config.Issuer), Roots: s.config.OutboundRoots, Now: s.now, Certificate: settings.Certificate, Timeout: ciba.Timeout,
	})
	s.notifier = &ciba.Notifier{
		Store: s.store, Seals: settings.Seals, Endpoint: s.notificationEndpoint, Post: sender.Post, Now: s.now, Log: s.log,
	}
}

// RunPings notifies clients of decisions until ctx ends (CIBA Core §10.2). Every node may run it.
func (s *Server) RunPings(ctx context.Context) {
	if s.notifier != nil {
		s.notifier.Run(ctx)
	}
}

// notificationEndpoint is where a client wants to be notified.
func (s *Server) notificationEndpoint(ctx context.Context, clientID string) (string, error) {
	client, err := s.clients.get(ctx, clientID)
	if errors.Is(err, store.ErrNotFound) {
		return "", ciba.ErrNoEndpoint
	}
	if err != nil {
		return "", err
	}
	if !s.pings(client) {
		return "", ciba.ErrNoEndpoint
	}
	return client.Metadata.BackchannelNotificationEndpoint, nil
}

// pings tells whether a client is notified.
func (s *Server) pings(client *Client) bool {
	return slices.Contains(client.Profile.Backchannel.DeliveryModes, DeliverByPing)
}

// backchannelRequest is a validated request, as it is stored until it is decided.
type backchannelRequest struct {
	Scopes    []string        `json:"scopes,omitempty"`
	ACRs      []string        `json:"acrs,omitempty"`
	Details   details         `json:"authorization_details,omitempty"`
	Resources []string        `json:"resources,omitempty"`
	Message   string          `json:"binding_message,omitempty"`
	Context   json.RawMessage `json:"request_context,omitempty"`

	// evidence is the request as it was signed.
	evidence []store.Evidence
}

// backchannelResponse is the acknowledgement of CIBA Core §7.3.
type backchannelResponse struct {
	AuthReqID string `json:"auth_req_id"`
	ExpiresIn int64  `json:"expires_in"`
	Interval  int64  `json:"interval"`
}

// backchannelAuthentication is the backchannel authentication endpoint (CIBA Core §7). A request for somebody who is
// unknown, disabled, or cannot be asked by this client is acknowledged like any other, and waits until it expires: who
// is known here is told to nobody (§15 warns of that).
func (s *Server) backchannelAuthentication(ctx context.Context, c *call) (answer, error) {
	settings := s.config.Backchannel
	if !slices.Contains(c.client.Profile.GrantTypes, CIBA) {
		return answer{}, oauth.Errorf(oauth.UnauthorizedClient, "this client is not registered for grant_type %s", CIBA)
	}
	if s.pings(c.client) && settings.Seals == nil {
		return answer{}, oauth.Errorf(oauth.UnauthorizedClient, "this client is registered for ping, and this server notifies nobody; register it for poll")
	}
	asked, request, err := s.readBackchannel(ctx, c)
	if err != nil {
		return answer{}, err
	}
	who, err := s.whoIsAsked(ctx, c, asked)
	if err != nil {
		return answer{}, err
	}
	if err := s.brakes.asking(c.client.ID, who.person); err != nil {
		return answer{}, err
	}
	if err := s.checkUserCode(ctx, c.client, &who, asked.UserCode); err != nil {
		return answer{}, err
	}

	parameters, err := json.Marshal(request)
	if err != nil {
		return answer{}, err
	}
	authReqID, now := newSecret(), s.now()
	record := store.BackchannelRequest{
		ID: store.DigestOf(authReqID), ClientID: c.client.ID, Subject: who.subject, UserKey: who.person, Parameters: parameters,
		CreatedAt: now, ExpiresAt: now.Add(asked.Lifetime), Interval: settings.Interval - pollTolerance, NextPollAt: now,
		Evidence: request.evidence,
	}
	if asked.NotificationToken != "" {
		record.Ping, err = settings.Seals.Seal(record.ID, ciba.Notification{AuthReqID: authReqID, Token: asked.NotificationToken})
		if err != nil {
			return answer{}, err
		}
	}
	limits := store.BackchannelLimits{User: settings.PendingPerPerson, Client: settings.PendingPerClient}
	if err := s.store.StartBackchannel(ctx, record, limits, c.uses...); err != nil {
		if errors.Is(err, store.ErrConsumed) {
			return answer{}, tooMany(settings.Lifetime, "as many requests as may wait for this person do so already")
		}
		return answer{}, err
	}
	c.uses = nil
	if record.Subject != "" {
		s.wakeBrowsers(ctx, record)
	}
	return answer{status: http.StatusOK, body: backchannelResponse{
		AuthReqID: authReqID, ExpiresIn: seconds(asked.Lifetime), Interval: seconds(settings.Interval),
	}}, nil
}

// readBackchannel reads and checks everything of a request but who is asked.
func (s *Server) readBackchannel(ctx context.Context, c *call) (ciba.Request, *backchannelRequest, error) {
	_, span := s.span(ctx, "policy")
	defer span.End()
	values, kept, err := s.signedBackchannel(ctx, c)
	if err != nil {
		return ciba.Request{}, nil, err
	}
	form, err := oauth.NewForm(values)
	if err != nil {
		return ciba.Request{}, nil, err
	}
	settings := s.config.Backchannel
	policy := ciba.Policy{
		Ping: s.pings(c.client), NeedUserCode: s.usesCode(c.client),
		NeedBindingMessage: s.needsMessage(form),
		Lifetime:           settings.Lifetime, MaxLifetime: settings.MaxLifetime,
	}
	asked, err := policy.Read(form.Values())
	if err != nil {
		return ciba.Request{}, nil, backchannelError(err)
	}
	// What is not CIBA's own is read as in any other authorization request.
	common := &authorizationRequest{}
	for _, check := range []func(*Client, oauth.Form, *authorizationRequest) error{s.readDetails, s.checkScopes, s.readResources, s.readACRs} {
		if err := check(c.client, form, common); err != nil {
			return ciba.Request{}, nil, err
		}
	}
	return asked, &backchannelRequest{
		Scopes: common.Scopes, ACRs: common.ACRs, Details: common.Details, Resources: common.Resources,
		Message: asked.BindingMessage, Context: asked.Context, evidence: kept,
	}, nil
}

// needsMessage tells whether a request has to say something that the person can compare on both devices: what is to be
// allowed is unique only when it stands in authorization_details (FAPI-CIBA §5.2.2-2).
func (s *Server) needsMessage(form oauth.Form) bool {
	if form.Has("authorization_details") {
		return false
	}
	return s.config.Backchannel.RequireBindingMessage || slices.ContainsFunc(s.scopes, func(scope Scope) bool {
		return scope.AlwaysAsk && slices.Contains(strings.Fields(form.Get("scope")), scope.Name)
	})
}

// signedBackchannel gives the parameters of a request: those inside the signed one, or those of the form where the
// client's profile allows that. A signed one is evidence.
func (s *Server) signedBackchannel(ctx context.Context, c *call) (url.Values, []store.Evidence, error) {
	rules := c.client.Profile.Backchannel
	raw := c.form.Get("request")
	switch {
	case raw == "" && rules.Signed == RequestObjectsRequired:
		return nil, nil, oauth.Errorf(oauth.InvalidRequest, "this client's requests have to be signed; send them as request (CIBA Core §7.1.1)")
	case raw == "":
		return c.form.Values(), nil, nil
	}
	if err := ciba.CheckBeside(c.form.Values()); err != nil {
		return nil, nil, backchannelError(err)
	}
	object, err := ciba.ParseObject(raw, c.client.Profile.Algorithms)
	if err != nil {
		return nil, nil, backchannelError(err)
	}
	check := ciba.Rules{
		Audience: s.config.Issuer, ClientID: c.client.ID, Algorithms: c.client.Profile.Algorithms,
		MaxAge: rules.MaxAge, MaxLifetime: rules.MaxLifetime, MaxAhead: c.client.Profile.MaxAhead, Now: s.now(),
		Verify: func(ctx context.Context, token *jose.Token) error { return s.verifyWithKeysOf(ctx, c.client, token) },
		// It is claimed with the rest of the request, or when that is refused.
		Use: func(_ context.Context, id string, until time.Time) (bool, error) {
			c.uses = append(c.uses, store.OneTime{
				Kind: "backchannel_request", Key: store.DigestOf(c.client.ID + "\x00" + id), Until: until.Add(clockDifference),
			})
			return true, nil
		},
	}
	if alg := c.client.Metadata.BackchannelSigningAlg; alg != "" {
		check.Algorithms = []string{alg}
	}
	values, err := check.Check(ctx, object)
	if err != nil {
		return nil, nil, backchannelError(err)
	}
	message, key := object.Message()
	kept, err := s.evidenceOf(ctx, audit.BackchannelRequest, c.client.ID, message, key)
	return values, []store.Evidence{kept}, err
}

// backchannelError gives errors of package ciba their code; others pass unchanged.
func backchannelError(err error) error {
	if refused, ok := errors.AsType[*ciba.Error](err); ok {
		return oauth.Errorf(refused.Code, "%s", refused.Description).Because(err)
	}
	return err
}
