package fapitest

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/client"
	"countersign/fapi/rar"
	"countersign/fapi/scope"
	"countersign/internal/jose"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// payload is the second part of a JWT.
func Payload(t *testing.T, token string) []byte {
	t.Helper()
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// node is a further server of a world: the same issuer, database and HSM, but listeners, connections to the database
// and a clock of its own.
type Node struct {
	w      *World
	Clock  *Clock
	Store  store.Store
	Server *fapi.Server
	// listeners are the node's addresses by those of the issuer that they stand for.
	listeners map[string]string
}

// node starts one; change may alter its configuration.
func (w *World) Node(change func(*Config)) *Node {
	w.T.Helper()
	n := &Node{w: w, Clock: &Clock{Time: w.Clock.Now()}, listeners: map[string]string{}}
	n.Store = w.open(n.Clock.Now)
	config := w.Config
	config.Store, config.Now, config.ClientTrust.Now = n.Store, n.Clock.Now, n.Clock.Now
	var err error
	config.Signer, err = signer.New(context.Background(), signer.Config{Catalogue: Catalogue{n.Store}, Replicas: []signer.Replica{{Backend: w.Backend}}, Now: n.Clock.Now})
	if err != nil {
		w.T.Fatal(err)
	}
	if change != nil {
		change(&config)
	}
	server, err := fapi.New(context.Background(), config)
	if err != nil {
		w.T.Fatal(err)
	}
	n.Server = server
	certificate, _ := ServerCertificate(w.T)
	listen := func(handler http.Handler, mutual bool, address string) {
		listener := httptest.NewUnstartedServer(handler)
		listener.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, mutual)
		listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		listener.StartTLS()
		w.T.Cleanup(listener.Close)
		n.listeners[MustURL(w.T, address).Host] = listener.Listener.Addr().String()
	}
	listen(server.Handler(), false, w.Issuer)
	listen(server.MTLSHandler(), true, w.MTLSIssuer)
	return n
}

// transport makes connections to this node, whatever address of the issuer is asked for.
func (n *Node) transport(certificate *tls.Certificate) *http.Transport {
	config := &tls.Config{RootCAs: n.w.Roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, n.listeners[address])
	}}
	n.w.T.Cleanup(transport.CloseIdleConnections)
	return transport
}

// here is the client, sent to this node by whatever stands in front of the nodes.
func (n *Node) Client(c *Client) *Client {
	at, over := *c, *c.HTTP
	over.Transport = n.transport(c.Certificate)
	at.HTTP = &over
	return &at
}

// browser is the browser with its cookies, sent to this node.
func (n *Node) Browser(b *Browser) *Browser {
	over := *b.HTTP
	over.Transport = n.transport(nil)
	return &Browser{b.w, &over}
}

// at moves the node's clock and the world's to one moment.
func (n *Node) SetTime(moment time.Time) {
	n.Clock.Advance(moment.Sub(n.Clock.Now()))
	n.w.Clock.Advance(moment.Sub(n.w.Clock.Now()))
}

// atOnce makes all calls at the same time, as near as goroutines come to it, and gives the answers in their order.
func Concurrently(calls ...func() Reply) []Reply {
	replies := make([]Reply, len(calls))
	start := make(chan struct{})
	var wait sync.WaitGroup
	for i, call := range calls {
		wait.Go(func() {
			<-start
			replies[i] = call()
		})
	}
	close(start)
	wait.Wait()
	return replies
}

// decode verifies a token against the published keys and gives its header and claims.
func (w *World) Verify(token string) (jose.Header, map[string]any) {
	w.T.Helper()
	response := w.Browser()
	_, body, _ := response.Visit(w.Issuer + "/jwks")
	keys, err := jose.ParseKeySet([]byte(body))
	if err != nil {
		w.T.Fatal(err)
	}
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{"PS256", "ES256", "EdDSA"}})
	if err != nil {
		w.T.Fatal(err)
	}
	if err := parsed.VerifyWith(keys); err != nil {
		w.T.Fatal(err)
	}
	var claims map[string]any
	if err := parsed.Claims(&claims); err != nil {
		w.T.Fatal(err)
	}
	return parsed.Header, claims
}

// selfSigned makes the client one of self_signed_tls_client_auth.
func SelfSignedTLSClientAuth(c *Client, m map[string]any) {
	TLSClientAuth(c, m)
	certificate := Authority{}.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate = &certificate
	key, err := jose.NewKey("own", jose.ES256, certificate.Leaf.PublicKey)
	if err != nil {
		c.World.T.Fatal(err)
	}
	m["jwks"] = jose.NewKeySet(key)
	m["token_endpoint_auth_method"] = "self_signed_tls_client_auth"
	delete(m, "tls_client_auth_subject_dn")
}

func Ptr[T any](value T) *T { return &value }

// refusedRegistration demands that metadata is refused for a profile and would be right without the changes.
func WantRegistrationRefused(t *testing.T, profile string, changes map[string]any) {
	t.Helper()
	base := map[string]any{
		"client_name": "Example", "redirect_uris": []string{"https://client.example/callback"}, "scope": "openid",
		"jwks": KeySet(NewKey(t, "ES256").PublicJWK()), "tls_client_certificate_bound_access_tokens": true,
	}
	for _, with := range []map[string]any{nil, changes} {
		metadata := maps.Clone(base)
		maps.Copy(metadata, with)
		body, err := json.Marshal(metadata)
		if err != nil {
			t.Fatal(err)
		}
		_, err = client.Parse("client-1", profile, body)
		if refused := err != nil; refused != (with != nil) {
			t.Errorf("%s with %v: %v", profile, with, err)
		}
		for name := range with {
			if err != nil && !strings.Contains(err.Error(), name) {
				t.Errorf("%q does not name %s", err, name)
			}
		}
	}
}

func HalfHash(value string) string {
	digest := sha256.Sum256([]byte(value))
	return base64.RawURLEncoding.EncodeToString(digest[:16])
}

const (
	OnePayment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A"}`
	TwoActions = `{"type":"account_information","actions":["list_accounts","read_balances"]}`
	OneAction  = `{"type":"account_information","actions":["list_accounts"]}`
)

// Resource servers and classes of authentication of the tests.
const (
	LedgerAPI  = "https://ledger.example/api"
	PaymentAPI = "urn:example:payments"

	ACRPassword = "urn:example:pwd"
	ACRKey      = "urn:example:key"
)

// detailTypes are the authorization_details of the tests.
func DetailTypes() []rar.Type {
	return []rar.Type{
		{Type: "payment_initiation", Title: "Make one payment", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "payment_initiation"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["initiate", "status"]}},
				"instructedAmount": {
					"type": "object",
					"properties": {"currency": {"type": "string", "minLength": 3, "maxLength": 3}, "amount": {"type": "string"}},
					"required": ["currency", "amount"], "additionalProperties": false
				},
				"creditorName": {"type": "string", "maxLength": 70}
			},
			"required": ["type", "instructedAmount", "creditorName"], "additionalProperties": false
		}`)},
		{Type: "account_information", Title: "See accounts", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "account_information"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["list_accounts", "read_balances", "read_transactions"]}},
				"datatypes": {"type": "array", "items": {"type": "string"}}
			},
			"required": ["type", "actions"], "additionalProperties": false
		}`)},
	}
}

// wholeWorld is a server with everything turned on, and the person who sits before every browser.
func NewFullWorld(t *testing.T, more ...Option) (*World, *User) {
	t.Helper()
	p := &User{subject: "sub-alice", reaches: ACRPassword, decision: "allow"}
	w := NewWorld(t, append([]Option{func(c *Config, _ *AutoInteractor) {
		c.Interactor = p
		c.ResourceServers = []scope.ResourceServer{
			{Identifier: LedgerAPI, Scopes: []string{"accounts"}}, {Identifier: PaymentAPI, Scopes: []string{"payments"}},
		}
		c.ACRValues = []string{ACRKey, ACRPassword}
		c.AuthorizationDetailTypes = DetailTypes()
	}}, more...)...)
	w.AddUser("sub-bob", "bob", `{"name":"Bob Example","email":"bob@example.com"}`)
	return w, p
}

// addUser adds or replaces a person.
func (w *World) AddUser(subject, username, known string) {
	w.T.Helper()
	now := w.Clock.Now()
	user := store.User{Subject: subject, Username: username, Claims: json.RawMessage(known), CreatedAt: now, UpdatedAt: now}
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}

// disable ends what a person may do.
func (w *World) Disable(subject string, disabled bool) {
	w.T.Helper()
	user, err := w.Store.User(context.Background(), subject)
	if err == nil {
		user.Disabled = disabled
		err = w.Store.PutUser(context.Background(), user)
	}
	if err != nil {
		w.T.Fatal(err)
	}
}

// wide lets a client ask for every scope and every type of authorization_details.
func AllScopes(c *Client, m map[string]any) {
	c.Scope = "openid profile email accounts payments offline_access"
	m["scope"] = c.Scope
	m["authorization_details_types"] = []string{"payment_initiation", "account_information"}
}

// all makes several changes to a registration.
func All(changes ...func(*Client, map[string]any)) func(*Client, map[string]any) {
	return func(c *Client, m map[string]any) {
		for _, change := range changes {
			if change != nil {
				change(c, m)
			}
		}
	}
}

// machine is a client that only acts for itself.
func ClientCredentialsOnly(c *Client, m map[string]any) {
	c.Scope = "accounts payments"
	m["scope"], m["grant_types"] = c.Scope, []string{"client_credentials"}
	delete(m, "redirect_uris")
	delete(m, "response_types")
}

// resourceServer registers a resource server, which may introspect and nothing else.
func (w *World) ResourceServer(id string, identifiers ...string) *Client {
	w.T.Helper()
	return w.Register(id, func(c *Client, m map[string]any) {
		c.DPoP = false
		m["resource_identifiers"], m["grant_types"] = identifiers, []string{}
		for _, name := range []string{"redirect_uris", "response_types", "dpop_bound_access_tokens", "scope"} {
			delete(m, name)
		}
	})
}

func (c *Client) Introspect(token string, alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/introspect", url.Values{"token": {token}}, alter)
}

func (c *Client) Revoke(token string, alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/revoke", url.Values{"token": {token}}, alter)
}

func (c *Client) ClientCredentials(alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {"client_credentials"}}, alter)
}

// wantInactive checks that nothing is told of a token (RFC 7662 §2.2).
func WantInactive(t *testing.T, r Reply) {
	t.Helper()
	if r.Status != http.StatusOK || strings.TrimSpace(r.Raw) != `{"active":false}` {
		t.Fatalf("answered %d %s, want 200 and nothing but active false", r.Status, r.Raw)
	}
}

// through opens a pushed request in a browser and gives what comes back with it, to the client.
func (c *Client) AuthorizeIn(b *Browser, alter Change) url.Values {
	c.World.T.Helper()
	pushed := c.Push(alter)
	if pushed.Status != http.StatusCreated {
		c.World.T.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := b.Visit(c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI) {
		c.World.T.Fatalf("the browser was not sent back to the client: %d %s, %v", status, body, sentTo)
	}
	return sentTo.Query()
}

// tokensFor goes through the whole flow with a changed request.
func (c *Client) TokensFor(alter Change) Reply {
	c.World.T.Helper()
	return c.TokensIn(c.World.Browser(), alter)
}

// granted goes through the whole flow in one browser.
func (c *Client) TokensIn(b *Browser, alter Change) Reply {
	c.World.T.Helper()
	q := c.AuthorizeIn(b, alter)
	if q.Get("code") == "" {
		c.World.T.Fatalf("no code but %v", q)
	}
	r := c.Redeem(q.Get("code"), nil)
	if r.Status != http.StatusOK {
		c.World.T.Fatalf("token: %d %s", r.Status, r.Raw)
	}
	return r
}

// wantSent checks the error that a browser brings back to the client.
func WantRedirectError(t *testing.T, q url.Values, code string) {
	t.Helper()
	if q.Get("error") != code || q.Has("code") || q.Get("error_description") == "" {
		t.Fatalf("the client got %v, want the error %s", q, code)
	}
}

// wantActive checks that a resource lets a token through.
func WantOK(t *testing.T, r Reply) {
	t.Helper()
	if r.Status != http.StatusOK {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
}

// ownSignature signs claims with a key of the server itself, as nobody outside can. What is refused then is refused
// for what it says, and not for its signature.
func (w *World) SignAsServer(alg, typ string, body Claims) string {
	w.T.Helper()
	records := SharedKeys(w.T)
	i := slices.IndexFunc(records, func(r signer.Record) bool { return string(r.Algorithm) == alg })
	if i < 0 {
		w.T.Fatalf("no key for %s", alg)
	}
	key := jose.SigningKey{ID: records[i].ID, Algorithm: alg, Sign: func(ctx context.Context, message []byte) ([]byte, error) {
		return w.Backend.Sign(ctx, records[i], message)
	}}
	token, err := jose.Sign(context.Background(), key, typ, body)
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}

// claimsIn reads the claims of a JWT without believing it.
func UnverifiedClaims(t *testing.T, token string) Claims {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("%q is no JWT", token)
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	var body Claims
	if err := json.Unmarshal(raw, &body); err != nil {
		t.Fatal(err)
	}
	return body
}

// jsonText is a value as JSON.
func JSON(value any) string {
	raw, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

// inOrder goes through a table in the order of its names.
func Sorted[V any](table map[string]V) func(func(string, V) bool) {
	return func(yield func(string, V) bool) {
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if !yield(name, table[name]) {
				return
			}
		}
	}
}

// changes makes several changes to a request.
func Changes(list ...Change) Change {
	return func(form url.Values, header http.Header) {
		for _, one := range list {
			one(form, header)
		}
	}
}

func MustURL(t *testing.T, address string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// ask sends any request to the server, without following redirects.
func (w *World) Request(t *testing.T, method, address string, header http.Header, body string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequest(method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	b := w.Browser()
	b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	response, err := b.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(raw)
}

// byCertificate binds a client's tokens to its certificate, however it authenticates.
func CertificateBound(c *Client, m map[string]any) {
	certificate := c.World.ClientCA.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate, c.DPoP = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// altered is a secret with another last but one character.
func Altered(secret string) string {
	replacement := byte('A')
	if secret[len(secret)-2] == replacement {
		replacement = 'B'
	}
	return secret[:len(secret)-2] + string(replacement) + secret[len(secret)-1:]
}
