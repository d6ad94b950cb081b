package consentsource_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/consentsource"
	"countersign/store"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

type object = map[string]any

// bank is a consent system that does as the contract says, and what a test wants of it.
type bank struct {
	address   string
	authority fapitest.Authority
	roots     *x509.CertPool

	mu       sync.Mutex
	consents map[string]object
	asked    []object
	// answer, if it is not nil, answers in place of the bank: given is what that would have answered.
	answer func(w http.ResponseWriter, operation string, given object)
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{authority: fapitest.NewAuthority(t, "Bank CA", time.Now()), consents: map[string]object{}}
	trusted := x509.NewCertPool()
	trusted.AddCert(b.authority.Certificate)
	var certificate tls.Certificate
	certificate, b.roots = fapitest.ServerCertificate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12,
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	b.address = server.URL + "/consents"
	return b
}

// lodge keeps a consent of a client.
func (b *bank) lodge(id, client string, change func(object)) string {
	one := object{
		"id": id, "client_id": client, "kind": "uk-accounts", "status": "awaiting", "version": 1.0, "shown": object{"type": "uk-accounts", "Permissions": []any{"ReadBalances"}},
		"created_at": "2026-11-30T12:00:00Z", "changed_at": "2026-11-30T12:00:00Z", "expires_at": "2099-01-01T00:00:00Z",
	}
	if change != nil {
		change(one)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consents[id] = one
	return id
}

// get is a member of a consent, and set changes it.
func (b *bank) get(id, name string) any {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.consents[id][name]
}

func (b *bank) set(id, name string, value any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.consents[id][name] = value
}

// answers has the bank answer so from now on; nil as it does.
func (b *bank) answers(answer func(w http.ResponseWriter, operation string, given object)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// away has operations fail from now on; none: nothing does.
func (b *bank) away(operations ...string) {
	b.answers(func(w http.ResponseWriter, operation string, given object) {
		for _, one := range operations {
			if one == operation {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
		}
		write(w, given)
	})
}

// questions are those since the last call.
func (b *bank) questions() []object {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

func write(w http.ResponseWriter, answer object) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may have left
}

func (b *bank) serve(w http.ResponseWriter, r *http.Request) {
	var q object
	operation, below := strings.CutPrefix(r.URL.Path, "/consents/")
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || r.Method != http.MethodPost || !below {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	q["operation"] = operation
	b.asked = append(b.asked, q)
	given := b.do(operation, q)
	if b.answer != nil {
		b.answer(w, operation, given)
		return
	}
	write(w, given)
}

// do does an operation.
func (b *bank) do(operation string, q object) object {
	one := b.consents[q["consent_id"].(string)]
	if one == nil || q["client_id"] != nil && q["client_id"] != one["client_id"] {
		return object{"outcome": "not_found"}
	}
	state := object{"outcome": "state", "consent": one}
	open := one["status"] == "awaiting" || one["status"] == "authorised" && one["once"] != true
	become := func(status string, more ...any) object {
		one["status"], one["version"] = status, one["version"].(float64)+1
		for i := 0; i+1 < len(more); i += 2 {
			one[more[i].(string)] = more[i+1]
		}
		return object{"outcome": "ok", "consent": one}
	}
	switch operation {
	case "bind":
		if !open {
			return state
		}
		one["interaction"] = q["interaction"]
	case "decide":
		if !open || q["interaction"] != one["interaction"] || q["version"] != one["version"] {
			return state
		}
		if q["allowed"] == true {
			return become("authorised", "subject", q["subject"], "grant_id", q["grant_id"])
		}
		return become("rejected", "ended_by", "user")
	case "undo":
		return become("awaiting", "subject", "", "grant_id", "")
	case "revoke":
		if !open {
			return state
		}
		return become("revoked", "ended_by", q["by"])
	}
	return object{"outcome": "ok", "consent": one}
}

// config is what a source needs to ask the bank.
func (b *bank) config(t *testing.T, s store.Store, now func() time.Time) consentsource.Config {
	t.Helper()
	return consentsource.Config{
		Address: b.address, AtOnce: 4, Store: s, Now: now, Log: slog.New(slog.DiscardHandler),
		Policy: b.authority.Policy(t, b.roots, "countersign"),
	}
}

// world is a server whose consents are the bank's, and a client of the UK's ecosystem.
type world struct {
	*fapitest.World
	bank   *bank
	client *fapitest.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	b := newBank(t)
	w := fapitest.NewWorld(t, func(c *fapitest.Config) {
		config := b.config(t, c.Store, c.Now)
		config.Log = c.Logger
		source, err := consentsource.New(config)
		if err != nil {
			t.Fatal(err)
		}
		c.Profiles, c.Consents.Source = []string{"uk-openbanking/fapi2-security"}, source
	})
	client := w.Register("app", func(c *fapitest.Client, m object) {
		fapitest.CertificateBound(c, m)
		c.AtMTLS, m["profile"] = true, "uk-openbanking/fapi2-security"
		c.Scope, m["scope"] = "openid accounts", "openid accounts"
	})
	return &world{w, b, client}
}

// naming has a request name a consent.
func naming(id string) fapitest.Change {
	return fapitest.Set("claims", `{"id_token":{"openbanking_intent_id":{"essential":true,"value":`+fapitest.JSON(id)+`}}}`)
}
