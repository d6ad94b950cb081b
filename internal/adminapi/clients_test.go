package adminapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/store"
)

// Covers: NM-43, NM-47. Clients are created, changed, disabled, enabled, given keys and removed; each change is recorded with who made it.
func TestNM47Clients(t *testing.T) {
	w := newWorld(t)
	t.Run("accepts the life of a client", func(t *testing.T) {
		made := w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", body("App"), "If-None-Match", "*").want(http.StatusCreated)
		if made.header.Get("Location") != "/admin/v1/clients/app" || made.tag() != `"1"` || made.body["profile"] != "fapi2-security" {
			t.Errorf("%v %s", made.header, made.raw)
		}
		if said := w.audited(made, "client_put", "Cleo"); said["version"] != "1" {
			t.Errorf("%v", said)
		}
		got := w.ask(t, "rita", "GET", "/admin/v1/clients/app", nil).want(http.StatusOK)
		if got.tag() != `"1"` || !strings.Contains(got.raw, `"client_name":"App"`) || got.body["keys"].(map[string]any)["usable"] != 1.0 {
			t.Errorf("%s", got.raw)
		}
		dry := w.ask(t, "cleo", "PUT", "/admin/v1/clients/app?dry_run=true", body("Other"), "If-Match", `"1"`).want(http.StatusOK)
		if !strings.Contains(dry.raw, `+ client_name: \"Other\"`) {
			t.Errorf("%s", dry.raw)
		}
		same := w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", body("App"), "If-Match", `"1"`).want(http.StatusOK)
		if same.tag() != `"1"` {
			t.Errorf("what changes nothing made version %s", same.tag())
		}
		changed := w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", body("Other"), "If-Match", `"1"`).want(http.StatusOK)
		disabled := w.ask(t, "ada", "POST", "/admin/v1/clients/app/disable", nil, "If-Match", changed.tag()).want(http.StatusOK)
		w.audited(disabled, "client_put", "Ada")
		if disabled.body["disabled"] != true {
			t.Errorf("%s", disabled.raw)
		}
		again := w.ask(t, "ada", "POST", "/admin/v1/clients/app/disable", nil, "If-Match", disabled.tag()).want(http.StatusOK)
		if again.tag() != disabled.tag() {
			t.Errorf("disabled twice: %s, %s", disabled.tag(), again.tag())
		}
		enabled := w.ask(t, "cleo", "POST", "/admin/v1/clients/app/enable", nil, "If-Match", again.tag()).want(http.StatusOK)
		other := `{"keys":[{"kty":"EC","crv":"P-256","kid":"2","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}]}`
		keys := w.ask(t, "cleo", "POST", "/admin/v1/clients/app/keys", map[string]any{"jwks": json.RawMessage(other), "add": true}, "If-Match", enabled.tag()).want(http.StatusOK)
		if keys.body["keys"].(map[string]any)["usable"] != 2.0 {
			t.Errorf("%s", keys.raw)
		}
		has := w.ask(t, "rita", "GET", "/admin/v1/clients/app/holdings", nil).want(http.StatusOK)
		if has.raw != `{"grants":0,"consents":0,"more":false}`+"\n" {
			t.Errorf("%s", has.raw)
		}
		gone := w.ask(t, "cleo", "DELETE", "/admin/v1/clients/app", nil, "If-Match", keys.tag()).want(http.StatusNoContent)
		w.audited(gone, "client_deleted", "Cleo")
		w.ask(t, "cleo", "GET", "/admin/v1/clients/app", nil).problem(http.StatusNotFound, "not_found")
	})
	tag := w.added(t, "app")
	for name, test := range map[string]struct {
		path    string
		body    any
		code    string
		status  int
		contain string
	}{
		"metadata with several problems": {"/app", map[string]any{"metadata": json.RawMessage(`{"redirectUris":["x"],"token_endpoint_auth_method":"none"}`)}, "invalid", 400, "errors"},
		"a scope that there is not":      {"/app", map[string]any{"metadata": json.RawMessage(strings.Replace(metadata, `"openid"`, `"everything"`, 1))}, "invalid", 400, "everything"},
		"a profile that there is not":    {"/app", map[string]any{"profile": "lax", "metadata": json.RawMessage(metadata)}, "invalid", 400, "lax"},
		"no metadata":                    {"/app", map[string]any{}, "invalid", 400, "metadata"},
		"another client_id in it":        {"/app", map[string]any{"metadata": json.RawMessage(strings.Replace(metadata, "{", `{"client_id":"x",`, 1))}, "invalid", 400, "client_id"},
		"a client that there is not":     {"/none", body("App"), "not_found", 404, "none"},
		"an unknown parameter":           {"/app?force=true", body("App"), "invalid", 400, "force"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			got := w.ask(t, "cleo", "PUT", "/admin/v1/clients"+test.path, test.body, "If-Match", tag)
			got.problem(test.status, test.code)
			if !strings.Contains(got.raw, test.contain) {
				t.Errorf("%s", got.raw)
			}
		})
	}
	t.Run("refuses to create what there is, and names that none can have", func(t *testing.T) {
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", body("App"), "If-None-Match", "*").problem(http.StatusPreconditionFailed, "exists")
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/a%20b", body("App"), "If-None-Match", "*").problem(http.StatusBadRequest, "invalid")
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/other?dry_run=true", body("App"), "If-None-Match", "*").problem(http.StatusBadRequest, "invalid")
		if err := w.store.PutUser(t.Context(), store.User{Subject: "person", Username: "person", CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/person", body("App"), "If-None-Match", "*").problem(http.StatusConflict, "conflict")
	})
	t.Run("refuses to record what was not changed", func(t *testing.T) {
		before := len(w.events(t, "client_put"))
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/app", body("New"), "If-Match", `"7"`).problem(http.StatusPreconditionFailed, "changed_meanwhile")
		if after := len(w.events(t, "client_put")); after != before {
			t.Errorf("%d records, %d before", after, before)
		}
	})
}

// Covers: NM-44. A change names the version that it is of: without it 428, with another one 412, and of those that come at once one wins.
func TestNM44Versions(t *testing.T) {
	w := newWorld(t)
	tag := w.added(t, "app")
	changes := map[string]string{
		"PUT /clients/app": "cleo", "DELETE /clients/app": "cleo", "POST /clients/app/disable": "ada", "POST /clients/app/enable": "cleo", "POST /clients/app/keys": "cleo",
	}
	user := w.ask(t, "ada", "POST", "/admin/v1/people", map[string]any{"username": "alice-2", "password": "a long enough password"}).want(http.StatusCreated)
	person := "/people/" + user.text("sub")
	w.ask(t, "cleo", "PUT", "/admin/v1/initial-access-tokens/Bank", map[string]any{"clients": 1, "lifetime_seconds": 600}, "If-None-Match", "*").want(http.StatusCreated)
	changes["PATCH "+person], changes["POST "+person+"/disable"], changes["POST "+person+"/enable"] = "ada", "ada", "ada"
	changes["PUT /initial-access-tokens/Bank"], changes["DELETE /initial-access-tokens/Bank"] = "cleo", "cleo"
	for change, name := range changes {
		method, path, _ := strings.Cut(change, " ")
		send := any(nil)
		switch {
		case method == "PUT" && strings.HasPrefix(path, "/clients"):
			send = body("New")
		case method == "PUT":
			send = map[string]any{"clients": 2, "lifetime_seconds": 600}
		case method == "PATCH":
			send = map[string]any{"claims": map[string]any{"name": "A"}}
		case strings.HasSuffix(path, "/keys"):
			send = map[string]any{"jwks": map[string]any{"keys": []any{}}}
		}
		t.Run("refuses "+change+" without a version, and of another", func(t *testing.T) {
			w.ask(t, name, method, "/admin/v1"+path, send).problem(http.StatusPreconditionRequired, "precondition_required")
			for _, wrong := range []string{`"2"`, `"0"`, `"01"`, `W/"1"`, `1`, `*`, `"1", "2"`, `""`, `"x"`} {
				w.ask(t, name, method, "/admin/v1"+path, send, "If-Match", wrong).problem(http.StatusPreconditionFailed, "changed_meanwhile")
			}
		})
	}
	t.Run("refuses both conditions at once", func(t *testing.T) {
		w.ask(t, "cleo", "PUT", "/admin/v1/clients/new", body("New"), "If-None-Match", "*", "If-Match", `"1"`).problem(http.StatusBadRequest, "invalid")
	})
	t.Run("accepts one of those that change the same version", func(t *testing.T) {
		oneWins(t, func(i int) int {
			got, err := w.send(w.client(w.shown["cleo"]), w.base+"/admin/v1/clients/app", "PUT", body(fmt.Sprint("App ", i)), "If-Match", tag)
			if err != nil {
				t.Error(err)
			}
			return got.status
		}, http.StatusOK, http.StatusPreconditionFailed)
	})
	t.Run("accepts one of those that change the same user", func(t *testing.T) {
		oneWins(t, func(i int) int {
			got, err := w.send(w.client(w.shown["ada"]), w.base+"/admin/v1"+person, "PATCH", map[string]any{"username": fmt.Sprint("racer-", i)}, "If-Match", user.tag())
			if err != nil {
				t.Error(err)
			}
			return got.status
		}, http.StatusOK, http.StatusPreconditionFailed)
	})
}

// oneWins lets several send at once, and demands that one gets a status and the others another.
func oneWins(t *testing.T, send func(int) int, win, lose int) {
	t.Helper()
	const racers = 6
	results := make(chan int, racers)
	start := make(chan struct{})
	for i := range racers {
		go func() {
			<-start
			results <- send(i)
		}()
	}
	close(start)
	counts := map[int]int{}
	for range racers {
		counts[<-results]++
	}
	if counts[win] != 1 || counts[lose] != racers-1 {
		t.Errorf("statuses %v, want one %d and the rest %d", counts, win, lose)
	}
}

// Covers: NM-45. Lists come in parts of a bounded size, in an order that stays, each record once.
func TestNM45Pages(t *testing.T) {
	w := newWorld(t)
	for i := range 7 {
		w.added(t, fmt.Sprintf("app-%d", i))
	}
	now := time.Now().UTC().Truncate(time.Second)
	for i := range 7 {
		if err := w.store.IssueToken(t.Context(), store.Grant{
			ID: fmt.Sprintf("grant-%d", i), ClientID: "app-1", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		}, store.AccessToken{ID: store.DigestOf(fmt.Sprint(i)), GrantID: fmt.Sprintf("grant-%d", i), ExpiresAt: now.Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
	}
	for _, list := range []struct{ path, key string }{{"/clients", "client_id"}, {"/grants?client_id=app-1", "id"}} {
		t.Run("accepts to go through "+list.path, func(t *testing.T) {
			query := "?"
			if strings.Contains(list.path, "?") {
				query = "&"
			}
			whole := w.ask(t, "rita", "GET", "/admin/v1"+list.path+query+"limit=200", nil).want(http.StatusOK)
			if whole.body["next_cursor"] != nil {
				t.Error("the whole list goes on")
			}
			var found []string
			for cursor := ""; ; {
				part := w.ask(t, "rita", "GET", "/admin/v1"+list.path+query+"limit=3&cursor="+url.QueryEscape(cursor), nil).want(http.StatusOK)
				if len(part.items()) > 3 {
					t.Fatalf("%s", part.raw)
				}
				for _, item := range part.items() {
					found = append(found, item[list.key].(string))
				}
				next, more := part.body["next_cursor"].(string)
				if !more {
					break
				}
				cursor = next
			}
			var want []string
			for _, item := range whole.items() {
				want = append(want, item[list.key].(string))
			}
			if len(want) < 7 || strings.Join(found, " ") != strings.Join(want, " ") {
				t.Errorf("found %v, want %v", found, want)
			}
		})
	}
	for _, wrong := range []string{"limit=0", "limit=201", "limit=x", "limit=", "limit=1&limit=1", "cursor=x", "cursor=e30", "cursor=" + strings.Repeat("a", 3000), "offset=1", "limit=%zz"} {
		t.Run("refuses "+wrong[:min(len(wrong), 20)], func(t *testing.T) {
			w.ask(t, "rita", "GET", "/admin/v1/clients?"+wrong, nil).problem(http.StatusBadRequest, "invalid")
		})
	}
}
