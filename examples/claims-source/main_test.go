package main

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/claims"
	"countersign/fapi/fapitest"
	"countersign/internal/claimsource"
)

const people = `{"sub-alice": {"name": "Alice Example", "email": "alice@example.com", "shoe_size": "4711", "accounts": [{"type": "own_accounts", "value": "DE02100100109307118603", "name": "Everyday"}]}, "sub-dora": {"name": "Dora"}, "sub-bob": {"active": false, "name": "Bob"}}`

func serve(t *testing.T) *fapitest.Example {
	t.Helper()
	return fapitest.RunExample(t, run, "-users", people)
}

// asking asks the example as the server does, with the certificate of a name.
func asking(t *testing.T, s *fapitest.Example, name string) *claimsource.Source {
	t.Helper()
	made, err := claimsource.New(claimsource.Config{
		Address: s.Address, Claims: claims.Names(), CheckActive: true, AtOnce: 2, Now: time.Now, Log: slog.New(slog.DiscardHandler),
		Policy: s.Policy(t, name),
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
	source := asking(t, s, "countersign")
	t.Run("accepts a question", func(t *testing.T) {
		answer, err := source.Ask(t.Context(), about("sub-alice", "email", "locale"))
		if err != nil || answer.Inactive || len(answer.Claims) != 1 || string(answer.Claims["email"]) != `"alice@example.com"` {
			t.Errorf("%v %v", answer, err)
		}
	})
	t.Run("accepts a question for accounts, and a user without any", func(t *testing.T) {
		for subject, count := range map[string]int{"sub-alice": 1, "sub-dora": 0} {
			q := about(subject)
			q.Purpose = claims.ForConsent
			if answer, err := source.Accounts(t.Context(), q, []string{"own_accounts"}); err != nil || len(answer.Accounts) != count {
				t.Errorf("%s: %v %v", subject, answer, err)
			}
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
		if answer, err := asking(t, s, "somebody").Ask(t.Context(), about("sub-alice", "name")); err == nil || !strings.Contains(err.Error(), "status 403") {
			t.Errorf("%v %v", answer, err)
		}
	})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: s.Roots, Certificates: []tls.Certificate{s.Authority.Issue(t, "countersign", time.Now())},
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
			request, err := http.NewRequestWithContext(t.Context(), test.method, s.Address, strings.NewReader(test.body))
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
		stranger := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots}}}
		if response, err := stranger.Post(s.Address, "application/json", strings.NewReader(`{"subject":"sub-alice"}`)); err == nil {
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
