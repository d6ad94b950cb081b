package fapitest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
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
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/fapi/client"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/internal/outbound"
	"countersign/mtls"
	"countersign/store"
)

// decideIfShown has alice answer what she is shown.
func (w *World) DecideIfShown(authReqID string) {
	w.T.Helper()
	for _, view := range w.PendingOf("sub-alice") {
		if view.Reference == Reference(authReqID) {
			w.Decide(authReqID, false)
		}
	}
}

const CibaGrant = "urn:openid:params:grant-type:ciba"

// offersBackchannel has a server take backchannel requests, of every profile; change may alter the settings.
func OffersBackchannel(change ...func(*backchannel.Settings)) Option {
	turnOn := WithBackchannel(change...)
	return func(c *FapiConfig, a *AutoInteractor) {
		Offering(c, a)
		turnOn(c, a)
	}
}

// withBackchannel is the same with the profiles that are offered anyway.
func WithBackchannel(change ...func(*backchannel.Settings)) Option {
	return func(c *FapiConfig, _ *AutoInteractor) {
		seals, err := ciba.NewSealer([]byte(ciba.NewSealKey()))
		if err != nil {
			panic(err)
		}
		c.Backchannel = &backchannel.Settings{
			Seals: seals, UserCodes: directory.NewUserCodes(c.Now), UserBurst: 1000, PendingPerUser: 1000, PendingPerClient: 1000,
		}
		c.ACRValues = []string{ByKey, ByPassword}
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
func Asks(c *Client, m map[string]any) {
	m["grant_types"], m["response_types"] = []string{CibaGrant, "refresh_token"}, []string{}
	delete(m, "redirect_uris")
	m["backchannel_token_delivery_mode"] = "poll"
}

// asksAdvanced registers one of FAPI 1.0 Advanced: it signs its requests, and its tokens are bound to a certificate.
func AsksAdvanced(c *Client, m map[string]any) {
	Advanced(c, m)
	Asks(c, m)
}

// backchannel gives the parameters of a request to ask alice.
func (c *Client) Backchannel() url.Values {
	return url.Values{"scope": {c.Scope}, "login_hint": {"alice"}}
}

// signedRequest makes the claims of a signed request of a form; alter changes them.
func (c *Client) SignedRequest(form url.Values, alter func(Claims)) Claims {
	now := c.W.Clock.Now().Unix()
	body := Claims{"iss": c.ID, "aud": c.W.Issuer, "jti": Random(), "iat": now, "nbf": now, "exp": now + 300}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// ask sends a plain request.
func (c *Client) Ask(alter Change) Reply {
	c.W.T.Helper()
	return c.Post("/backchannel", c.Backchannel(), alter)
}

// askSigned sends a signed request.
func (c *Client) AskSigned(alter func(Claims)) Reply {
	c.W.T.Helper()
	return c.Post("/backchannel", url.Values{"request": {c.Signed(c.Key, "", c.SignedRequest(c.Backchannel(), alter))}}, nil)
}

// asked sends a request that has to be taken, and gives its auth_req_id.
func (c *Client) Asked(alter Change) string {
	c.W.T.Helper()
	r := c.Ask(alter)
	if r.Status != http.StatusOK || r.Text("auth_req_id") == "" {
		c.W.T.Fatalf("backchannel: %d %s", r.Status, r.Raw)
	}
	return r.Text("auth_req_id")
}

// fetch polls.
func (c *Client) Fetch(authReqID string, alter Change) Reply {
	c.W.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {CibaGrant}, "auth_req_id": {authReqID}}, alter)
}

// byAlice is what alice answers on her telephone.
func (w *World) ByAlice(authReqID string, allowed bool) backchannel.Decision {
	return backchannel.Decision{
		Reference: Reference(authReqID), Allowed: allowed, AuthTime: w.Clock.Now(), Device: "telephone",
		Authentication: browser.Authentication{Subject: "sub-alice", ACR: ByKey, AMR: []string{"hwk"}},
	}
}

// decide has alice answer.
func (w *World) Decide(authReqID string, allowed bool) {
	w.T.Helper()
	if err := w.Server.Backchannel().Decide(w.T.Context(), w.ByAlice(authReqID, allowed)); err != nil {
		w.T.Fatal(err)
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
	Authorization, ContentType, Body string
}

func (w *World) Bell(answer func(http.ResponseWriter)) *bell {
	b := &bell{answer: answer, invited: make(chan struct{}, 1000)}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.T.Error(err)
		}
		b.mu.Lock()
		b.rung = append(b.rung, ring{r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		answer := b.answer
		b.mu.Unlock()
		answer(rw)
		b.invited <- struct{}{}
	}))
	certificate, _ := ServerCertificate(w.T)
	b.Server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	b.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.Server.StartTLS()
	w.T.Cleanup(b.Server.Close)
	return b
}

func (b *bell) Rings() []ring {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]ring(nil), b.rung...)
}

func Answering(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status) }
}

// pingedAt registers a client that is notified at an address.
func PingedAt(address string) func(*Client, map[string]any) {
	return func(c *Client, m map[string]any) {
		Asks(c, m)
		m["backchannel_token_delivery_mode"], m["backchannel_client_notification_endpoint"] = "ping", address
	}
}

// notifying runs the sending of pings until the test ends.
func (w *World) Notifying() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.Server.RunPings(ctx)
	}()
	w.T.Cleanup(func() { stop(); <-done })
}

const BellToken = "notification-token-0123456789"

func WithBellToken(form url.Values, _ http.Header) { form.Set("client_notification_token", BellToken) }

// hinter signs login_hint_tokens.
type hinter struct {
	key    jose.PrivateKey
	Issuer backchannel.HintIssuer
}

func NewHinter(t *testing.T) hinter {
	t.Helper()
	key := NewKey(t, jose.ES256)
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return hinter{key, backchannel.HintIssuer{Issuer: "https://directory.example", Keys: keys}}
}

func (h hinter) Token(w *World, alter func(Claims)) string {
	w.T.Helper()
	now := w.Clock.Now()
	body := Claims{
		"iss": h.Issuer.Issuer, "aud": w.Issuer, "jti": Random(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		"sub_id": map[string]string{"format": "opaque", "id": "sub-alice"},
	}
	if alter != nil {
		alter(body)
	}
	signed, err := jose.Sign(context.Background(), h.key.SigningKey(), "JWT", body)
	if err != nil {
		w.T.Fatal(err)
	}
	return signed
}

// setCode gives alice a user code.
func (w *World) SetCode(code string) {
	w.T.Helper()
	user, err := w.Store.User(context.Background(), "sub-alice")
	if err != nil {
		w.T.Fatal(err)
	}
	if user.UserCode, err = directory.HashUserCode(code); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}

// pendingOf lists what waits for a person.
func (w *World) PendingOf(subject string) []backchannel.View {
	w.T.Helper()
	views, err := w.Server.Backchannel().Pending(w.T.Context(), subject)
	if err != nil {
		w.T.Fatal(err)
	}
	return views
}

// initialTokenFor gives an organisation an initial access token for clients of a profile.
func (w *World) InitialTokenFor(organisation, profile string) string {
	w.T.Helper()
	token := w.InitialToken(organisation, 1)
	stored, err := w.Store.InitialToken(context.Background(), store.DigestOf(token))
	if err == nil {
		stored.Profile = profile
		err = w.Store.PutInitialToken(context.Background(), stored)
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}

// SendPings has another node send what is due at once, and returns how many pings it has tried.
func (w *World) SendPings() (int, error) {
	sender := outbound.New(outbound.Policy{AllowLoopback: true, Roots: w.Config.OutboundRoots})
	ctx, stop := context.WithCancel(w.T.Context())
	once := &outboxOnce{Store: w.Store, stop: stop}
	notifier := &ciba.Notifier{
		Outbox: once, Seals: w.Config.Backchannel.Seals, Post: sender.Post, Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler),
		Endpoint: func(ctx context.Context, clientID string) (string, error) {
			record, err := w.Store.Client(ctx, clientID)
			if err != nil {
				return "", err
			}
			client, err := client.Parse(record.ID, record.Profile, record.Metadata)
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
func (h hinter) Probe(t *testing.T, w ProbedWorld, value string) {
	host, _, _ := strings.Cut(strings.TrimPrefix(w.Issuer, "https://"), ":")
	format := map[string]map[string]string{
		"account": {"format": "account", "uri": "acct:alice@" + host}, "opaque": {"format": "opaque", "id": "sub-alice"},
	}[value]
	c := w.Register("client-"+Random(), Asks)
	id := c.Asked(Both(Unset("login_hint"), Set("login_hint_token", h.Token(w.World, Claim("sub_id", format)))))
	w.Decide(id, true)
	WantActive(t, c.Fetch(id, nil))
}

// probeDeliveryMode goes the whole way in one mode.
func ProbeDeliveryMode(t *testing.T, w ProbedWorld, value string) {
	b := w.Bell(Answering(http.StatusNoContent))
	c := w.Register("client-"+Random(), func(c *Client, m map[string]any) {
		if PingedAt(b.URL)(c, m); value == "poll" {
			Asks(c, m)
		}
	})
	id := c.Asked(WithBellToken)
	w.Decide(id, true)
	if value == "ping" {
		if sent, err := w.SendPings(); err != nil || sent != 1 {
			t.Errorf("%d pings: %v", sent, err)
		}
		b.AwaitRings(t, 1)
	}
	WantActive(t, c.Fetch(id, nil))
}

func ProbeBackchannelAlgorithm(t *testing.T, w ProbedWorld, value string) {
	c := w.Register("client-"+Random(), func(c *Client, m map[string]any) {
		Asks(c, m)
		c.Key = NewKey(t, value)
		m["jwks"], m["backchannel_authentication_request_signing_alg"] = KeySet(c.Key.PublicJWK()), value
	})
	if r := c.AskSigned(nil); r.Status != http.StatusOK {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
}

// awaitRings waits until a bell has rung so often, and a moment longer.
func (b *bell) AwaitRings(t *testing.T, number int) []ring {
	t.Helper()
	end := time.Now().Add(10 * time.Second)
	for len(b.Rings()) < number && time.Now().Before(end) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if rung := b.Rings(); len(rung) == number {
		return rung
	}
	t.Fatalf("rung %d times, want %d", len(b.Rings()), number)
	return nil
}

// Reference is the reference by which devices name the request with an auth_req_id.
func Reference(authReqID string) string {
	id := store.DigestOf(authReqID)
	return base64.RawURLEncoding.EncodeToString(id[:])
}
