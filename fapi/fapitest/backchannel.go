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
	"sync"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/browser"
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/store"
)

// CIBAGrant is the grant type of CIBA.
const CIBAGrant = "urn:openid:params:grant-type:ciba"

// WithBackchannelOfAllProfiles has a server take backchannel requests, of every profile; change may alter the settings.
func WithBackchannelOfAllProfiles(change ...func(*backchannel.Settings)) Option {
	turnOn := WithBackchannel(change...)
	return func(c *Config) {
		AllProfiles(c)
		turnOn(c)
	}
}

// WithBackchannel has a server take backchannel requests, of the profiles that it offers anyway.
func WithBackchannel(change ...func(*backchannel.Settings)) Option {
	return func(c *Config) {
		seals, err := ciba.NewSealer([]byte(ciba.NewSealKey()))
		if err != nil {
			panic(err)
		}
		c.Backchannel = &backchannel.Settings{
			Seals: seals, UserCodes: directory.NewUserCodes(c.Now), UserBurst: 1000, PendingPerUser: 1000, PendingPerClient: 1000,
			PendingPerOrganisation: 1000, OrganisationBurst: 1000, AllBurst: 1000, DenialPause: time.Nanosecond,
		}
		c.ACRValues = []string{ACRKey, ACRPassword}
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

// CIBAPoll registers a client of the CIBA flow in poll mode.
func CIBAPoll(c *Client, m map[string]any) {
	m["grant_types"], m["response_types"] = []string{CIBAGrant, "refresh_token"}, []string{}
	delete(m, "redirect_uris")
	m["backchannel_token_delivery_mode"] = "poll"
}

// CIBAPing registers a client in ping mode with its notification endpoint.
func CIBAPing(address string) ClientOption {
	return func(c *Client, m map[string]any) {
		CIBAPoll(c, m)
		m["backchannel_token_delivery_mode"], m["backchannel_client_notification_endpoint"] = "ping", address
	}
}

// CIBAAdvanced registers a client of FAPI-CIBA: it signs its requests, and its tokens are bound to a certificate.
func CIBAAdvanced(c *Client, m map[string]any) {
	FAPI1Advanced(c, m)
	CIBAPoll(c, m)
}

// BackchannelForm is a good backchannel authentication request about alice.
func (c *Client) BackchannelForm() url.Values {
	return url.Values{"scope": {c.Scope}, "login_hint": {"alice"}}
}

// BackchannelClaims are the claims of a signed backchannel request with the parameters of a form (CIBA §7.1.1); alter, if it is
// not nil, changes them.
func (c *Client) BackchannelClaims(form url.Values, alter func(Claims)) Claims {
	now := c.World.Clock.Now().Unix()
	body := Claims{"iss": c.ID, "aud": c.World.Issuer, "jti": RandomString(), "iat": now, "nbf": now, "exp": now + 300}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// Backchannel sends an unsigned backchannel request.
func (c *Client) Backchannel(alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/backchannel", c.BackchannelForm(), alter)
}

// BackchannelSigned sends a signed one.
func (c *Client) BackchannelSigned(alter func(Claims)) Reply {
	c.World.T.Helper()
	return c.Post("/backchannel", url.Values{"request": {c.Sign(c.Key, "", c.BackchannelClaims(c.BackchannelForm(), alter))}}, nil)
}

// AuthReqID sends a backchannel request, which must be accepted, and returns its auth_req_id.
func (c *Client) AuthReqID(alter Change) string {
	c.World.T.Helper()
	r := c.Backchannel(alter)
	if r.Status != http.StatusOK || r.Text("auth_req_id") == "" {
		c.World.T.Fatalf("backchannel: %d %s", r.Status, r.Raw)
	}
	return r.Text("auth_req_id")
}

// Poll polls the token endpoint.
func (c *Client) Poll(authReqID string, alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {CIBAGrant}, "auth_req_id": {authReqID}}, alter)
}

// Reference is the reference by which devices name the request with an auth_req_id.
func Reference(authReqID string) string {
	id := store.DigestOf(authReqID)
	return base64.RawURLEncoding.EncodeToString(id[:])
}

// ByAlice is alice's decision on her telephone, about the request as it is.
func (w *World) ByAlice(authReqID string, allowed bool) backchannel.Decision {
	shown, _ := w.Server.Backchannel().Request(w.T.Context(), Reference(authReqID), "sub-alice") // of another's it is empty
	return backchannel.Decision{
		Digest:    shown.Digest,
		Reference: Reference(authReqID), Allowed: allowed, AuthTime: w.Clock.Now(), Device: "telephone",
		Authentication: browser.Authentication{Subject: "sub-alice", ACR: ACRKey, AMR: []string{"hwk"}},
	}
}

// Decide has alice decide.
func (w *World) Decide(authReqID string, allowed bool) {
	w.T.Helper()
	if err := w.Server.Backchannel().Decide(w.T.Context(), w.ByAlice(authReqID, allowed)); err != nil {
		w.T.Fatal(err)
	}
}

// NotificationToken is the client_notification_token of the tests' ping clients.
const NotificationToken = "notification-token-0123456789"

// WithNotificationToken adds it to a backchannel request.
func WithNotificationToken(form url.Values, _ http.Header) {
	form.Set("client_notification_token", NotificationToken)
}

// NotificationEndpoint is a client notification endpoint (CIBA §10.2), which remembers what it received.
type NotificationEndpoint struct {
	*httptest.Server
	mu       sync.Mutex
	answer   func(http.ResponseWriter)
	received []Notification
}

// Notification is one ping.
type Notification struct {
	Authorization, ContentType, Body string
}

// NotificationEndpoint starts one that responds by a function.
func (w *World) NotificationEndpoint(answer func(http.ResponseWriter)) *NotificationEndpoint {
	b := &NotificationEndpoint{answer: answer}
	b.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.T.Error(err)
		}
		b.mu.Lock()
		b.received = append(b.received, Notification{r.Header.Get("Authorization"), r.Header.Get("Content-Type"), string(body)})
		answer := b.answer
		b.mu.Unlock()
		answer(rw)
	}))
	certificate, _ := ServerCertificate(w.T)
	b.Server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	b.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	b.Server.StartTLS()
	w.T.Cleanup(b.Server.Close)
	return b
}

// Received returns the pings so far.
func (b *NotificationEndpoint) Received() []Notification {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Notification(nil), b.received...)
}

// Await waits until the endpoint has received so many pings.
func (b *NotificationEndpoint) Await(t *testing.T, number int) []Notification {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(b.Received()) < number && time.Now().Before(deadline) {
		time.Sleep(10 * time.Millisecond)
	}
	received := b.Received()
	if len(received) != number {
		t.Fatalf("%d notifications, want %d", len(received), number)
	}
	return received
}

// Answer responds with a status.
func Answer(status int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(status) }
}

// SendPings has another node send the pings that are due, waits until they are sent, and returns how many it has tried.
func (w *World) SendPings() (int, error) {
	w.T.Helper()
	ctx, stop := context.WithCancel(w.T.Context())
	defer stop()
	once := &outboxOnce{Store: w.Store, stop: stop}
	config := w.Config
	config.Store = once
	node, err := fapi.New(ctx, config)
	if err != nil {
		w.T.Fatal(err)
	}
	node.RunPings(ctx)
	return once.claimed, once.err
}

// outboxOnce ends the context of its node when pings have been claimed once.
type outboxOnce struct {
	store.Store
	stop    context.CancelFunc
	claimed int
	err     error
}

// ClaimPings implements [store.Backchannel].
func (o *outboxOnce) ClaimPings(ctx context.Context, limit int, lease time.Duration) ([]store.Ping, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	defer o.stop()
	claimed, err := o.Store.ClaimPings(ctx, limit, lease)
	o.claimed, o.err = len(claimed), err
	return claimed, err
}

// HintSigner issues login_hint_tokens (CIBA §7.1).
type HintSigner struct {
	key     jose.PrivateKey
	Trusted backchannel.HintIssuer
}

// NewHintSigner makes one with a key of its own.
func NewHintSigner(t *testing.T) HintSigner {
	t.Helper()
	key := NewKey(t, jose.ES256)
	keys, err := jose.ParseKeySet([]byte(`{"keys":[` + string(key.PublicJWK()) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return HintSigner{key, backchannel.HintIssuer{Issuer: "https://directory.example", Keys: keys}}
}

// Token signs a hint at alice; alter, if it is not nil, changes its claims.
func (h HintSigner) Token(w *World, alter func(Claims)) string {
	w.T.Helper()
	now := w.Clock.Now()
	body := Claims{
		"iss": h.Trusted.Issuer, "aud": w.Issuer, "jti": RandomString(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
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
