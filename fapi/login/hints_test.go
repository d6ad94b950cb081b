package login_test

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/fapi/login"
	"countersign/internal/outbound"
	"countersign/mtls"
)

// newResolving starts a world in which the bank says whom hints mean, as answer does.
func newResolving(t *testing.T, answer http.HandlerFunc, more ...func(*backchannel.Settings)) (*fapitest.World, *bank, *fapitest.Client) {
	t.Helper()
	certificate, roots := fapitest.ServerCertificate(t)
	site := httptest.NewUnstartedServer(answer)
	site.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	site.StartTLS()
	t.Cleanup(site.Close)
	shown := fapitest.Authority{}.Issue(t, "countersign", time.Now())
	policy := outbound.Policy{AllowLoopback: true, Roots: roots, Now: time.Now, Timeout: 2 * time.Second, Certificate: new(atomic.Pointer[tls.Certificate])}
	policy.Certificate.Store(&shown)
	hints, err := login.NewHints(site.URL+"/hints", policy)
	if err != nil {
		t.Fatal(err)
	}
	w, b := newBank(t, true, true, fapitest.WithBackchannel(func(s *backchannel.Settings) {
		s.ResolveHint = hints.Resolve
		for _, change := range more {
			change(s)
		}
	}),
		func(c *fapitest.Config) { c.Login.Confirmations = true })
	return w, b, w.Register("asker", fapitest.CIBAPoll)
}

// Covers: KE-22. Whom a hint means is the login's to say, also of users who are not known here yet.
func TestKE22Hints(t *testing.T) {
	t.Parallel()
	var asked atomic.Pointer[map[string]string]
	var from atomic.Value
	w, b, c := newResolving(t, func(w http.ResponseWriter, r *http.Request) {
		var question map[string]string
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &question)
		asked.Store(&question)
		from.Store(r.TLS.PeerCertificates[0].Subject.CommonName)
		users := map[string]string{"+351 912 345 678": "cust-1", "alice": "sub-bob", "token-of-alice": "sub-alice", "gone": "sub-gone", "named": "bob"}
		subject, known := users[question["hint"]]
		if !known {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"subject":%q}`, subject)
	})
	decided := func(t *testing.T, id, subject string) string {
		t.Helper()
		reference := fapitest.Reference(id)
		r := b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"/"+reference+"?subject="+subject, "", nil, nil)
		if r.Status != http.StatusOK {
			t.Fatalf("%d %s", r.Status, r.Raw)
		}
		return b.confirm(reference, fapitest.Claims{
			"request_digest": r.Text("request_digest"), "subject": subject, "decision": "allow", "acr": acrSCA, "amr": []string{"hwk"},
			"auth_time": w.Clock.Now().Unix(),
		}).Text("state")
	}
	t.Run("accepts a user who is not known yet, and who then confirms", func(t *testing.T) {
		id := c.AuthReqID(fapitest.Set("login_hint", "+351 912 345 678"))
		if got := *asked.Load(); got["client_id"] != "asker" || got["kind"] != "login_hint" || got["hint"] != "+351 912 345 678" || from.Load() != "countersign" {
			t.Errorf("asked %v by %v", got, from.Load())
		}
		if state := decided(t, id, "cust-1"); state != "approved" {
			t.Error(state)
		}
		issued := c.Poll(id, nil)
		fapitest.WantOK(t, issued)
		if claims := fapitest.UnverifiedClaims(t, issued.Text("id_token")); claims["sub"] != "cust-1" {
			t.Errorf("%v", claims)
		}
	})
	t.Run("accepts the login's word against the directory's", func(t *testing.T) {
		if state := decided(t, c.AuthReqID(nil), "sub-bob"); state != "approved" { // the hint is alice
			t.Error(state)
		}
	})
	t.Run("accepts a login_hint_token as it is, once", func(t *testing.T) {
		token := fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set("login_hint_token", "token-of-alice"))
		id := c.AuthReqID(token)
		if got := *asked.Load(); got["kind"] != "login_hint_token" || decided(t, id, "sub-alice") != "approved" {
			t.Errorf("%v", got)
		}
		if again := c.Backchannel(token); again.Status != http.StatusBadRequest {
			t.Errorf("%d %s", again.Status, again.Raw)
		}
	})
	t.Run("refuses to say that a hint is of nobody, of the disabled, or of a subject that is another's name", func(t *testing.T) {
		w.AddUser("sub-gone", "gone one", "{}")
		w.Disable("sub-gone", true)
		for _, hint := range []string{"nobody", "gone", "named"} {
			id := c.AuthReqID(fapitest.Set("login_hint", hint))
			fapitest.WantError(t, c.Poll(id, nil), http.StatusBadRequest, "authorization_pending")
			for _, subject := range []string{"sub-gone", "bob", "sub-bob"} {
				r := b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"/"+fapitest.Reference(id)+"?subject="+subject, "", nil, nil)
				refused(t, r, http.StatusNotFound, "no such request")
			}
		}
	})
	t.Run("refuses to ask about what can be no hint", func(t *testing.T) {
		before := asked.Load()
		c.AuthReqID(fapitest.Set("login_hint", strings.Repeat("x", 300)))
		if asked.Load() != before {
			t.Errorf("asked %v", *asked.Load())
		}
	})
}

// Covers: KE-51. Where login_hint_issuers are known, the login is asked about no login_hint_token that was not verified here: its
// signature, its audience, its time, and that it comes once. What it names the user by is the login's to read.
func TestKE51VerifiedHintToken(t *testing.T) {
	t.Parallel()
	signer, stranger := fapitest.NewHintSigner(t), fapitest.NewHintSigner(t)
	var asked atomic.Int32
	var last atomic.Value
	w, b, c := newResolving(t, func(w http.ResponseWriter, r *http.Request) {
		var question map[string]string
		body, _ := io.ReadAll(r.Body)
		_ = json.Unmarshal(body, &question)
		asked.Add(1)
		last.Store(question["kind"] + " " + question["hint"])
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"subject":"sub-bob"}`)
	}, func(s *backchannel.Settings) { s.HintIssuers = []backchannel.HintIssuer{signer.Trusted} })
	send := func(token string) fapitest.Change {
		return fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set("login_hint_token", token))
	}
	byPhone := func(claims fapitest.Claims) {
		claims["sub_id"] = map[string]string{"format": "phone_number", "phone_number": "+351912345678"}
	}
	t.Run("accepts one that is verified, and the login's word on whom it means", func(t *testing.T) {
		for _, alter := range []func(fapitest.Claims){nil, byPhone} { // it names alice, and the login says bob
			token := signer.Token(w, alter)
			id := c.AuthReqID(send(token))
			list := b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"/"+fapitest.Reference(id)+"?subject=sub-bob", "", nil, nil)
			if list.Status != http.StatusOK || last.Load() != "login_hint_token "+token {
				t.Errorf("%d %s, asked %v", list.Status, list.Raw, last.Load())
			}
		}
	})
	used := signer.Token(w, nil)
	c.AuthReqID(send(used))
	before := asked.Load()
	for name, token := range map[string]string{
		"one of a stranger":     stranger.Token(w, nil),
		"one for another":       signer.Token(w, func(c fapitest.Claims) { c["aud"] = "https://other.example" }),
		"one that has expired":  signer.Token(w, func(c fapitest.Claims) { c["exp"] = w.Clock.Now().Add(-time.Second).Unix() }),
		"one that lives long":   signer.Token(w, func(c fapitest.Claims) { c["exp"] = w.Clock.Now().Add(time.Hour).Unix() }),
		"one without jti":       signer.Token(w, func(c fapitest.Claims) { delete(c, "jti") }),
		"what is no JWT at all": "token-of-alice",
	} {
		t.Run("refuses "+name+" before the login is asked", func(t *testing.T) {
			if r := c.Backchannel(send(token)); r.Status != http.StatusBadRequest || asked.Load() != before {
				t.Errorf("%d %s, asked %d times", r.Status, r.Raw, asked.Load()-before)
			}
		})
	}
	t.Run("refuses one that was used", func(t *testing.T) {
		if r := c.Backchannel(send(used)); r.Status != http.StatusBadRequest {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}

// Covers: KE-23. Without an answer of the login no user is asked, and the client is told to try again.
func TestKE23HintsOutage(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"an error":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) },
		"a redirect": func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusSeeOther) },
		"no JSON":    func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "sub-alice") },
		"no subject": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"sub":"sub-alice"}`) },
		"two subjects": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{"subject":"sub-alice","subject":"sub-bob"}`)
		},
		"a subject with a line break": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"subject":"sub\nalice"}`) },
		"a subject without end": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"subject":%q}`, strings.Repeat("a", 256))
		},
		"more than an answer can have": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat(" ", 5<<10)+`{"subject":"sub-alice"}`)
		},
		"a connection that breaks off": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			w, b, c := newResolving(t, answer)
			r := c.Backchannel(nil)
			if r.Status != http.StatusServiceUnavailable || r.Text("error") != "temporarily_unavailable" || r.Header.Get("Retry-After") == "" {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
			if list := b.caller.SendJSON(http.MethodGet, w.MTLSIssuer+confirmationsAt+"?subject=sub-alice", "", nil, nil); !strings.Contains(list.Raw, `[]`) {
				t.Errorf("%s", list.Raw)
			}
			if logs := w.Logs.String(); !strings.Contains(logs, "hint not resolved by the login") || strings.Contains(logs, "sub-bob") {
				t.Errorf("%s", logs)
			}
		})
	}
	t.Run("refuses an address that is none", func(t *testing.T) {
		for _, address := range []string{"http://bank.example/hints", "https://", "https://10.0.0.1/hints", "https://bank.example:22/"} {
			if _, err := login.NewHints(address, outbound.Policy{}); err == nil {
				t.Errorf("%s is taken", address)
			}
		}
	})
	t.Run("accepts one that is public", func(t *testing.T) {
		for _, address := range []string{"https://bank.example/hints", "https://bank.example:8443/hints"} {
			if _, err := login.NewHints(address, outbound.Policy{}); err != nil {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}
