package main

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/mtls"
	"countersign/store"
	"countersign/store/sqlite"
)

// departures remembers the sessions of whose end a client was told.
type departures struct {
	mu    sync.Mutex
	known map[string]bool
	down  bool
}

func (d *departures) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	form, parseErr := url.ParseQuery(string(body))
	parts := strings.Split(form.Get("logout_token"), ".")
	if err != nil || parseErr != nil || len(parts) != 3 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	var claims struct{ SID string }
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	time.Sleep(20 * time.Millisecond) // so that a kill meets notices under way
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.down {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	d.known[claims.SID] = true
}

func (d *departures) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.known)
}

// Covers: LO-04. `countersign users sign-out` ends sessions while the server is killed with kill -9 and started again, and while the
// client is away: of each session the client is told.
func TestLO04NoticesOutliveTheServer(t *testing.T) {
	i := newInstallation(t)
	told := &departures{known: map[string]bool{}}
	client := httptest.NewUnstartedServer(told)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "server.crt"), filepath.Join(i.folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	client.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	client.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	client.StartTLS()
	defer client.Close()
	address := strings.Replace(client.URL, "127.0.0.1", "localhost", 1)

	metadata := `{"client_name":"Ledger","redirect_uris":["` + address + `/callback"],"scope":"openid",
		"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=ledger","tls_client_certificate_bound_access_tokens":true,
		"post_logout_redirect_uris":["` + address + `/out"],"backchannel_logout_uri":"` + address + `/logout","backchannel_logout_session_required":true}`
	file := filepath.Join(t.TempDir(), "ledger.json")
	if err := os.WriteFile(file, []byte(metadata), 0o600); err != nil {
		t.Fatal(err)
	}
	i.run("clients", "add", "ledger", "--file", file)
	s, err := sqlite.Open(t.Context(), sqlite.Config{File: filepath.Join(i.folder, "countersign.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	alice, err := s.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	const rounds, each = 3, 20
	for round := range rounds {
		server := i.serve()
		told.mu.Lock()
		told.down = round == 1
		told.mu.Unlock()
		for range each {
			departing(t, s, alice.Subject)
		}
		i.run("users", "sign-out", "alice")
		delay, err := rand.Int(rand.Reader, big.NewInt(900))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(delay.Int64()) * time.Millisecond)
		server.signal(syscall.SIGKILL)
		<-server.end
	}
	t.Logf("%d kills found %d of %d notices not sent yet", rounds, rounds*each-told.count(), rounds*each)
	told.mu.Lock()
	told.down = false
	told.mu.Unlock()
	if told.count() == rounds*each {
		t.Fatal("no kill came between the end of a session and its notice, so nothing was shown")
	}
	server := i.serve()
	for end := time.Now().Add(90 * time.Second); told.count() < rounds*each && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	t.Run("accepts all that has ended", func(t *testing.T) {
		if got := told.count(); got != rounds*each {
			t.Errorf("told of %d sessions, want %d\n%s", got, rounds*each, server.logs)
		}
	})
	t.Run("refuses to leave one behind", func(t *testing.T) {
		time.Sleep(time.Second)
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Errorf("the server ended with %d", code)
		}
		left, err := s.ClaimLogouts(t.Context(), 1000, time.Minute)
		if err != nil || len(left) != 0 {
			t.Errorf("%d are left: %v", len(left), err)
		}
	})
}

// departing stores a session in which the client got an ID token, as the server does.
func departing(t *testing.T, s store.Store, subject string) {
	t.Helper()
	ctx, now := t.Context(), time.Now()
	session := store.Session{ID: store.DigestOf(rand.Text()), SID: rand.Text(), Subject: subject, AuthTime: now, ExpiresAt: now.Add(time.Hour)}
	request := store.Request{ID: store.DigestOf(rand.Text()), ClientID: "ledger", CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	grant := store.Grant{ID: rand.Text(), ClientID: "ledger", Subject: subject, Scopes: []string{"openid"}, AuthTime: now, CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	code := store.Code{ID: store.DigestOf(rand.Text()), GrantID: grant.ID, ClientID: "ledger", CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	for _, err := range []error{
		s.StartSession(ctx, session, store.Digest{}), s.Push(ctx, request),
		s.Finish(ctx, store.Finish{Request: request.ID, Grant: &grant, Code: &code}),
		s.RedeemCode(ctx, code.ID, store.Issued{
			AccessToken: store.AccessToken{ID: store.DigestOf(rand.Text()), GrantID: grant.ID, ExpiresAt: now.Add(time.Minute)},
			Session:     &store.SessionClient{SID: session.SID, ExpiresAt: session.ExpiresAt, Subject: subject},
		}),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
}
