package rs_test

import (
	"crypto/tls"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/mtls"
	"countersign/rs"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// api is an API behind a guard, on a TLS listener that asks for certificates.
type api struct {
	*httptest.Server
	world *fapitest.World
	guard *rs.Guard
	mux   *http.ServeMux

	mu      sync.Mutex
	refused []*rs.Error
}

// newAPI starts an API for [fapitest.LedgerAPI] that takes the tokens of a world; change alters its configuration.
func newAPI(t *testing.T, w *fapitest.World, change func(*rs.Config)) *api {
	t.Helper()
	a := &api{world: w, mux: http.NewServeMux()}
	a.Server = httptest.NewUnstartedServer(a.mux)
	certificate, _ := fapitest.ServerCertificate(t)
	a.Server.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	a.Server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	a.Server.StartTLS()
	t.Cleanup(a.Server.Close)
	config := rs.Config{
		Issuer: w.Issuer, Audience: fapitest.LedgerAPI, BaseURL: a.Server.URL, HTTP: w.Transport(&fapitest.Client{World: w}), Now: w.Clock.Now,
		OnRefused: a.note,
	}
	if change != nil {
		change(&config)
	}
	var err error
	if a.guard, err = rs.New(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	a.handle("/accounts", rs.Scope("accounts"))
	return a
}

func (a *api) note(r *http.Request, e *rs.Error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.refused = append(a.refused, e)
}

// handle serves what the guard found at an address.
func (a *api) handle(pattern string, requirements ...rs.Requirement) {
	a.mux.Handle(pattern, a.guard.Require(requirements...)(http.HandlerFunc(tell)))
}

// told is the answer of a test's API.
type told struct {
	Subject, Client string
	Scopes          []string
	Interaction     string
	Body            string
}

func tell(w http.ResponseWriter, r *http.Request) {
	token, ok := rs.FromContext(r.Context())
	if !ok {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	body, _ := io.ReadAll(r.Body)
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(told{token.Subject, token.ClientID, token.Scopes, token.InteractionID, string(body)})
}

// call sends a request of a client with a token; alter, if it is not nil, changes its header.
func (a *api) call(c *fapitest.Client, method, path, token string, alter func(http.Header)) fapitest.Reply {
	request, err := http.NewRequest(method, a.URL+path, nil)
	if err != nil {
		panic(err)
	}
	if c.DPoP {
		plain, _, _ := strings.Cut(path, "?")
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.Proof(method, a.URL+plain, token, nil))
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if alter != nil {
		alter(request.Header)
	}
	return c.Do(request)
}

// get is a GET of "/accounts".
func (a *api) get(c *fapitest.Client, token string, alter func(http.Header)) fapitest.Reply {
	return a.call(c, http.MethodGet, "/accounts", token, alter)
}

// reason is that of the last refusal.
func (a *api) reason() rs.Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.refused) == 0 {
		return ""
	}
	return a.refused[len(a.refused)-1].Reason
}

// want checks a refusal: its status, its code, its reason, and that the challenge says the same.
func (a *api) want(t *testing.T, r fapitest.Reply, status int, code string, reason rs.Reason) {
	t.Helper()
	if r.Status != status || r.Text("error") != code || a.reason() != reason {
		t.Fatalf("answered %d %s, because of %q; want %d %s, because of %q", r.Status, r.Raw, a.reason(), status, code, reason)
	}
	challenge := strings.Join(r.Header.Values("WWW-Authenticate"), "\n")
	if status == http.StatusUnauthorized && reason != rs.NoCredentials && !strings.Contains(challenge, `error="`+code+`"`) {
		t.Fatalf("the challenge is %q", challenge)
	}
	if r.Header.Get("X-Fapi-Interaction-Id") == "" {
		t.Fatal("the answer has no x-fapi-interaction-id")
	}
}

// forLedger asks for a token for the API.
func forLedger(form url.Values, _ http.Header) { form.Set("resource", fapitest.LedgerAPI) }

// tokenOf is an access token of a client for the API.
func tokenOf(c *fapitest.Client, more ...fapitest.Change) string {
	return c.TokensFor(fapitest.Changes(append([]fapitest.Change{forLedger}, more...)...)).Text("access_token")
}
