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

// TestGrants lists and revokes, by user, client and date. --person is the old name of --user.
func TestGrants(t *testing.T) {
	i := newInstallation(t)
	ctx, now := context.Background(), time.Now().UTC().Truncate(time.Second)
	config := sqlite.Config{File: i.folder + "/countersign.db"}
	s, err := sqlite.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	alice, err := s.UserByName(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	for _, grant := range []store.Grant{
		{ID: "old", ClientID: "one", Subject: alice.Subject, Scopes: []string{"openid"}, CreatedAt: now.AddDate(0, 0, -40), ExpiresAt: now.AddDate(0, 0, 50)},
		{ID: "new", ClientID: "two", Subject: alice.Subject, Scopes: []string{"openid", "accounts"}, CreatedAt: now.Add(-time.Hour), ExpiresAt: now.AddDate(0, 0, 90)},
		{ID: "other", ClientID: "two", Subject: "sub-bob", CreatedAt: now.Add(-2 * time.Hour), ExpiresAt: now.Add(-time.Minute)},
		{ID: "own", ClientID: "one", CreatedAt: now.Add(-3 * time.Hour), ExpiresAt: now.Add(time.Hour)},
	} {
		token := store.AccessToken{ID: store.DigestOf(grant.ID), GrantID: grant.ID, ExpiresAt: grant.ExpiresAt}
		if err := s.IssueToken(ctx, grant, token); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	command := func(want int, arguments ...string) string {
		t.Helper()
		var out, problems strings.Builder
		if code := run(append(arguments, "--config", i.config()), strings.NewReader(""), &out, &problems); code != want {
			t.Fatalf("%q ended with %d: %s", arguments, code, &problems)
		}
		return out.String() + problems.String()
	}
	ids := func(arguments ...string) string {
		t.Helper()
		var found []string
		for line := range strings.Lines(command(0, append([]string{"grants", "list", "--json"}, arguments...)...)) {
			var grant struct {
				ID, State string
			}
			if err := json.Unmarshal([]byte(line), &grant); err != nil {
				t.Fatalf("%v: %s", err, line)
			}
			found = append(found, grant.ID+" "+grant.State)
		}
		return strings.Join(found, ", ")
	}
	for _, test := range []struct {
		arguments []string
		want      string
	}{
		{nil, "new active, other expired, own active, old active"},
		{[]string{"--user", "alice"}, "new active, old active"},
		{[]string{"--person", alice.Subject, "--client", "one"}, "old active"},
		{[]string{"--person", "alice", "--since", "30d"}, "new active"},
		{[]string{"--since", "150m"}, "new active, other expired"},
		{[]string{"--until", now.AddDate(0, 0, -30).Format(time.DateOnly)}, "old active"},
	} {
		if got := ids(test.arguments...); got != test.want {
			t.Errorf("%q: %q, want %q", test.arguments, got, test.want)
		}
	}
	if out := command(exitError, "grants", "list", "--client", "nobody"); !strings.Contains(out, `there is no client "nobody"`) {
		t.Errorf("of a client that there is not: %q", out)
	}
	if table := command(0, "grants", "list", "--limit", "1"); !strings.Contains(table, "SUBJECT") || !strings.Contains(table, "openid accounts") ||
		!strings.Contains(table, "there may be more") || strings.Contains(table, "other") {
		t.Errorf("the table: %s", table)
	}
	if out := command(0, "grants", "revoke", "new"); out != "revoked new\n" {
		t.Errorf("revoke: %q", out)
	}
	if got := ids("--person", "alice"); got != "new revoked, old active" {
		t.Errorf("after that: %q", got)
	}
	if out := command(exitError, "grants", "revoke", "nothing"); !strings.Contains(out, `there is no grant "nothing"`) {
		t.Errorf("revoke what is not there: %q", out)
	}
	if out := command(exitUsage, "grants", "list", "--since", "yesterday"); !strings.Contains(out, "is no time; give") {
		t.Errorf("a time that is none: %q", out)
	}
	if out := command(0, "grants", "consents", "--person", "alice"); !strings.Contains(out, "CLAIMS") {
		t.Errorf("consents: %q", out)
	}
	s, err = sqlite.Open(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.AccessGrant(ctx, store.DigestOf("new")); err == nil {
		t.Error("the token of a revoked grant is valid")
	}
}
