package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
)

// Covers: LC-21. An operator lists, reads, ends and consumes consents, with evidence; what cannot be ended or consumed is said.
func TestConsentsCommand(t *testing.T) {
	i := newInstallation(t)
	ctx, now := context.Background(), time.Now().UTC().Truncate(time.Second)
	s, err := sqlite.Open(ctx, sqlite.Config{File: i.folder + "/countersign.db"})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second"} {
		if err := s.LodgeConsent(ctx, store.LodgedConsent{
			ID: id, ClientID: "budget", Kind: "account-access", Status: store.ConsentAwaiting, Content: json.RawMessage(`{"Permissions":["ReadBalances"]}`),
			CreatedAt: now, ChangedAt: now, Version: 1, ExpiresAt: now.Add(time.Hour),
		}, store.ConsentQuota{}); err != nil {
			t.Fatal(err)
		}
	}
	request := store.Request{ID: store.DigestOf("request"), ClientID: "budget", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	bound := store.DigestOf("interaction")
	grant := store.Grant{ID: "grant", ClientID: "budget", Subject: "sub", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
	if err := s.Push(ctx, request); err != nil {
		t.Fatal(err)
	}
	if _, err := s.BindConsent(ctx, store.ConsentBinding{ID: "second", ClientID: "budget", To: bound}); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(ctx, store.Finish{Request: request.ID, Grant: &grant, Lodged: &store.ConsentDecision{
		ID: "second", ClientID: "budget", Bound: bound, Version: 1, Subject: "sub",
	}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	command := func(want int, arguments ...string) string {
		t.Helper()
		var out, problems strings.Builder
		if code := run(append(append([]string{"consents"}, arguments...), "--config", i.config()), strings.NewReader(""), &out, &problems); code != want {
			t.Fatalf("%q ended with %d: %s", arguments, code, &problems)
		}
		return out.String() + problems.String()
	}
	t.Run("accepts what it is for", func(t *testing.T) {
		if out := command(0, "list", "--client", "budget"); !strings.Contains(out, "CONSENT") || !strings.Contains(out, "awaiting") || !strings.Contains(out, "authorised") {
			t.Error(out)
		}
		if out := command(0, "list", "--user", "sub", "--json"); strings.Count(out, "\n") != 1 || !strings.Contains(out, `"grant_id":"grant"`) {
			t.Error(out)
		}
		if out := command(0, "show", "first"); !strings.Contains(out, "ReadBalances") {
			t.Error(out)
		}
		if out := command(0, "spend", "second"); out != "consumed second\n" {
			t.Error(out)
		}
		if out := command(0, "end", "first", "second", "--reason", "fraud"); out != "rejected first\nrevoked second\n" {
			t.Error(out)
		}
		if out := command(0, "show", "second"); !strings.Contains(out, `"ended_by": "bank"`) || !strings.Contains(out, `"reason": "fraud"`) {
			t.Error(out)
		}
	})
	t.Run("refuses what cannot be", func(t *testing.T) {
		for says, arguments := range map[string][]string{
			"has ended before: it is revoked":                {"end", "second"},
			"only one that is authorised can be consumed":    {"spend", "first"},
			`there is no consent "nothing"`:                  {"show", "nothing"},
			`there is no consent "other"; ` + "`countersign": {"end", "other"},
		} {
			if out := command(exitError, arguments...); !strings.Contains(out, says) {
				t.Errorf("%q: %s", arguments, out)
			}
		}
		if out := command(exitUsage, "list"); !strings.Contains(out, "give --user or --client") {
			t.Error(out)
		}
	})
}
