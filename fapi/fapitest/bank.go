package fapitest

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"countersign/fapi/claims"
	"countersign/internal/claimsource"
)

// Bank is an operator's API of claims about users (docs/claims-source.md): a TLS server that demands a certificate of
// Authority. It knows what the test says.
type Bank struct {
	// Address is where questions are posted.
	Address string
	// Authority issues the certificates that it accepts, and Roots trusts its own.
	Authority Authority
	Roots     *x509.CertPool

	mu     sync.Mutex
	users  map[string]map[string]any
	asked  []map[string]any
	answer func(w http.ResponseWriter, r *http.Request, question map[string]any)
}

// NewBank starts one. Its certificates are judged by the machine's clock.
func NewBank(t *testing.T) *Bank {
	t.Helper()
	b := &Bank{Authority: NewAuthority(t, "Bank CA", time.Now()), users: map[string]map[string]any{}}
	trusted := x509.NewCertPool()
	trusted.AddCert(b.Authority.Certificate)
	var certificate tls.Certificate
	certificate, b.Roots = ServerCertificate(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(b.serve))
	server.TLS = &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: trusted, MinVersion: tls.VersionTLS12,
	}
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	server.StartTLS()
	t.Cleanup(server.Close)
	b.Address = server.URL + "/claims"
	return b
}

func (b *Bank) serve(w http.ResponseWriter, r *http.Request) {
	var question map[string]any
	if err := json.NewDecoder(r.Body).Decode(&question); err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	subject, _ := question["subject"].(string)
	b.mu.Lock()
	b.asked = append(b.asked, question)
	known, answer := maps.Clone(b.users[subject]), b.answer
	b.mu.Unlock()
	if answer != nil {
		answer(w, r, question)
		return
	}
	if known == nil {
		known = map[string]any{"active": false}
	}
	known["sub"] = subject
	WriteAnswer(w, known)
}

// WriteAnswer answers a question with a JSON object.
func WriteAnswer(w http.ResponseWriter, answer map[string]any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(answer) // whoever asked may have left
}

// Knows sets what it knows about a user, whatever is asked for; nil is a user whom it does not know.
func (b *Bank) Knows(subject string, about map[string]any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.users[subject] = about
}

// Answers has it answer so from now on; nil by what it knows.
func (b *Bank) Answers(answer func(w http.ResponseWriter, r *http.Request, question map[string]any)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = answer
}

// IsAway has it answer 503 from now on, or again by what it knows.
func (b *Bank) IsAway(away bool) {
	if !away {
		b.Answers(nil)
		return
	}
	b.Answers(func(w http.ResponseWriter, _ *http.Request, _ map[string]any) {
		w.WriteHeader(http.StatusServiceUnavailable)
	})
}

// Asked returns the questions since the last call.
func (b *Bank) Asked() []map[string]any {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

// Config is what a source needs to ask it, with a certificate that it accepts and every claim allowed. Nothing is kept unless
// the caller says so.
func (b *Bank) Config(t *testing.T, now func() time.Time, log *slog.Logger) claimsource.Config {
	t.Helper()
	return claimsource.Config{
		Address: b.Address, Claims: claims.Names(), CacheEntries: 100, AtOnce: 8, Now: now, Log: log,
		Policy: b.Authority.Policy(t, b.Roots, "countersign"),
	}
}

// ClaimsFrom has a world ask a bank; change, if it is not nil, alters how.
func ClaimsFrom(t *testing.T, b *Bank, change func(*claimsource.Config)) Option {
	return func(c *Config) {
		t.Helper()
		config := b.Config(t, c.Now, c.Logger)
		config.TracerProvider = c.TracerProvider
		if change != nil {
			change(&config)
		}
		source, err := claimsource.New(config)
		if err != nil {
			t.Fatal(err)
		}
		c.ClaimsSource = source.Claims()
	}
}
