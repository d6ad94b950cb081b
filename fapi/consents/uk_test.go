package consents_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/internal/random"
)

// Covers: LC-40, LC-49. UK account access consents, versions 3.1 and 4.0: created, read and deleted by their client, with the standard's
// states and errors; what it deleted is gone, and another client's is not its own.
func TestLC40UnitedKingdom(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := register(t, w, "one", ofUK, "openid accounts")
	other := register(t, w, "two", ofUK, "openid accounts")
	for path, codes := range map[string]map[string]string{
		uk3: {"awaiting": "AwaitingAuthorisation", "not found": "UK.OBIE.Resource.NotFound", "missing": "UK.OBIE.Field.Missing", "format": "UK.OBIE.Resource.InvalidFormat", "invalid": "UK.OBIE.Field.Invalid", "header": "UK.OBIE.Header.Invalid"},
		uk4: {"awaiting": "AWAU", "not found": "U011", "missing": "U004", "format": "U010", "invalid": "U002", "header": "U006"},
	} {
		t.Run("accepts a consent at "+path, func(t *testing.T) {
			id := random.UUID()
			r := a.call("POST", path, ukBody, func(h http.Header) { h.Set("x-fapi-interaction-id", id) })
			named, _ := member(r.Body, "Data.ConsentId").(string)
			if r.Status != 201 || r.Header.Get("x-fapi-interaction-id") != id || !strings.HasPrefix(named, "aac-") || member(r.Body, "Data.Status") != codes["awaiting"] ||
				member(r.Body, "Data.ExpirationDateTime") != "2099-05-02T00:00:00+00:00" || r.Header.Get("Content-Type") != "application/json; charset=utf-8" {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			self, _ := member(r.Body, "Links.Self").(string)
			if self != w.MTLSIssuer+below(path, named) {
				t.Errorf("at %s", self)
			}
			read := a.call("GET", below(path, named), "", nil)
			if read.Status != 200 || member(read.Body, "Data.ConsentId") != named || member(read.Body, "Risk") == nil {
				t.Errorf("%d %s", read.Status, read.Raw)
			}
			other.want(other.call("GET", below(path, named), "", nil), 403, "")
			other.want(other.call("DELETE", below(path, named), "", nil), 403, "")
			if gone := a.call("DELETE", below(path, named), "", nil); gone.Status != 204 || gone.Raw != "" {
				t.Errorf("%d %s", gone.Status, gone.Raw)
			}
			a.want(a.call("GET", below(path, named), "", nil), 400, codes["not found"])
			a.want(a.call("DELETE", below(path, named), "", nil), 400, codes["not found"])
		})
		t.Run("accepts that one whose time is over is deleted, at "+path, func(t *testing.T) {
			old := a.created(path, ukBody, nil)
			w.Clock.Advance(25 * time.Hour)
			a.token, other.token = a.newToken(), other.newToken()
			if r := a.call("DELETE", below(path, old), "", nil); r.Status != 204 {
				t.Errorf("%d %s", r.Status, r.Raw)
			}
		})
		for name, one := range map[string]struct {
			method, path, body string
			change             func(http.Header)
			status             int
			code               string
		}{
			"one that there is not":                 {"GET", below(path, "aac-1"), "", nil, 400, codes["not found"]},
			"a name that is too long":               {"GET", below(path, strings.Repeat("a", 300)), "", nil, 400, codes["not found"]},
			"no Risk":                               {"POST", path, `{"Data":{"Permissions":["ReadAccountsBasic"]}}`, nil, 400, codes["missing"]},
			"half a body":                           {"POST", path, `{"Data":`, nil, 400, codes["format"]},
			"a body that is too large":              {"POST", path, `{"Data":"` + strings.Repeat("x", 70000) + `"}`, nil, 400, codes["format"]},
			"permissions that do not go together":   {"POST", path, strings.Replace(ukBody, "ReadAccountsBasic", "ReadBalances", 1), nil, 400, codes["invalid"]},
			"an id of the interaction that is none": {"POST", path, ukBody, func(h http.Header) { h.Set("x-fapi-interaction-id", "7") }, 400, codes["header"]},
			"a form":                                {"POST", path, "a=b", func(h http.Header) { h.Set("Content-Type", "application/x-www-form-urlencoded") }, 415, ""},
			"another character set":                 {"POST", path, ukBody, func(h http.Header) { h.Set("Content-Type", "application/json; charset=latin1") }, 415, ""},
			"a client that wants XML":               {"GET", below(path, "aac-1"), "", func(h http.Header) { h.Set("Accept", "application/xml") }, 406, ""},
			"no token":                              {"POST", path, ukBody, func(h http.Header) { h.Del("Authorization") }, 401, ""},
			"a token that is none":                  {"POST", path, ukBody, func(h http.Header) { h.Set("Authorization", "Bearer x") }, 401, ""},
		} {
			t.Run("refuses "+name+" at "+path, func(t *testing.T) {
				a.want(a.call(one.method, one.path, one.body, one.change), one.status, one.code)
			})
		}
	}
	t.Run("accepts an idempotency key, and ignores it", func(t *testing.T) {
		if first, second := a.created(uk4, ukBody, keyed("k")), a.created(uk4, ukBody, keyed("k")); first == second {
			t.Error("one consent")
		}
	})
	t.Run("accepts a call without x-fapi-interaction-id, and answers with one", func(t *testing.T) {
		r := a.call("POST", uk4, ukBody, func(h http.Header) { h.Del("x-fapi-interaction-id") })
		if r.Status != 201 || len(r.Header.Get("x-fapi-interaction-id")) != 36 {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
	t.Run("refuses a method that there is not", func(t *testing.T) {
		if r := a.call("PUT", below(uk4, "aac-1"), ukBody, nil); r.Status != 405 || !strings.Contains(r.Header.Get("Allow"), "DELETE") {
			t.Errorf("%d %v", r.Status, r.Header)
		}
	})
}
