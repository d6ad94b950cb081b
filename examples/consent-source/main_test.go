package main

import (
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/internal/consentsource"
	"countersign/store"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

const lodged = `[
 {"id": "c-1", "client_id": "app", "kind": "uk-accounts", "status": "awaiting", "version": 1, "shown": {"type": "uk-accounts", "Permissions": ["ReadBalances"]},
  "created_at": "2026-11-30T12:00:00Z", "changed_at": "2026-11-30T12:00:00Z", "expires_at": "2099-01-01T00:00:00Z"},
 {"id": "c-2", "client_id": "app", "kind": "uk-accounts", "status": "awaiting", "version": 1, "shown": {"type": "uk-accounts", "Permissions": ["ReadBalances"]},
  "created_at": "2020-11-30T12:00:00Z", "changed_at": "2020-11-30T12:00:00Z", "expires_at": "2020-11-30T13:00:00Z"},
 {"id": "c-3", "client_id": "app", "kind": "uk-accounts", "status": "awaiting", "version": 1, "shown": {"type": "uk-accounts", "Permissions": ["ReadBalances"]},
  "created_at": "2026-11-30T12:00:00Z", "changed_at": "2026-11-30T12:00:00Z", "expires_at": "2099-01-01T00:00:00Z"}]`

func serve(t *testing.T) *fapitest.Example {
	t.Helper()
	return fapitest.RunExample(t, run, "-consents", lodged)
}

// asking asks the example as the server does, with the certificate of a name.
func asking(t *testing.T, s *fapitest.Example, name string, kept store.Store) *consentsource.Source {
	t.Helper()
	made, err := consentsource.New(consentsource.Config{
		Address: s.Address, AtOnce: 2, Store: kept, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Policy: s.Policy(t, name),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Covers: LC-66. A server whose consents are the example's grants by them, and ends with them.
func TestLC66Flow(t *testing.T) {
	t.Parallel()
	s := serve(t)
	w := fapitest.NewWorld(t, func(c *fapitest.Config) {
		c.Profiles, c.Consents.Source = []string{"uk-openbanking/fapi2-security"}, asking(t, s, "countersign", c.Store)
	})
	client := w.Register("app", func(c *fapitest.Client, m map[string]any) {
		fapitest.CertificateBound(c, m)
		c.AtMTLS, m["profile"] = true, "uk-openbanking/fapi2-security"
		c.Scope, m["scope"] = "openid accounts", "openid accounts"
	})
	naming := func(id string) fapitest.Change {
		return fapitest.Set("claims", `{"id_token":{"openbanking_intent_id":{"essential":true,"value":`+fapitest.JSON(id)+`}}}`)
	}
	source := w.Config.Consents.Source
	t.Run("accepts a consent, until it ends", func(t *testing.T) {
		tokens := client.TokensFor(naming("c-1"))
		fapitest.WantOK(t, client.Refresh(tokens.Text("refresh_token"), nil))
		if c, err := source.Read(t.Context(), "app", "c-1"); err != nil || c.Status != store.ConsentAuthorised || c.Subject != "sub-alice" || c.GrantID == "" {
			t.Errorf("%+v %v", c, err)
		}
		if _, err := source.Revoke(t.Context(), consent.Revocation{ClientID: "app", ID: "c-1", By: store.EndedByClient}); err != nil {
			t.Error(err)
		}
		fapitest.WantError(t, client.Refresh(tokens.Text("refresh_token"), nil), 400, "invalid_grant")
		if c, err := source.Read(t.Context(), "app", "c-1"); err != nil || c.Status != store.ConsentRevoked || c.EndedBy != store.EndedByClient {
			t.Errorf("%+v %v", c, err)
		}
	})
	fapitest.TryAll(t, client.Push,
		fapitest.Bad("one whose time is over", naming("c-2"), 400, "invalid_request"), fapitest.Bad("one that there is not", naming("c-9"), 400, "invalid_request"))
	t.Run("refuses for the user", func(t *testing.T) {
		w.User.Does("deny")
		fapitest.WantRedirectError(t, client.AuthorizeIn(w.Browser(), naming("c-3")), "access_denied")
		if c, err := source.Read(t.Context(), "app", "c-3"); err != nil || c.Status != store.ConsentRejected {
			t.Errorf("%+v %v", c, err)
		}
	})
}

// Covers: LC-66. A decision is made once, by the interaction that was bound last, and can be taken back and repeated.
func TestLC66Decisions(t *testing.T) {
	t.Parallel()
	source := asking(t, serve(t), "countersign", nil)
	ctx := t.Context()
	first, second := store.DigestOf("first"), store.DigestOf("second")
	bind := func(to store.Digest) consent.Consent {
		t.Helper()
		c, err := source.Bind(ctx, consent.Binding{ID: "c-1", ClientID: "app", To: to, Subject: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	decide := func(c consent.Consent, by store.Digest, grant string) (consent.Decision, error) {
		d := consent.Decision{Consent: c, Bound: by, Subject: "alice", GrantID: grant, At: time.Now()}
		_, err := source.Decide(ctx, d)
		return d, err
	}
	bind(first)
	shown := bind(second)
	if _, err := decide(shown, first, "g-1"); !errors.Is(err, consent.ErrState) {
		t.Errorf("by one that was bound before: %v", err)
	}
	stale := shown
	stale.Version++
	if _, err := decide(stale, second, "g-1"); !errors.Is(err, consent.ErrState) {
		t.Errorf("about another version: %v", err)
	}
	made, err := decide(shown, second, "g-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decide(shown, second, "g-1"); err != nil {
		t.Errorf("again: %v", err)
	}
	source.Undo(ctx, made)
	if c, err := source.Read(ctx, "app", "c-1"); err != nil || c.Status != store.ConsentAwaiting || c.GrantID != "" {
		t.Errorf("%+v %v", c, err)
	}
	if _, err := source.Bind(ctx, consent.Binding{ID: "c-2", ClientID: "app", To: first}); !errors.Is(err, consent.ErrState) {
		t.Errorf("one whose time is over: %v", err)
	}
}

// TestEndedStays: what has ended since a decision, by somebody or by its time, does not come back when the decision is taken back.
func TestEndedStays(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, test := range map[string]struct {
		end    func(s *source, ask func(func(*record, question) bool) answer)
		status string
	}{
		"a revoked consent":            {func(s *source, ask func(func(*record, question) bool) answer) { ask(s.revoke) }, "revoked"},
		"a consent whose time is over": {func(s *source, _ func(func(*record, question) bool) answer) { now = now.Add(2 * time.Hour) }, "expired"},
	} {
		t.Run("refuses to take back "+name, func(t *testing.T) {
			s := &source{now: func() time.Time { return now }, consents: map[string]*record{
				"c": {ID: "c", ClientID: "app", Status: "awaiting", Version: 1, ExpiresAt: "2099-01-01T00:00:00Z", EndsAt: now.Add(time.Hour).Format(time.RFC3339)},
			}}
			ask := func(operation func(*record, question) bool) answer {
				return s.answer(question{ConsentID: "c", Version: 1, Allowed: true, GrantID: "g", By: "bank"}, operation)
			}
			if given := ask(s.decide); given.Outcome != "ok" || given.Consent.Status != "authorised" {
				t.Fatalf("%+v", given)
			}
			test.end(s, ask)
			if given := ask(s.undo); given.Outcome != "state" || given.Consent.Status != test.status {
				t.Errorf("%+v", given.Consent)
			}
		})
	}
}

// Covers: LC-66. Nobody but Countersign is answered, and nothing but questions.
func TestLC66Strangers(t *testing.T) {
	t.Parallel()
	s := serve(t)
	t.Run("refuses a certificate of another name", func(t *testing.T) {
		if c, err := asking(t, s, "somebody", nil).Read(t.Context(), "app", "c-1"); err == nil || !strings.Contains(err.Error(), "status 403") {
			t.Errorf("%+v %v", c, err)
		}
	})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: s.Roots, Certificates: []tls.Certificate{s.Authority.Issue(t, "countersign", time.Now())},
	}}}
	defer client.CloseIdleConnections()
	for name, test := range map[string]struct {
		method, path, contentType, body string
		status                          int
	}{
		"GET":                    {http.MethodGet, "/read", "", "", http.StatusMethodNotAllowed},
		"a form":                 {http.MethodPost, "/read", "application/x-www-form-urlencoded", "consent_id=c-1", http.StatusUnsupportedMediaType},
		"no JSON":                {http.MethodPost, "/read", "application/json", "{", http.StatusBadRequest},
		"no consent":             {http.MethodPost, "/read", "application/json", `{"client_id":"app"}`, http.StatusBadRequest},
		"another operation":      {http.MethodPost, "/list", "application/json", `{"consent_id":"c-1"}`, http.StatusNotFound},
		"a question without end": {http.MethodPost, "/read", "application/json", `{"consent_id":"` + strings.Repeat("x", maxQuestion) + `"}`, http.StatusBadRequest},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.Address+test.path, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", test.contentType)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, _ := io.ReadAll(response.Body); response.StatusCode != test.status || strings.Contains(string(body), "ReadBalances") {
				t.Errorf("answered %d %s", response.StatusCode, body)
			}
		})
	}
	t.Run("refuses a connection without a certificate", func(t *testing.T) {
		stranger := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}}}
		if response, err := stranger.Post(s.Address+"/read", "application/json", strings.NewReader(`{"consent_id":"c-1"}`)); err == nil {
			response.Body.Close()
			t.Errorf("answered %d", response.StatusCode)
		}
	})
}

// TestStart: what is missing is said.
func TestStart(t *testing.T) {
	t.Parallel()
	for arguments, want := range map[string]string{
		"": "-client is missing", "-client countersign": "no such file", "-client countersign -listen": "flag needs an argument",
	} {
		if err := run(t.Context(), strings.Fields(arguments), io.Discard); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", arguments, err, want)
		}
	}
}
