package adminconsole

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consents/shape"
	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/store"
	"countersign/store/sqlite"
)

// noon is the time of the tests.
var noon = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

// The operators of the tests, by the common names of their certificates.
var operators = map[string][]string{
	"sample.reader": {Reader}, "sample.manager": {ClientManager}, "sample.officer": {Reader, SecurityOfficer}, "sample.nobody": {"painter"},
}

// world is a console over a real store, behind mutual TLS.
type world struct {
	*testing.T
	store   *sqlite.Store
	console *Console
	server  *httptest.Server
	issue   func(name string, server bool) tls.Certificate
	roots   *x509.CertPool
	// broken is what keeps the store from recording who looks.
	broken error
	// chain is the audit log.
	chain *audit.Chain
	lines []store.AuditLine
	key   jose.PrivateKey
	// payment and account are consents that clients lodged, grant is that of the first.
	payment, account, awaiting store.LodgedConsent
	grant                      store.Grant
	unready                    error
}

// auditing is a store that may fail to record.
type auditing struct {
	Store
	w *world
}

func (a auditing) Record(ctx context.Context, evidence ...store.Evidence) error {
	if a.w.broken != nil {
		return a.w.broken
	}
	return a.Store.Record(ctx, evidence...)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, chain: audit.NewChain("a-2")}
	now := func() time.Time { return noon }
	settings := sqlite.Config{File: filepath.Join(t.TempDir(), "test.db"), Now: now}
	_, err := sqlite.Migrate(t.Context(), settings)
	w.must(err)
	w.store, err = sqlite.Open(t.Context(), settings)
	w.must(err)
	t.Cleanup(func() { w.must(w.store.Close()) })
	w.key, err = jose.NewPrivateKey(jose.ES256)
	w.must(err)
	schema, err := ready.Schema("uk-payment", "payment")
	w.must(err)
	details, err := rar.NewTypes([]rar.Type{{Type: "payment", Schema: schema}}, nil)
	w.must(err)
	kinds, err := shape.Types()
	w.must(err)
	consents, err := rar.NewTypes(kinds, nil)
	w.must(err)
	w.console, err = New(Config{
		Store: auditing{w.store, w}, Node: "a-2", Issuer: "https://id.bank.example", Details: details, Consents: consents,
		Operator: func(r *http.Request) (Operator, bool) {
			name := r.TLS.PeerCertificates[0].Subject.CommonName
			roles, known := operators[name]
			return Operator{name, roles}, known
		},
		Ready: func(context.Context) map[string]error { return map[string]error{"store": nil, "hsm": w.unready} },
		Certificates: func() map[string]time.Time {
			return map[string]time.Time{"listen.certificate_file": noon.Add(20 * 24 * time.Hour), "trust_stores.directory": noon.Add(900 * 24 * time.Hour)}
		},
		Now: now, Log: slog.New(slog.DiscardHandler),
	})
	w.must(err)
	w.serve()
	return w
}

// serve listens with mutual TLS.
func (w *world) serve() {
	w.issue, w.roots = newAuthority(w)
	mux := http.NewServeMux()
	for _, route := range w.console.Routes() {
		mux.HandleFunc(route.Pattern, route.Serve)
	}
	w.server = httptest.NewUnstartedServer(mux)
	w.server.TLS = &tls.Config{
		Certificates: []tls.Certificate{w.issue("localhost", true)}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: w.roots, MinVersion: tls.VersionTLS13,
	}
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.server.StartTLS()
	w.Cleanup(w.server.Close)
}

// newAuthority returns a function that issues certificates.
func newAuthority(w *world) (func(name string, server bool) tls.Certificate, *x509.CertPool) {
	key := func() *ecdsa.PrivateKey {
		made, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		w.must(err)
		return made
	}
	serial := int64(0)
	template := func(name string) *x509.Certificate {
		serial++
		return &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
			DNSNames: []string{name},
		}
	}
	authority, authorityKey := template("authority"), key()
	authority.IsCA, authority.BasicConstraintsValid, authority.KeyUsage = true, true, x509.KeyUsageCertSign
	der, err := x509.CreateCertificate(rand.Reader, authority, authority, &authorityKey.PublicKey, authorityKey)
	w.must(err)
	authority, err = x509.ParseCertificate(der)
	w.must(err)
	roots := x509.NewCertPool()
	roots.AddCert(authority)
	return func(name string, server bool) tls.Certificate {
		own, leaf := key(), template(name)
		leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		if server {
			leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		}
		der, err := x509.CreateCertificate(rand.Reader, leaf, authority, &own.PublicKey, authorityKey)
		w.must(err)
		return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: own}
	}, roots
}

// client is an HTTP client of an operator, which follows nothing.
func (w *world) client(operator string) *http.Client {
	return &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{
			Certificates: []tls.Certificate{w.issue(operator, false)}, RootCAs: w.roots, ServerName: "localhost", MinVersion: tls.VersionTLS13,
		}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// sheet is the end of the head of a page, with the style sheet, which is the same on all.
var sheet = regexp.MustCompile(`(?s)<link rel="icon".*</head>`)

// got is an answer. Its body is without the style sheet.
type got struct {
	status int
	header http.Header
	body   string
}

// get asks for a page as an operator.
func (w *world) get(operator, path string) got {
	w.Helper()
	return w.send(operator, http.MethodGet, path, nil)
}

func (w *world) send(operator, method, path string, header http.Header) got {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), method, w.server.URL+path, nil)
	w.must(err)
	for name, values := range header {
		request.Header[name] = values
	}
	response, err := w.client(operator).Do(request)
	w.must(err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	w.must(err)
	return got{response.StatusCode, response.Header, sheet.ReplaceAllString(string(body), "")}
}

// shows asks for a page that has to be shown.
func (w *world) shows(operator, path string) string {
	w.Helper()
	page := w.get(operator, path)
	if page.status != http.StatusOK {
		w.Fatalf("%s for %s: %d, %s", path, operator, page.status, page.body)
	}
	return page.body
}

// viewed are the looks at persons that are recorded since the last time, as "by subject page shown".
func (w *world) viewed() []string {
	w.Helper()
	waiting, err := w.store.WaitingEvidence(w.Context(), "", noon.Add(time.Hour), 1000)
	w.must(err)
	var all []string
	var taken []int64
	for _, e := range waiting {
		var event audit.Event
		w.must(json.Unmarshal(e.Body, &event))
		taken = append(taken, e.ID)
		if event.Detail["event"] == PersonViewed {
			all = append(all, strings.Join([]string{event.Detail["by"], event.Detail["subject"], event.Detail["page"], event.Detail["shown"]}, " "))
		}
		w.appendLine(e.At, event)
	}
	w.flush(taken...)
	return all
}

// appendLine adds an entry to the audit log.
func (w *world) appendLine(at time.Time, event audit.Event) {
	w.Helper()
	line, about, err := w.chain.AppendApart(at, event)
	w.must(err)
	w.lines = append(w.lines, store.AuditLine{Chain: "a-2", Sequence: w.chain.Sequence(), Text: string(line), Personal: string(about)})
}

// seal adds a checkpoint.
func (w *world) seal(at time.Time) {
	w.Helper()
	line, err := w.chain.Checkpoint(w.Context(), at, w.key.SigningKey())
	w.must(err)
	w.lines = append(w.lines, store.AuditLine{Chain: "a-2", Sequence: w.chain.Sequence(), Text: string(line)})
}

func (w *world) flush(taken ...int64) {
	w.Helper()
	if len(w.lines) > 0 {
		w.must(w.store.AppendAudit(w.Context(), w.lines, taken...))
		w.lines = nil
	}
}

// hostile is text that would be markup, a script, or would move or hide other text.
const hostile = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u202e\u200b{{.}}javascript:alert(3)"

// hostileID is an identifier of the kind.
const hostileID = `<script>alert(7)</script>"'>/../%2e?a=b&c#d`

// fill stores what operators look for.
func (w *world) fill() {
	w.Helper()
	ctx := w.Context()
	w.must(w.store.PutUser(ctx, store.User{
		Subject: "sub-anna-0001", Username: "anna.lindqvist", Password: "$argon2id$v=19$secret-hash", UserCode: "$argon2id$v=19$secret-code",
		Claims: json.RawMessage(`{"name":"Anna Lindqvist","email":"anna@mail.example","birthdate":"1984-02-29"}`), CreatedAt: noon.Add(-400 * 24 * time.Hour), UpdatedAt: noon.Add(-time.Hour),
	}))
	w.putClient("orchid-budget", "Orchid Budget", noon.Add(12*24*time.Hour))
	w.putClient(hostileID, hostile, noon.Add(-time.Hour))
	w.consents()
	w.must(w.store.StartSession(ctx, store.Session{
		ID: store.DigestOf("session-secret"), SID: "sid", Subject: "sub-anna-0001", AuthTime: noon.Add(-30 * time.Minute), ACR: "urn:countersign:acr:passkey", Agent: "Firefox/Linux",
		ExpiresAt: noon.Add(8 * time.Hour),
	}, store.Digest{}))
	w.must(w.store.AddPasskey(ctx, store.Passkey{
		ID: []byte("0123456789abcdef"), Subject: "sub-anna-0001", PublicKey: []byte{1}, AAGUID: make([]byte, 16), Name: "Anna's phone", Synced: true, CreatedAt: noon.Add(-90 * 24 * time.Hour),
	}))
	w.must(w.store.AddDevice(ctx, store.Device{ID: "device-1", Subject: "sub-anna-0001", Name: "Banking app", JKT: "jkt-1", CreatedAt: noon.Add(-80 * 24 * time.Hour)}))
	for _, key := range []store.Key{
		{ID: "kid-access", Algorithm: jose.PS256, Uses: []string{"access_token", "id_token"}, State: "active", CreatedAt: noon.Add(-40 * 24 * time.Hour), ActivatedAt: noon.Add(-39 * 24 * time.Hour)},
		{ID: "kid-next", Algorithm: jose.PS256, Uses: []string{"access_token"}, State: "published", CreatedAt: noon.Add(-time.Hour)},
	} {
		key.Public = json.RawMessage(`{}`)
		w.must(w.store.AddKey(ctx, key))
	}
	w.refusals()
	w.log()
}

// putClient stores a client with a key whose certificate ends at a time.
func (w *world) putClient(id, name string, ends time.Time) {
	w.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	w.must(err)
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: ends.Add(-time.Hour), NotAfter: ends}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &key.PublicKey, key)
	w.must(err)
	metadata, err := json.Marshal(map[string]any{
		"client_name": name, "redirect_uris": []string{"https://app.orchid-budget.example/cb", hostile}, "token_endpoint_auth_method": "private_key_jwt",
		"client_secret": "the-client-secret", "client_uri": "javascript:alert(4)",
		"jwks": map[string]any{"keys": []map[string]any{
			{"kid": "k-2026-08", "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "x5c": []string{base64.StdEncoding.EncodeToString(der)}},
			{"kid": hostile, "kty": "EC", "x5c": []string{"no certificate"}},
		}},
	})
	w.must(err)
	w.must(w.store.PutClient(w.Context(), store.Client{
		ID: id, Profile: "fapi2-security", Metadata: metadata, Version: 1, CreatedAt: noon.Add(-200 * 24 * time.Hour), UpdatedAt: noon.Add(-time.Hour),
		AccessToken: store.DigestOf("registration-access-token"), Organisation: "directory:org-1",
		Directory: store.DirectoryEntry{Directory: "ukob", Organisation: "org-1", Software: "software of " + id},
	}))
}

// consents lodges a payment that is authorised, access to accounts that was revoked, and one that awaits a decision.
func (w *world) consents() {
	w.Helper()
	const payment = `{"Data":{"Initiation":{"InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"165.88","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.SortCodeAccountNumber","Identification":"08080021325698","Name":"ACME Inc"},"RemittanceInformation":{"Unstructured":["Internal ops code 5120101"]}}},"Risk":{"PaymentContextCode":"EcommerceMerchantInitiatedPayment"}}`
	const accounts = `{"Data":{"Permissions":["ReadAccountsDetail","ReadBalances"]},"Risk":{}}`
	w.payment = w.lodge("uk-payments-4.0", "consent-payment-1", payment)
	w.grant = w.authorise(w.payment, "grant-payment-1")
	w.account = w.lodge("uk-accounts-4.0", "consent-accounts-1", accounts)
	w.authorise(w.account, "grant-accounts-1")
	_, err := w.store.EndConsent(w.Context(), store.ConsentEnding{ID: w.account.ID, By: store.RevokedByUser, Reason: "no longer wanted " + hostile})
	w.must(err)
	w.awaiting = w.lodge("uk-accounts-4.0", hostile, accounts)
}

func (w *world) lodge(api, id, body string) store.LodgedConsent {
	w.Helper()
	all := shape.All()
	lodged, err := all[slices.IndexFunc(all, func(s *shape.Shape) bool { return s.Name == api })].Lodged([]byte(body), noon)
	w.must(err)
	lodged.ID, lodged.ClientID, lodged.Status, lodged.Version, lodged.CreatedAt, lodged.ChangedAt = id, "orchid-budget", store.ConsentAwaiting, 1, noon, noon
	w.must(w.store.LodgeConsent(w.Context(), lodged, store.ConsentQuota{}))
	return lodged
}

// authorise has Anna allow a lodged consent.
func (w *world) authorise(c store.LodgedConsent, grantID string) store.Grant {
	w.Helper()
	ctx, bound := w.Context(), store.DigestOf("interaction of "+c.ID)
	detail, err := json.Marshal(map[string]any{
		"consent":               map[string]string{"id": c.ID, "kind": c.Kind},
		"authorization_details": []json.RawMessage{json.RawMessage(`{"type":"payment","InstructionIdentification":"ACME412","EndToEndIdentification":"FRESCO.21302.GFX.20","InstructedAmount":{"Amount":"20.00","Currency":"GBP"},"CreditorAccount":{"SchemeName":"UK.OBIE.IBAN","Identification":"GB76LOYD30949301273801","Name":"Fernhill Cycles"}}`)},
	})
	w.must(err)
	request := store.Request{ID: store.DigestOf("request of " + c.ID), ClientID: c.ClientID, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute)}
	w.must(w.store.Push(ctx, request))
	_, err = w.store.BindConsent(ctx, store.ConsentBinding{ID: c.ID, ClientID: c.ClientID, To: bound, Subject: "sub-anna-0001"})
	w.must(err)
	grant := store.Grant{
		ID: grantID, ClientID: c.ClientID, Subject: "sub-anna-0001", Scopes: []string{"openid", "accounts"}, Detail: detail, AuthTime: noon, ACR: "urn:countersign:acr:passkey",
		CreatedAt: noon, ExpiresAt: noon.Add(90 * 24 * time.Hour),
	}
	w.must(w.store.Finish(ctx, store.Finish{
		Request: request.ID, Grant: &grant,
		Code:   &store.Code{ID: store.DigestOf("code of " + c.ID), GrantID: grant.ID, ClientID: c.ClientID, CreatedAt: noon, ExpiresAt: noon.Add(time.Minute)},
		Lodged: &store.ConsentDecision{ID: c.ID, ClientID: c.ClientID, Bound: bound, Version: 1, Subject: "sub-anna-0001"},
	}))
	return grant
}

// refusals stores refused requests: of each minute one, the last of which has a number that is known.
func (w *world) refusals() {
	w.Helper()
	bounds := store.RefusalBounds{Most: 10_000, Since: noon.Add(-24 * time.Hour)}
	for i := range 130 {
		r := store.Refusal{
			CorrelationID: fmt.Sprintf("refused-%03d", i), At: noon.Add(time.Duration(i-130) * time.Minute), Node: "a-2", ClientID: "orchid-budget", Method: "POST", Endpoint: "/par", Status: 400,
			Code: "invalid_request", Cause: "invalid_request: redirect_uri is not registered for this client; it must match to the byte (but the port of http://127.0.0.1 and http://[::1])",
		}
		switch {
		case i == 129:
			r.CorrelationID = "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55"
		case i%10 == 0:
			r.ClientID, r.Endpoint, r.Status, r.Code, r.Cause = "", "/token", 401, "invalid_client", "invalid_client: the client assertion has expired"
		case i%10 == 1:
			r.Code, r.Cause = "invalid_client", "invalid_client: "+hostile
		}
		w.must(w.store.AddRefusals(w.Context(), bounds, r))
	}
}

// log fills the audit log, more than a page.
func (w *world) log() {
	w.Helper()
	for i := range 260 {
		event := audit.Event{Kind: audit.SecurityEvent, ClientID: "orchid-budget", CorrelationID: fmt.Sprintf("request-%03d", i), Detail: map[string]string{
			"event": "tokens_issued", "grant": "grant-payment-1",
		}}
		switch i % 20 {
		case 0:
			event.Detail = map[string]string{"event": "signed_in", "subject": "sub-anna-0001", "address": "203.0.113.7", "acr": "urn:countersign:acr:passkey"}
		case 1:
			event.Detail = map[string]string{"event": "signed_in", "subject": "sub-ben-0002", "note": hostile}
		}
		w.appendLine(noon.Add(time.Duration(i-300)*time.Minute), event)
	}
	w.seal(noon.Add(-10 * time.Minute))
	w.appendLine(noon.Add(-time.Minute), audit.Event{Kind: audit.SecurityEvent, ClientID: "orchid-budget", CorrelationID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55", Detail: map[string]string{"event": "grant_revoked", "grant": "grant-accounts-1", "by": "sample.officer"}})
	w.flush()
}

// proxied is an address at which a browser without a certificate sees the console as an operator.
func (w *world) proxied(operator string) *httptest.Server {
	w.Helper()
	target, err := url.Parse(w.server.URL)
	w.must(err)
	proxy := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport: w.client(operator).Transport,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	front := httptest.NewUnstartedServer(proxy)
	front.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	front.StartTLS()
	w.Cleanup(front.Close)
	return front
}

var errAway = errors.New("the disk is full")
