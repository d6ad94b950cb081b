package serve_test

import (
	"bufio"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/config/change"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/serve"
)

// writeConfig writes the configuration of an installation with some changes: what a pattern matches first, and what is there then.
func writeConfig(t *testing.T, i *setuptest.Installation, changes ...string) {
	t.Helper()
	text := i.Config.Print()
	for n := 0; n < len(changes); n += 2 {
		found := regexp.MustCompile(changes[n]).FindString(text)
		if found == "" {
			t.Fatalf("there is no %s in\n%s", changes[n], text)
		}
		text = strings.Replace(text, found, changes[n+1], 1)
	}
	if err := os.WriteFile(i.File, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// Covers: NM-86, NM-87, NM-89. In one process, so that the race detector sees it: reloads one after another under requests, a request
// that was begun before one and ended after it, and what is refused in between.
func TestNM86Generations(t *testing.T) {
	i := setuptest.New(t)
	write := func(profiles string) {
		t.Helper()
		writeConfig(t, i, "profiles = .*", fmt.Sprintf("profiles = %q", profiles))
	}
	write("fapi2-security")
	var err error
	if i.Config, err = config.Load(i.File); err != nil {
		t.Fatal(err)
	}
	r := startReading(t, i)
	hangup := func(event string, times int) {
		t.Helper()
		r.hangup(t, event, times)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()
	profiles := func() string {
		t.Helper()
		response, err := client.Get(i.Config.Issuer + "/.well-known/openid-configuration")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var document struct {
			Signed     bool     `json:"require_signed_request_object"`
			Algorithms []string `json:"authorization_signing_alg_values_supported"`
		}
		if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(document.Signed, len(document.Algorithms) > 0)
	}
	const taken, refused = "event=configuration_reloaded", "configuration reload refused; keeping previous"
	plain := profiles()
	var ended atomic.Bool
	var lost atomic.Pointer[string]
	var load sync.WaitGroup
	for range 4 {
		load.Go(func() {
			for !ended.Load() {
				if status, err := once(client, http.MethodGet, i.Config.Issuer+"/health/ready"); err != nil || status != http.StatusOK {
					problem := fmt.Sprint(status, " ", err)
					lost.Store(&problem)
				}
			}
		})
	}
	t.Run("accepts another profile for all requests from then on", func(t *testing.T) {
		write("fapi2-message-signing")
		hangup(taken, 1)
		if got := profiles(); got == plain {
			t.Errorf("the discovery document is the one before: %s", got)
		}
		write("fapi2-security")
		hangup(taken, 2)
		if got := profiles(); got != plain {
			t.Errorf("the discovery document is not that of before: %s", got)
		}
	})
	t.Run("accepts the end of a request that was begun before", func(t *testing.T) {
		address := strings.TrimPrefix(i.Config.Issuer, "https://")
		connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: i.Roots, NextProtos: []string{"http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		if _, err := io.WriteString(connection, "POST /token HTTP/1.1\r\nHost: "+address+"\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond) // the server has to have seen the header
		for n := range 3 {
			write([]string{"fapi2-message-signing", "fapi2-security", "fapi2-security fapi2-message-signing"}[n])
			hangup(taken, 3+n)
		}
		if _, err := io.WriteString(connection, "a=b"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil || response.StatusCode != http.StatusUnauthorized {
			t.Fatalf("%v, %v", response, err)
		}
		response.Body.Close()
	})
	t.Run("refuses a profile that there is not, and goes on", func(t *testing.T) {
		before := profiles()
		write("fapi9")
		hangup(refused, 1)
		if got := profiles(); got != before {
			t.Errorf("%s, before %s", got, before)
		}
	})
	ended.Store(true)
	load.Wait()
	t.Run("accepts every request meanwhile", func(t *testing.T) {
		if problem := lost.Load(); problem != nil {
			t.Error(*problem)
		}
	})
	r.stop()
	if err := r.ended(); err != nil {
		t.Error(err)
	}
}

// Covers: NM-89. What a restart alone takes keeps its value; when the rest is wrong without it, all is refused, with its keys.
func TestNM89Restart(t *testing.T) {
	i := setuptest.New(t)
	reloaded := func(t *testing.T, changes ...string) (*config.Config, change.Changes, error) {
		t.Helper()
		writeConfig(t, i, changes...)
		return serve.Reloaded(t.Context(), i.Config, i.File, time.Now)
	}
	t.Run("accepts the rest", func(t *testing.T) {
		next, changes, err := reloaded(t, "clients = 10000", "clients = 101", "checkpoint_entries = .*", "checkpoint_entries = 999")
		if err != nil || next.Caches.Clients != 101 || next.Audit.CheckpointEntries != i.Config.Audit.CheckpointEntries ||
			fmt.Sprint(changes) != "{[caches.clients] [audit.checkpoint_entries]}" {
			t.Errorf("%+v, %v", changes, err)
		}
	})
	t.Run("refuses the rest where it is wrong without them, and names them", func(t *testing.T) {
		// An ingress is recognised where there is one; until a restart there is none.
		secret := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(secret, []byte(strings.Repeat("ab", 32)), 0o600); err != nil {
			t.Fatal(err)
		}
		m := i.Config.ListenMTLS
		_, changes, err := reloaded(t, "profiles = .*", `profiles = "fapi2-security"`, `(?s)\n\[listen_mtls\]\n.*?\n\n`, fmt.Sprintf(
			"\n[listen_mtls]\naddress = %q\nurl = %q\nclient_ca_file = %q\nsource = \"nginx\"\ningress_networks = \"127.0.0.1/32\"\ningress_secret_file = %q\n\n",
			m.Address, m.URL, m.ClientCAFile, secret))
		if err == nil || !strings.Contains(err.Error(), "restart to take it: without listen_mtls.source, which a restart alone changes") {
			t.Errorf("%+v, %v", changes, err)
		}
	})
}
