package fapi_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/fapi"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/mtls"
	"countersign/store"
)

const cibaGrant = "urn:openid:params:grant-type:ciba"

// offersBackchannel has a server take backchannel requests, of every profile; change may alter the settings.
func offersBackchannel(change ...func(*fapi.Backchannel)) option {
	turnOn := withBackchannel(change...)
	return func(c *fapiConfig, a *autoInteractor) {
		offering(c, a)
		turnOn(c, a)
	}
}

// withBackchannel is the same with the profiles that are offered anyway.
func withBackchannel(change ...func(*fapi.Backchannel)) option {
	return func(c *fapiConfig, _ *autoInteractor) {
		seals, err := ciba.NewSealer([]byte(ciba.NewSealKey()))
		if err != nil {
			panic(err)
		}
		c.Backchannel = &fapi.Backchannel{
			Seals: seals, UserCodes: directory.NewUserCodes(c.Now), PersonBurst: 1000, PendingPerPerson: 1000, PendingPerClient: 1000,
		}
		c.ACRValues = []string{byKey, byPassword}
		certificate, err := serverTLS()
		if err != nil {
			panic(err)
		}
		c.OutboundRoots = x509.NewCertPool()
		c.OutboundRoots.AddCert(certificate.Leaf)
		for _, each := range change {
			each(c.Backchannel)
		}
	}
}

// asks registers a client that asks people over the backchannel and polls.
func asks(c *client, m map[string]any) {
	m["grant_types"], m["response_types"] = []string{cibaGrant, "refresh_token"}, []string{}
	delete(m, "redirect_uris")
	m["backchannel_token_delivery_mode"] = "poll"
}

// asksAdvanced registers one of FAPI 1.0 Advanced: it signs its requests, and its tokens are bound to a certificate.
func asksAdvanced(c *client, m map[string]any) {
	advanced(c, m)
	asks(c, m)
}

// backchannel gives the parameters of a request to ask alice.
func (c *client) backchannel() url.Values {
	return url.Values{"scope": {c.scope}, "login_hint": {"alice"}}
}

// signedRequest makes the claims of a signed request of a form; alter changes them.
func (c *client) signedRequest(form url.Values, alter func(claims)) claims {
	now := c.w.clock.Now().Unix()
	body := claims{"iss": c.id, "aud": c.w.issuer, "jti": random(), "iat": now, "nbf": now, "exp": now + 300}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// ask sends a plain request.
func (c *client) ask(alter change) reply {
	c.w.t.Helper()
	return c.post("/backchannel", c.backchannel(), alter)
}

// askSigned sends a signed request.
func (c *client) askSigned(alter func(claims)) reply {
	c.w.t.Helper()
	return c.post("/backchannel", url.Values{"request": {c.signed(c.key, "", c.signedRequest(c.backchannel(), alter))}}, nil)
}

// asked sends a request that has to be taken, and gives its auth_req_id.
func (c *client) asked(alter change) string {
	c.w.t.Helper()
	r := c.ask(alter)
	if r.status != http.StatusOK || r.text("auth_req_id") == "" {
		c.w.t.Fatalf("backchannel: %d %s", r.status, r.raw)
	}
	return r.text("auth_req_id")
}

// fetch polls.
func (c *client) fetch(authReqID string, alter change) reply {
	c.w.t.Helper()
	return c.post("/token", url.Values{"grant_type": {cibaGrant}, "auth_req_id": {authReqID}}, alter)
}

// byAlice is what alice answers on her telephone.
func (w *world) byAlice(authReqID string, allowed bool) fapi.BackchannelAnswer {
	return fapi.BackchannelAnswer{
		Reference: fapi.BackchannelReference(authReqID), Allowed: allowed, AuthTime: w.clock.Now(), Device: "telephone",
		Authentication: fapi.Authentication{Subject: "sub-alice", ACR: byKey, AMR: []string{"hwk"}},
	}
}

// decide has alice answer.
func (w *world) decide(authReqID string, allowed bool) {
	w.t.Helper()
	if err := w.server.DecideBackchannel(w.t.Context(), w.byAlice(authReqID, allowed)); err != nil {
		w.t.Fatal(err)
	}
}

// bell is where a client is notified: it remembers what came, and answers as it is told.
type bell struct {
	*httptest.Server
	mu      sync.Mutex
	answer  func(http.ResponseWriter)
	rung    []ring
	invited chan struct{}
}

type ring struct {
	authorization, contentType, body string
}

func (w *world) bell(answer func(http.ResponseWriter)) *bell {
	b := &bell{answer: answer, invited: make(chan struct{}, 1000)}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		b.mu.Lock()
		b.rung = append(b.rung, ring{r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		answer := b.answer
		b.mu.Unlock()
		answer(rw)
		b.invited <- struct{}{}
	}))
	certificate, _ := serverCertificate(w.t)
	b.Server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	b.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.Server.StartTLS()
	w.t.Cleanup(b.Server.Close)
	return b
}

func (b *bell) rings() []ring {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]ring(nil), b.rung...)
}

func answering(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status) }
}

// pingedAt registers a client that is notified at an address.
func pingedAt(address string) func(*client, map[string]any) {
	return func(c *client, m map[string]any) {
		asks(c, m)
		m["backchannel_token_delivery_mode"], m["backchannel_client_notification_endpoint"] = "ping", address
	}
}

// notifying runs the sending of pings until the test ends.
func (w *world) notifying() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.server.RunPings(ctx)
	}()
	w.t.Cleanup(func() { stop(); <-done })
}

const bellToken = "notification-token-0123456789"

func withBellToken(form url.Values, _ http.Header) { form.Set("client_notification_token", bellToken) }

// hinter signs login_hint_tokens.
type hinter struct {
	key    jose.PrivateKey
	issuer fapi.HintIssuer
}

func newHinter(t *testing.T) hinter {
	t.Helper()
	key := newKey(t, jose.ES256)
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return hinter{key, fapi.HintIssuer{Issuer: "https://directory.example", Keys: keys}}
}

func (h hinter) token(w *world, alter func(claims)) string {
	w.t.Helper()
	now := w.clock.Now()
	body := claims{
		"iss": h.issuer.Issuer, "aud": w.issuer, "jti": random(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"sub_id": map[string]string{"format": "opaque", "id": "sub-alice"},
	}
	if alter != nil {
		alter(body)
	}
	signed, err := jose.Sign(context.Background(), h.key.SigningKey(), "JWT", body)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

// setCode gives alice a user code.
func (w *world) setCode(code string) {
	w.t.Helper()
	user, err := w.store.User(context.Background(), "sub-alice")
	if err != nil {
		w.t.Fatal(err)
	}
	if user.UserCode, err = directory.HashUserCode(code); err != nil {
		w.t.Fatal(err)
	}
	if err := w.store.PutUser(context.Background(), user); err != nil {
		w.t.Fatal(err)
	}
}

// pendingOf lists what waits for a person.
func (w *world) pendingOf(subject string) []fapi.BackchannelView {
	w.t.Helper()
	views, err := w.server.BackchannelPending(w.t.Context(), subject)
	if err != nil {
		w.t.Fatal(err)
	}
	return views
}

// initialTokenFor gives an organisation an initial access token for clients of a profile.
func (w *world) initialTokenFor(organisation, profile string) string {
	w.t.Helper()
	token := w.initialToken(organisation, 1)
	stored, err := w.store.InitialToken(context.Background(), store.DigestOf(token))
	if err == nil {
		stored.Profile = profile
		err = w.store.PutInitialToken(context.Background(), stored)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return token
}

// sendPings has another node send what is due at once, and says how many it has tried.
func (w *world) sendPings() (int, error) {
	sender := outbound.New(outbound.Policy{AllowLoopback: true, Roots: w.config.OutboundRoots})
	ctx, stop := context.WithCancel(w.t.Context())
	once := &outboxOnce{Store: w.store, stop: stop}
	notifier := &ciba.Notifier{
		Outbox: once, Seals: w.config.Backchannel.Seals, Post: sender.Post, Now: w.clock.Now, Log: slog.New(slog.DiscardHandler),
		Endpoint: func(ctx context.Context, clientID string) (string, error) {
			record, err := w.store.Client(ctx, clientID)
			if err != nil {
				return "", err
			}
			client, err := fapi.ParseClient(record.ID, record.Profile, record.Metadata)
			if err != nil {
				return "", err
			}
			return client.Metadata.BackchannelNotificationEndpoint, nil
		},
	}
	notifier.Run(ctx)
	return once.claimed, once.err
}

// outboxOnce stops its notifier when pings have been claimed once.
type outboxOnce struct {
	store.Store
	stop    context.CancelFunc
	claimed int
	err     error
}

func (o *outboxOnce) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]ciba.Ping, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	defer o.stop()
	claimed, err := o.Store.ClaimPings(ctx, limit, lease)
	var pings []ciba.Ping
	for _, p := range claimed {
		pings = append(pings, ciba.Ping{Request: p.Request, ClientID: p.ClientID, Sealed: p.Sealed, Attempt: p.Attempt, ExpiresAt: p.ExpiresAt})
	}
	o.claimed, o.err = len(pings), err
	return pings, err
}

func (o *outboxOnce) PingDone(ctx context.Context, request [32]byte) error {
	return o.Store.PingDone(ctx, request)
}

func (o *outboxOnce) PingFailed(ctx context.Context, request [32]byte, attempt int, next time.Time) error {
	return o.Store.PingFailed(ctx, request, attempt, next)
}

// probe shows that a format of subject identifiers is understood.
func (h hinter) probe(t *testing.T, w probedWorld, value string) {
	host, _, _ := strings.Cut(strings.TrimPrefix(w.issuer, "https://"), ":")
	format := map[string]map[string]string{
		"account": {"format": "account", "uri": "acct:alice@" + host}, "opaque": {"format": "opaque", "id": "sub-alice"},
	}[value]
	c := w.register("client-"+random(), asks)
	id := c.asked(both(unset("login_hint"), set("login_hint_token", h.token(w.world, claim("sub_id", format)))))
	w.decide(id, true)
	wantActive(t, c.fetch(id, nil))
}

// probeDeliveryMode goes the whole way in one mode.
func probeDeliveryMode(t *testing.T, w probedWorld, value string) {
	b := w.bell(answering(http.StatusNoContent))
	c := w.register("client-"+random(), func(c *client, m map[string]any) {
		if pingedAt(b.URL)(c, m); value == "poll" {
			asks(c, m)
		}
	})
	id := c.asked(withBellToken)
	w.decide(id, true)
	if value == "ping" {
		if sent, err := w.sendPings(); err != nil || sent != 1 {
			t.Errorf("%d pings: %v", sent, err)
		}
		b.awaitRings(t, 1)
	}
	wantActive(t, c.fetch(id, nil))
}

func probeBackchannelAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), func(c *client, m map[string]any) {
		asks(c, m)
		c.key = newKey(t, value)
		m["jwks"], m["backchannel_authentication_request_signing_alg"] = keySet(c.key.PublicJWK()), value
	})
	if r := c.askSigned(nil); r.status != http.StatusOK {
		t.Errorf("answered %d %s", r.status, r.raw)
	}
}
