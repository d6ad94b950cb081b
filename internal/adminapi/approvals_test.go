package adminapi_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/adminapi"
	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/store"
)

const header = adminapi.ApprovalHeader

// person adds a user, and returns the subject.
func (w *world) person(t *testing.T, name string) string {
	t.Helper()
	return w.ask(t, "ada", "POST", "/admin/v1/people", map[string]any{"username": name, "password": "a long enough password"}).want(http.StatusCreated).text("sub")
}

// asked asks for the erasure of a user, and returns the approval.
func (w *world) asked(t *testing.T, subject string) answer {
	t.Helper()
	return w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil).want(http.StatusAccepted)
}

// Covers: NM-48, NM-43. What needs four eyes is done once, by who asked, after another security officer approved just that, while it is still so.
func TestNM48FourEyes(t *testing.T) {
	w := newWorld(t)
	const approvals = "/admin/v1/approvals/"
	t.Run("accepts an erasure that another officer approved, once", func(t *testing.T) {
		subject := w.person(t, "alice-2")
		asked := w.asked(t, subject)
		id := asked.text("id")
		if asked.header.Get("Location") != approvals+id || asked.body["state"] != "open" || asked.body["requested_by"] != "Ada" || asked.tag() != `"open"` ||
			!strings.Contains(asked.raw, "would revoke all grants of "+subject) {
			t.Errorf("%v %s", asked.header, asked.raw)
		}
		w.audited(asked, "approval_opened", "Ada")
		if again := w.asked(t, subject); again.text("id") != id {
			t.Errorf("asked twice: %s", again.raw)
		}
		shown := w.ask(t, "rita", "GET", approvals+id, nil).want(http.StatusOK)
		given := w.ask(t, "bob", "POST", approvals+id+"/approve", nil, "If-Match", shown.tag()).want(http.StatusOK)
		w.audited(given, "approval_given", "Bob")
		done := w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil, header, id).want(http.StatusOK)
		if !strings.Contains(done.raw, "erased "+subject) {
			t.Errorf("%s", done.raw)
		}
		w.audited(done, "approval_consumed", "Ada")
		if said := w.audited(done, "person_erased", "Ada"); said["subject"] != subject {
			t.Errorf("%v", said)
		}
		user, err := w.store.User(t.Context(), subject)
		if err != nil || user.ErasedAt.IsZero() || user.Username != "" && user.Username == "alice-2" {
			t.Errorf("%+v %v", user, err)
		}
		w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil, header, id).problem(http.StatusConflict, "conflict")
		if shown := w.ask(t, "rita", "GET", approvals+id, nil); shown.body["state"] != "consumed" || shown.body["carried_out_by"] != "Ada" || shown.body["decided_by"] != "Bob" {
			t.Errorf("%s", shown.raw)
		}
	})
	t.Run("refuses who asked to approve, by another name with the same certificate too", func(t *testing.T) {
		subject := w.person(t, "bella")
		id := w.asked(t, subject).text("id")
		w.ask(t, "ada", "POST", approvals+id+"/approve", nil, "If-Match", `"open"`).problem(http.StatusForbidden, "own_request")
		w.config.Admin.Operators[0].Name = "Ada again"
		other := w.node()
		got, err := w.send(w.client(w.shown["ada"]), other+approvals+id+"/approve", "POST", nil, "If-Match", `"open"`)
		w.config.Admin.Operators[0].Name = "Ada"
		if err != nil {
			t.Fatal(err)
		}
		got.T = t
		got.problem(http.StatusForbidden, "own_request")
		w.ask(t, "cleo", "POST", approvals+id+"/approve", nil, "If-Match", `"open"`).problem(http.StatusForbidden, "role_missing")
		w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil, header, id).problem(http.StatusForbidden, "approval_pending")
		w.ask(t, "bob", "POST", approvals+id+"/approve", nil).problem(http.StatusPreconditionRequired, "precondition_required")
		w.ask(t, "bob", "POST", approvals+id+"/approve", nil, "If-Match", `"approved"`).problem(http.StatusPreconditionFailed, "changed_meanwhile")
		back := w.ask(t, "ada", "POST", approvals+id+"/refuse", nil, "If-Match", `"open"`).want(http.StatusOK) // it may be taken back
		w.audited(back, "approval_refused", "Ada")
		w.ask(t, "bob", "POST", approvals+id+"/approve", nil, "If-Match", `"open"`).problem(http.StatusPreconditionFailed, "changed_meanwhile")
		w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil, header, id).problem(http.StatusForbidden, "approval_consumed")
	})
	t.Run("refuses an approval for anything else, and one that there is not", func(t *testing.T) {
		one, two := w.person(t, "clara"), w.person(t, "dora")
		id := w.asked(t, one).text("id")
		w.ask(t, "bob", "POST", approvals+id+"/approve", nil, "If-Match", `"open"`).want(http.StatusOK)
		w.ask(t, "ada", "POST", "/admin/v1/people/"+two+"/erase", nil, header, id).problem(http.StatusForbidden, "approval_of_other")
		w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", map[string]any{"alg": "PS256"}, header, id).problem(http.StatusForbidden, "approval_of_other")
		w.ask(t, "ada", "POST", "/admin/v1/people/"+two+"/erase", nil, header, "none").problem(http.StatusForbidden, "approval_unknown")
		w.ask(t, "ada", "GET", approvals+"none", nil).problem(http.StatusNotFound, "not_found")
		w.ask(t, "bob", "POST", approvals+"none/approve", nil, "If-Match", `"open"`).problem(http.StatusNotFound, "not_found")
		if user, err := w.store.User(t.Context(), two); err != nil || !user.ErasedAt.IsZero() {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("refuses when something changed between", func(t *testing.T) {
		subject := w.person(t, "eva")
		id := w.asked(t, subject).text("id")
		w.ask(t, "bob", "POST", approvals+id+"/approve", nil, "If-Match", `"open"`).want(http.StatusOK)
		tag := w.ask(t, "ada", "GET", "/admin/v1/people/"+subject, nil).tag()
		w.ask(t, "ada", "PATCH", "/admin/v1/people/"+subject, map[string]any{"username": "evelyn"}, "If-Match", tag).want(http.StatusOK)
		w.ask(t, "ada", "POST", "/admin/v1/people/"+subject+"/erase", nil, header, id).problem(http.StatusConflict, "approval_of_other_state")
		if user, err := w.store.User(t.Context(), subject); err != nil || !user.ErasedAt.IsZero() {
			t.Errorf("%+v %v", user, err)
		}
	})
	t.Run("refuses what is too late", func(t *testing.T) {
		subject, other := w.person(t, "fay"), w.person(t, "gwen")
		open, given := w.asked(t, subject).text("id"), w.asked(t, other).text("id")
		w.ask(t, "bob", "POST", approvals+given+"/approve", nil, "If-Match", `"open"`).want(http.StatusOK)
		passed(t, w, open, given)
		w.ask(t, "bob", "POST", approvals+open+"/approve", nil, "If-Match", `"open"`).problem(http.StatusConflict, "approval_expired")
		w.ask(t, "ada", "POST", "/admin/v1/people/"+other+"/erase", nil, header, given).problem(http.StatusForbidden, "approval_expired")
		for _, id := range []string{open, given} {
			if shown := w.ask(t, "rita", "GET", approvals+id, nil); shown.body["state"] != "expired" {
				t.Errorf("%s", shown.raw)
			}
		}
	})
}

// passed lets the time of approvals pass.
func passed(t *testing.T, w *world, ids ...string) {
	t.Helper()
	for _, id := range ids {
		approval, err := w.store.Approval(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if wait := approval.ExpiresAt.Sub(w.now()); wait > 0 {
			for name := range w.shown { // certificates are valid for an hour
				if name != "bob" {
					w.shown[name] = w.authority.Issue(t, name, w.now().Add(wait))
				}
			}
			w.shown["bob"] = w.authority.Issue(t, "bob", w.now().Add(wait))
			w.file("bob.crt", "CERTIFICATE", w.shown["bob"].Certificate[0])
			w.advance(wait)
		}
	}
}

// Covers: NM-49. On two nodes with one database an approval is given once and carried out once.
func TestNM49TwoNodes(t *testing.T) {
	w := newWorld(t, func(c *config.Config) { onPostgres(t, c) })
	other := w.node()
	subject := w.person(t, "alice-2")
	id := w.asked(t, subject).text("id")
	send := func(name, method, path string, headers ...string) func(int) int {
		nodes := [2]string{w.base, other}
		return func(i int) int {
			got, err := w.send(w.client(w.shown[name]), nodes[i%2]+path, method, nil, headers...)
			if err != nil {
				t.Error(err)
			}
			return got.status
		}
	}
	t.Run("accepts one decision", func(t *testing.T) {
		oneWins(t, send("bob", "POST", "/admin/v1/approvals/"+id+"/approve", "If-Match", `"open"`), http.StatusOK, http.StatusPreconditionFailed)
		if found := w.events(t, "approval_given"); len(found) != 1 {
			t.Errorf("%v", found)
		}
	})
	t.Run("refuses every execution but one", func(t *testing.T) {
		results := make(chan int, 6)
		carryOut := send("ada", "POST", "/admin/v1/people/"+subject+"/erase", header, id)
		for i := range 6 {
			go func() { results <- carryOut(i) }()
		}
		won := 0
		for range 6 {
			switch status := <-results; status {
			case http.StatusOK:
				won++
			case http.StatusForbidden, http.StatusConflict: // it was used, or the user is erased already
			default:
				t.Errorf("status %d", status)
			}
		}
		if found := w.events(t, "person_erased"); won != 1 || len(found) != 1 || len(w.events(t, "approval_consumed")) != 1 {
			t.Errorf("%d won, %v", won, found)
		}
	})
}

// onPostgres has an installation keep its state in PostgreSQL.
func onPostgres(t *testing.T, c *config.Config) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "url")
	if err := os.WriteFile(file, []byte(cluster.Database(t)), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Store.Driver, c.Store.File, c.Store.URL = "postgres", "", config.Secret(file)
	d, err := database.New(c, time.Now, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Covers: NM-50. Signing keys are listed with their ages, and rotated and retired by four eyes; what is approved is what a dry run said.
func TestNM50Keys(t *testing.T) {
	w := newWorld(t)
	keys := w.ask(t, "rita", "GET", "/admin/v1/keys", nil).want(http.StatusOK).items()
	active := map[string]string{}
	for _, key := range keys {
		if _, ok := key["age_seconds"].(float64); !ok || key["state"] != "active" {
			t.Errorf("%v", key)
		}
		active[key["alg"].(string)] = key["kid"].(string)
	}
	approved := func(t *testing.T, path string, body any) (answer, string) {
		t.Helper()
		asked := w.ask(t, "ada", "POST", path, body).want(http.StatusAccepted)
		w.ask(t, "bob", "POST", "/admin/v1/approvals/"+asked.text("id")+"/approve", nil, "If-Match", `"open"`).want(http.StatusOK)
		return asked, asked.text("id")
	}
	t.Run("accepts to see one with its public half", func(t *testing.T) {
		got := w.ask(t, "rita", "GET", "/admin/v1/keys/"+active["PS256"], nil).want(http.StatusOK)
		if got.body["public"].(map[string]any)["kty"] != "RSA" {
			t.Errorf("%s", got.raw)
		}
	})
	t.Run("accepts a rotation at once", func(t *testing.T) {
		body := map[string]any{"alg": "ES256", "now": true}
		asked, id := approved(t, "/admin/v1/keys/rotate", body)
		if !strings.Contains(asked.raw, "sign with it at once, and retire "+active["ES256"]) {
			t.Errorf("%s", asked.raw)
		}
		w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", map[string]any{"alg": "ES256"}, header, id).problem(http.StatusConflict, "approval_of_other_state")
		done := w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", body, header, id).want(http.StatusOK)
		if !strings.Contains(done.raw, "is active") || !strings.Contains(done.raw, active["ES256"]+" is retiring") {
			t.Errorf("%s", done.raw)
		}
		w.audited(done, "key_moved", "Ada")
		w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", body, header, id).problem(http.StatusForbidden, "approval_consumed")
	})
	t.Run("refuses a rotation when another rotated between", func(t *testing.T) {
		_, id := approved(t, "/admin/v1/keys/rotate", map[string]any{"alg": "PS256"})
		if err := w.store.AddKey(t.Context(), store.Key{
			ID: strings.Repeat("k", 43), Algorithm: "PS256", State: "published", Uses: usesOf(keys, "PS256"), CreatedAt: w.now(), URIs: []string{"pkcs11:object=x"}, Public: []byte(`{}`),
		}); err != nil {
			t.Fatal(err)
		}
		w.advance(10 * time.Minute)
		w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", map[string]any{"alg": "PS256"}, header, id).problem(http.StatusConflict, "approval_of_other_state")
	})
	t.Run("refuses to retire the last, what there is not, and algorithms that there are not", func(t *testing.T) {
		w.ask(t, "ada", "POST", "/admin/v1/keys/"+active["PS256"]+"/retire", map[string]any{}).problem(http.StatusConflict, "conflict")
		w.ask(t, "ada", "POST", "/admin/v1/keys/none/retire", map[string]any{}).problem(http.StatusNotFound, "not_found")
		w.ask(t, "ada", "POST", "/admin/v1/keys/rotate", map[string]any{"alg": "none"}).problem(http.StatusConflict, "conflict")
	})
}

func usesOf(keys []map[string]any, alg string) (uses []string) {
	for _, key := range keys {
		if key["alg"] == alg {
			for _, use := range key["uses"].([]any) {
				uses = append(uses, use.(string))
			}
		}
	}
	return uses
}
