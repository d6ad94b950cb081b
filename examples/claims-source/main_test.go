package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
	"countersign/internal/claimsource"
	"countersign/internal/outbound"
)

const people = `{"sub-alice": {"name": "Alice Example", "email": "alice@example.com", "shoe_size": "4711"}, "sub-bob": {"active": false, "name": "Bob"}}`

// served is a running example.
type served struct {
	address   string
	roots     *x509.CertPool
	authority fapitest.Authority
}

func serve(t *testing.T) *served {
	t.Helper()
	folder := t.TempDir()
	write := func(name string, content []byte) string {
		t.Helper()
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	encode := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	s := &served{authority: fapitest.NewAuthority(t, "Countersign CA", time.Now())}
	var own tls.Certificate
	own, s.roots = fapitest.ServerCertificate(t)
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	lines, out := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, []string{
			"-listen", "127.0.0.1:0", "-certificate", write("server.crt", encode("CERTIFICATE", own.Certificate[0])), "-key", write("server.key", encode("PRIVATE KEY", key)),
			"-client-ca", write("ca.crt", encode("CERTIFICATE", s.authority.Certificate.Raw)), "-client", "countersign", "-users", write("users.json", []byte(people)),
		}, out)
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(lines).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	s.address = strings.TrimSpace(line)
	return s
}

// source asks the example as the server does, with the certificate of a name.
func (s *served) source(t *testing.T, name string) *claimsource.Source {
	t.Helper()
	shown := new(atomic.Pointer[tls.Certificate])
	shown.Store(new(s.authority.Issue(t, name, time.Now())))
	made, err := claimsource.New(claimsource.Config{
		Address: s.address, Claims: claims.Names(), CheckActive: true, AtOnce: 2, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Policy: outbound.Policy{AllowLoopback: true, Roots: s.roots, Timeout: 5 * time.Second, Now: time.Now, Certificate: shown},
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// Covers: KB-28. The example fulfils the contract: the server gets from it what it asks for, and nobody else gets anything.
func TestKB28Example(t *testing.T) {
	t.Parallel()
	s := serve(t)
	about := func(subject string, names ...string) claims.Question {
		return claims.Question{Subject: subject, ClientID: "client-1", Purpose: claims.ForUserInfo, Names: names}
	}
	source := s.source(t, "countersign")
	t.Run("accepts a question", func(t *testing.T) {
		answer, err := source.Ask(t.Context(), about("sub-alice", "email", "locale"))
		if err != nil || answer.Inactive || len(answer.Claims) != 1 || string(answer.Claims["email"]) != `"alice@example.com"` {
			t.Errorf("%v %v", answer, err)
		}
	})
	for name, subject := range map[string]string{"who is disabled": "sub-bob", "whom it does not know": "sub-carol"} {
		t.Run("refuses a user "+name+", as not active", func(t *testing.T) {
			if answer, err := source.Ask(t.Context(), about(subject, "name")); err != nil || !answer.Inactive {
				t.Errorf("%v %v", answer, err)
			}
		})
	}
	t.Run("refuses a certificate of another name", func(t *testing.T) {
		if answer, err := s.source(t, "somebody").Ask(t.Context(), about("sub-alice", "name")); err == nil || !strings.Contains(err.Error(), "status 403") {
			t.Errorf("%v %v", answer, err)
		}
	})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: s.roots, Certificates: []tls.Certificate{s.authority.Issue(t, "countersign", time.Now())},
	}}}
	defer client.CloseIdleConnections()
	for name, test := range map[string]struct {
		method, contentType, body string
		status                    int
	}{
		"GET":                    {http.MethodGet, "", "", http.StatusMethodNotAllowed},
		"a form":                 {http.MethodPost, "application/x-www-form-urlencoded", "subject=sub-alice", http.StatusUnsupportedMediaType},
		"no JSON":                {http.MethodPost, "application/json", "{", http.StatusBadRequest},
		"nobody":                 {http.MethodPost, "application/json", `{"claims":["name"]}`, http.StatusBadRequest},
		"a question without end": {http.MethodPost, "application/json", `{"subject":"` + strings.Repeat("x", maxQuestion) + `"}`, http.StatusBadRequest},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.address, strings.NewReader(test.body))
			if err != nil {
				t.Fatal(err)
			}
			request.Header.Set("Content-Type", test.contentType)
			response, err := client.Do(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			if body, _ := io.ReadAll(response.Body); response.StatusCode != test.status || strings.Contains(string(body), "Alice") {
				t.Errorf("answered %d %s", response.StatusCode, body)
			}
		})
	}
	t.Run("refuses a connection without a certificate", func(t *testing.T) {
		stranger := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}}
		if response, err := stranger.Post(s.address, "application/json", strings.NewReader(`{"subject":"sub-alice"}`)); err == nil {
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
