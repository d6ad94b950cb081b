package adminapi_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/store"
)

// Covers: NM-51, NM-43. Grants are found by client and user and revoked; consents that clients lodged are read and ended.
func TestNM51GrantsAndConsents(t *testing.T) {
	w := newWorld(t)
	w.added(t, "app")
	now := time.Now().UTC().Truncate(time.Microsecond)
	if err := w.store.IssueToken(t.Context(), store.Grant{ID: "grant-1", ClientID: "app", Scopes: []string{"accounts"}, CreatedAt: now, ExpiresAt: now.Add(time.Hour)},
		store.AccessToken{ID: store.DigestOf("token"), GrantID: "grant-1", ExpiresAt: now.Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.LodgeConsent(t.Context(), store.LodgedConsent{
		ID: "urn:bank:C1", ClientID: "app", Kind: "uk-accounts", Status: store.ConsentAwaiting, Version: 1, CreatedAt: now, ChangedAt: now, ExpiresAt: now.Add(time.Hour),
		Content: json.RawMessage(`{"a":1}`), Shown: json.RawMessage(`{}`),
	}, store.ConsentQuota{Client: 10, Organisation: 10}); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts to find and revoke a grant, again too", func(t *testing.T) {
		found := w.ask(t, "rita", "GET", "/admin/v1/grants?client_id=app&since=2020-01-01T00:00:00Z", nil).want(http.StatusOK).items()
		if len(found) != 1 || found[0]["id"] != "grant-1" || found[0]["state"] != "active" {
			t.Errorf("%v", found)
		}
		if none := w.ask(t, "rita", "GET", "/admin/v1/grants?subject=nobody", nil).want(http.StatusOK).items(); len(none) != 0 {
			t.Errorf("%v", none)
		}
		for range 2 {
			done := w.ask(t, "ada", "POST", "/admin/v1/grants/grant-1/revoke", nil).want(http.StatusNoContent)
			if said := w.audited(done, "grant_revoked", "Ada"); said["grant"] != "grant-1" {
				t.Errorf("%v", said)
			}
		}
		if found := w.ask(t, "rita", "GET", "/admin/v1/grants?client_id=app", nil).items(); found[0]["state"] != "revoked" {
			t.Errorf("%v", found)
		}
	})
	t.Run("accepts to find and end a consent", func(t *testing.T) {
		found := w.ask(t, "rita", "GET", "/admin/v1/consents?client_id=app", nil).want(http.StatusOK).items()
		if len(found) != 1 || found[0]["id"] != "urn:bank:C1" {
			t.Errorf("%v", found)
		}
		path := "/admin/v1/consents/" + url.PathEscape("urn:bank:C1")
		tag := w.ask(t, "rita", "GET", path, nil).want(http.StatusOK).tag()
		w.ask(t, "ada", "POST", path+"/end", map[string]any{}, "If-Match", `"7"`).problem(http.StatusPreconditionFailed, "changed_meanwhile")
		w.ask(t, "ada", "POST", path+"/end", map[string]any{}).problem(http.StatusPreconditionRequired, "precondition_required")
		ended := w.ask(t, "ada", "POST", path+"/end", map[string]any{"reason": "fraud"}, "If-Match", tag).want(http.StatusOK)
		if ended.body["status"] != "rejected" || ended.body["reason"] != "fraud" || ended.tag() == tag {
			t.Errorf("%s", ended.raw)
		}
		w.audited(ended, "consent_ended", "Ada")
		w.ask(t, "ada", "POST", path+"/end", map[string]any{}, "If-Match", ended.tag()).problem(http.StatusConflict, "conflict")
	})
	t.Run("refuses what there is not, and what cannot be asked", func(t *testing.T) {
		w.ask(t, "ada", "POST", "/admin/v1/grants/none/revoke", nil).problem(http.StatusNotFound, "not_found")
		w.ask(t, "rita", "GET", "/admin/v1/consents/none", nil).problem(http.StatusNotFound, "not_found")
		w.ask(t, "rita", "GET", "/admin/v1/consents", nil).problem(http.StatusBadRequest, "invalid")
		w.ask(t, "rita", "GET", "/admin/v1/grants?since=yesterday", nil).problem(http.StatusBadRequest, "invalid")
		w.ask(t, "ada", "POST", "/admin/v1/consents/x/end", map[string]any{"reason": strings.Repeat("a", 300)}, "If-Match", `"1"`).problem(http.StatusBadRequest, "invalid")
	})
}

// Covers: NM-52, NM-43. Users are created, changed, disabled, signed out and exported; the log names them by the subject alone.
func TestNM52People(t *testing.T) {
	w := newWorld(t)
	made := w.ask(t, "ada", "POST", "/admin/v1/people", map[string]any{
		"username": "zoe", "sub": "sub-zoe", "password": "a long enough password", "claims": map[string]any{"name": "Zoé", "email": "zoe@bank.example"},
	}).want(http.StatusCreated)
	t.Run("accepts the life of a user", func(t *testing.T) {
		if made.header.Get("Location") != "/admin/v1/people/sub-zoe" || strings.Contains(made.raw, "password\":\"") {
			t.Errorf("%v %s", made.header, made.raw)
		}
		if said := w.audited(made, "user_put", "Ada"); said["subject"] != "sub-zoe" || strings.Contains(strings.Join([]string{said["username"], said["name"]}, ""), "zoe") {
			t.Errorf("%v", said)
		}
		found := w.ask(t, "rita", "GET", "/admin/v1/people?username=zoe", nil).want(http.StatusOK).items()
		if len(found) != 1 || found[0]["sub"] != "sub-zoe" || found[0]["state"] != "enabled" {
			t.Errorf("%v", found)
		}
		got := w.ask(t, "rita", "GET", "/admin/v1/people/sub-zoe", nil).want(http.StatusOK)
		changed := w.ask(t, "ada", "PATCH", "/admin/v1/people/sub-zoe", map[string]any{
			"username": "zoe.b", "claims": map[string]any{"email": nil, "given_name": "Zoé"},
		}, "If-Match", got.tag()).want(http.StatusOK)
		if changed.body["username"] != "zoe.b" || strings.Contains(changed.raw, "zoe@bank.example") || !strings.Contains(changed.raw, "given_name") {
			t.Errorf("%s", changed.raw)
		}
		disabled := w.ask(t, "bob", "POST", "/admin/v1/people/sub-zoe/disable", nil, "If-Match", changed.tag()).want(http.StatusOK)
		if disabled.body["state"] != "disabled" {
			t.Errorf("%s", disabled.raw)
		}
		w.audited(disabled, "sessions_ended", "Bob")
		enabled := w.ask(t, "bob", "POST", "/admin/v1/people/sub-zoe/enable", nil, "If-Match", disabled.tag()).want(http.StatusOK)
		if enabled.body["state"] != "enabled" {
			t.Errorf("%s", enabled.raw)
		}
		out := w.ask(t, "ada", "POST", "/admin/v1/people/sub-zoe/sign-out", map[string]any{"grants": true, "devices": true}).want(http.StatusOK)
		if out.raw != `{"grants_revoked":0,"devices_removed":0}`+"\n" {
			t.Errorf("%s", out.raw)
		}
		export := w.ask(t, "ada", "GET", "/admin/v1/people/sub-zoe/export", nil).want(http.StatusOK)
		if !strings.Contains(export.raw, "zoe.b") || strings.Contains(export.raw, "argon2") {
			t.Errorf("%s", export.raw)
		}
		w.audited(export, "person_exported", "Ada")
	})
	tag := w.ask(t, "rita", "GET", "/admin/v1/people/sub-zoe", nil).tag()
	for name, body := range map[string]map[string]any{
		"a short password":      {"username": "yann", "password": "short"},
		"no name":               {"password": "a long enough password"},
		"a name with a space":   {"username": "y a", "password": "a long enough password"},
		"a claim of the server": {"username": "yann", "password": "a long enough password", "claims": map[string]any{"iss": "x"}},
		"claims that are none":  {"username": "yann", "password": "a long enough password", "claims": "x"},
		"a member of another":   {"username": "yann", "password": "a long enough password", "disabled": true},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			w.ask(t, "ada", "POST", "/admin/v1/people", body).problem(http.StatusBadRequest, "invalid")
		})
	}
	t.Run("refuses names and subjects that are taken, and users that there are not", func(t *testing.T) {
		for _, taken := range []map[string]any{{"username": "zoe.b"}, {"username": "other", "sub": "sub-zoe"}} {
			taken["password"] = "a long enough password"
			w.ask(t, "ada", "POST", "/admin/v1/people", taken).problem(http.StatusConflict, "conflict")
		}
		w.ask(t, "ada", "PATCH", "/admin/v1/people/sub-zoe", map[string]any{"username": "alice"}, "If-Match", tag).problem(http.StatusConflict, "conflict")
		for _, ask := range []string{"GET ", "GET /export", "POST /erase"} {
			method, path, _ := strings.Cut(ask, " ")
			w.ask(t, "ada", method, "/admin/v1/people/none"+path, nil).problem(http.StatusNotFound, "not_found")
		}
		w.ask(t, "ada", "POST", "/admin/v1/people/none/sign-out", map[string]any{}).problem(http.StatusNotFound, "not_found")
		w.ask(t, "ada", "PATCH", "/admin/v1/people/none", map[string]any{}, "If-Match", `"1"`).problem(http.StatusNotFound, "not_found")
	})
}

// Covers: NM-53, NM-43. An initial access token is issued to an organisation, shown once, replaced and revoked.
func TestNM53InitialAccessTokens(t *testing.T) {
	w := newWorld(t)
	const path = "/admin/v1/initial-access-tokens/Example%20Bank"
	t.Run("accepts to issue, replace and revoke one", func(t *testing.T) {
		made := w.ask(t, "cleo", "PUT", path, map[string]any{"clients": 2, "lifetime_seconds": 3600}, "If-None-Match", "*").want(http.StatusCreated)
		if len(made.text("token")) < 40 || made.body["clients_left"] != 2.0 {
			t.Errorf("%s", made.raw)
		}
		w.audited(made, "initial_token_put", "Cleo")
		got := w.ask(t, "rita", "GET", path, nil).want(http.StatusOK)
		if got.tag() != made.tag() || strings.Contains(got.raw, made.text("token")) {
			t.Errorf("%s, %s %s", made.tag(), got.tag(), got.raw)
		}
		if _, err := w.store.InitialToken(t.Context(), store.DigestOf(made.text("token"))); err != nil {
			t.Error(err)
		}
		other := w.ask(t, "cleo", "PUT", path, map[string]any{"clients": 1, "lifetime_seconds": 60}, "If-Match", got.tag()).want(http.StatusOK)
		w.ask(t, "cleo", "DELETE", path, nil, "If-Match", got.tag()).problem(http.StatusPreconditionFailed, "changed_meanwhile")
		gone := w.ask(t, "cleo", "DELETE", path, nil, "If-Match", other.tag()).want(http.StatusNoContent)
		w.audited(gone, "initial_token_deleted", "Cleo")
		if left := w.ask(t, "rita", "GET", "/admin/v1/initial-access-tokens", nil).items(); len(left) != 0 {
			t.Errorf("%v", left)
		}
	})
	w.ask(t, "cleo", "PUT", path, map[string]any{"clients": 2, "lifetime_seconds": 3600}, "If-None-Match", "*").want(http.StatusCreated)
	t.Run("refuses what there is, what there is not, and what cannot be", func(t *testing.T) {
		w.ask(t, "cleo", "PUT", path, map[string]any{"clients": 1, "lifetime_seconds": 60}, "If-None-Match", "*").problem(http.StatusPreconditionFailed, "exists")
		w.ask(t, "cleo", "GET", "/admin/v1/initial-access-tokens/none", nil).problem(http.StatusNotFound, "not_found")
		for _, wrong := range []map[string]any{
			{"clients": 0, "lifetime_seconds": 60}, {"clients": 1, "lifetime_seconds": 1}, {"clients": 1, "lifetime_seconds": 1 << 40}, {"clients": 1, "lifetime_seconds": 60, "profile": "x"},
			{"clients": "1"}, {},
		} {
			w.ask(t, "cleo", "PUT", "/admin/v1/initial-access-tokens/new", wrong, "If-None-Match", "*").problem(http.StatusBadRequest, "invalid")
		}
		w.ask(t, "cleo", "PUT", "/admin/v1/initial-access-tokens/directory:x", map[string]any{"clients": 1, "lifetime_seconds": 60}, "If-None-Match", "*").want(http.StatusBadRequest)
	})
}

// Covers: NM-54. The audit log is read part by part, and verified.
func TestNM54Audit(t *testing.T) {
	w := newWorld(t)
	if err := w.store.AppendAudit(t.Context(), []store.AuditLine{{Chain: "node é", Sequence: 1, Text: `{"node":"node é","sequence":1,"previous":"","at":"2026-11-30T12:00:00Z","kind":"event","detail":{"event":"x"}}`}}); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts to read and verify it", func(t *testing.T) {
		nodes := w.ask(t, "rita", "GET", "/admin/v1/audit/nodes", nil).want(http.StatusOK).items()
		if len(nodes) != 1 || nodes[0]["node"] != "node é" || nodes[0]["last_sequence"] != 1.0 {
			t.Errorf("%v", nodes)
		}
		entries := w.ask(t, "rita", "GET", "/admin/v1/audit/entries?node="+url.QueryEscape("node é"), nil).want(http.StatusOK).items()
		if len(entries) != 1 || entries[0]["sequence"] != 1.0 {
			t.Errorf("%v", entries)
		}
		report := w.ask(t, "rita", "POST", "/admin/v1/audit/verify", nil).want(http.StatusOK)
		if report.body["whole"] != true || report.body["entries"] != 1.0 {
			t.Errorf("%s", report.raw)
		}
	})
	t.Run("refuses to call a log whole that was changed", func(t *testing.T) {
		if err := w.store.AppendAudit(t.Context(), []store.AuditLine{{Chain: "node é", Sequence: 2, Text: `{"node":"node é","sequence":2,"previous":"x","at":"2026-11-30T12:00:00Z","kind":"event"}`}}); err != nil {
			t.Fatal(err)
		}
		report := w.ask(t, "rita", "POST", "/admin/v1/audit/verify", nil).want(http.StatusOK)
		if report.body["whole"] != false || len(report.body["faults"].([]any)) == 0 {
			t.Errorf("%s", report.raw)
		}
	})
	t.Run("refuses to read no node", func(t *testing.T) {
		w.ask(t, "rita", "GET", "/admin/v1/audit/entries", nil).problem(http.StatusBadRequest, "invalid")
	})
}
