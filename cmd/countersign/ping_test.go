package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/ciba"
	"countersign/mtls"
	"countersign/store"
	"countersign/store/sqlite"
)

// rings remembers what a client was notified of.
type rings struct {
	mu    sync.Mutex
	times map[string]int
}

func (r *rings) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	var told struct {
		AuthReqID string `json:"auth_req_id"`
	}
	body, err := io.ReadAll(request.Body)
	if err != nil || json.Unmarshal(body, &told) != nil || request.Header.Get("Authorization") != "Bearer "+told.AuthReqID+"-token" {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	time.Sleep(20 * time.Millisecond) // so that a kill meets pings under way
	r.mu.Lock()
	r.times[told.AuthReqID]++
	r.mu.Unlock()
	w.WriteHeader(http.StatusNoContent)
}

func (r *rings) missing(ids []string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	missing := 0
	for _, id := range ids {
		if r.times[id] == 0 {
			missing++
		}
	}
	return missing
}

// Covers: CI-09. Decisions are made while the server is killed with kill -9, before, between and after: of each the client
// is told, by this server or by the one that is started after it.
func TestCI09PingsOutliveTheServer(t *testing.T) {
	i := newInstallation(t)
	told := &rings{times: map[string]int{}}
	bell := httptest.NewUnstartedServer(told)
	certificate, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "server.crt"), filepath.Join(i.folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	bell.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	bell.StartTLS()
	defer bell.Close()

	s, err := sqlite.Open(t.Context(), sqlite.Config{File: filepath.Join(i.folder, "countersign.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	text, err := os.ReadFile(filepath.Join(i.folder, "ping.keys"))
	if err != nil {
		t.Fatal(err)
	}
	seals, err := ciba.NewSealer(text)
	if err != nil {
		t.Fatal(err)
	}
	metadata := fmt.Sprintf(`{"client_name":"Bell","grant_types":["urn:openid:params:grant-type:ciba"],"response_types":[],"scope":"openid",
		"token_endpoint_auth_method":"tls_client_auth","tls_client_auth_subject_dn":"CN=bell","tls_client_certificate_bound_access_tokens":true,
		"backchannel_token_delivery_mode":"ping","backchannel_client_notification_endpoint":"%s/ping"}`, strings.Replace(bell.URL, "127.0.0.1", "localhost", 1))
	now := time.Now()
	if err := s.PutClient(t.Context(), store.Client{ID: "bell", Profile: "fapi2-security", Metadata: json.RawMessage(metadata), Version: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
		t.Fatal(err)
	}
	alice, err := s.UserByName(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}

	const rounds, each = 5, 20
	var ids []string
	interrupted := 0
	for range rounds {
		server := i.serve()
		fresh := make([]string, each)
		for n := range fresh {
			fresh[n] = rand.Text()
			asked(t, s, seals, alice.Subject, fresh[n])
		}
		ids = append(ids, fresh...)
		var deciding sync.WaitGroup
		deciding.Go(func() {
			for _, id := range fresh {
				decision := store.BackchannelDecision{Request: store.DigestOf(id), Subject: alice.Subject, Device: "test"}
				if err := s.DecideBackchannel(context.Background(), decision); err != nil {
					t.Error(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
		})
		delay, err := rand.Int(rand.Reader, big.NewInt(1200))
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(delay.Int64()) * time.Millisecond)
		server.signal(syscall.SIGKILL)
		<-server.end
		deciding.Wait()
		interrupted += told.missing(ids)
	}
	t.Logf("%d kills found %d of %d pings not sent yet", rounds, interrupted, len(ids))
	if interrupted == 0 {
		t.Fatal("no kill came between a decision and its ping, so nothing was shown")
	}
	server := i.serve()
	for end := time.Now().Add(40 * time.Second); told.missing(ids) > 0 && time.Now().Before(end); {
		time.Sleep(100 * time.Millisecond)
	}
	t.Run("accepts all that was decided", func(t *testing.T) {
		if missing := told.missing(ids); missing > 0 {
			t.Errorf("%d of %d pings were lost\n%s", missing, len(ids), server.logs)
		}
	})
	t.Run("refuses to leave one behind", func(t *testing.T) {
		time.Sleep(time.Second)
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Errorf("the server ended with %d", code)
		}
		left, err := s.ClaimPings(t.Context(), 1000, time.Minute)
		if err != nil || len(left) != 0 {
			t.Errorf("%d are left: %v", len(left), err)
		}
	})
}

// asked stores a request as the server does.
func asked(t *testing.T, s store.Store, seals *ciba.Sealer, subject, authReqID string) {
	t.Helper()
	id, now := store.DigestOf(authReqID), time.Now()
	sealed, err := seals.Seal(id, ciba.Notification{AuthReqID: authReqID, Token: authReqID + "-token"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.StartBackchannel(t.Context(), store.BackchannelRequest{
		ID: id, ClientID: "bell", Subject: subject, UserKey: store.DigestOf(subject), Parameters: json.RawMessage(`{}`), Ping: sealed,
		CreatedAt: now, ExpiresAt: now.Add(10 * time.Minute), Interval: 5 * time.Second, NextPollAt: now,
	}, store.BackchannelLimits{User: 1000, Organisation: 1000, Client: 1000})
	if err != nil {
		t.Fatal(err)
	}
}
