package consents_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/random"
	"countersign/store"
)

// Covers: LC-54. Whatever a client sends, the answer is none that blames the server.
func TestLC54Robust(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	apps := map[string]*app{
		uk4: register(t, w, "uk", ofUK, "openid accounts"), brazil: register(t, w, "brazil", ofBrazil, "openid consents payments"),
		insurers: register(t, w, "insurers", ofInsurance, "openid consents"), ksa: register(t, w, "ksa", ofKSA, "openid accounts"),
	}
	apps[payments] = apps[brazil]
	good := map[string]string{uk4: ukBody, brazil: brazilBody, insurers: insuranceBody, ksa: ksaBody, payments: payBody}
	odd := []string{
		"", "{}", "[]", "null", "0", `"x"`, "{", `{"Data":null,"Risk":null,"data":null,"message":null}`, `{"Data":[],"Risk":[],"data":[]}`,
		`{"Data":{"Permissions":null},"data":{"permissions":null}}`, `{"Data":{"Permissions":{}},"Risk":{},"data":{"permissions":{}}}`, "\xff\xfe", "{\"a\":\"\\ud800\"}",
		`{"Data":{"Permissions":["` + strings.Repeat("x", 5000) + `"]},"Risk":{}}`, strings.Repeat("[", 5000), `{"data":{"expirationDateTime":"0000-00-00T00:00:00Z"}}`,
		`{"` + strings.Repeat("y", 5000) + `":1}`, `{"Data":1e999999}`, "a.b.c", "..", "eyJhbGciOiJQUzI1NiJ9..", "\x00",
	}
	for path, a := range apps {
		t.Run("accepts whatever is sent to "+path, func(t *testing.T) {
			bodies := append([]string{good[path]}, odd...)
			for i := range len(good[path]) / 7 { // cut off, and with a byte that is another
				bodies = append(bodies, good[path][:i*7], good[path][:i*7]+"\x01"+good[path][min(i*7+1, len(good[path])):])
			}
			if path == ksa || path == payments {
				for _, body := range odd {
					bodies = append(bodies, a.Sign(a.Key, "JWT", fapitest.Claims{"iss": a.ID, "aud": w.Issuer, "data": body, "message": body, "iat": w.Clock.Now().Unix(), "exp": 1e300, "nbf": 0}))
				}
			}
			for _, body := range bodies {
				for _, target := range []string{path, below(path, "urn:bank:1"), path + "/%00", path + "/a%2Fb", path + "/" + strings.Repeat("z", 3000)} {
					for _, method := range []string{"GET", "POST", "DELETE", "PATCH"} {
						if target != path && (body != "" && method != "PATCH") || target == path && method != "POST" {
							continue
						}
						r := a.call(method, target, body, func(h http.Header) {
							h.Set("x-idempotency-key", random.UUID())
							if path != ksa && path != payments {
								h.Set("Content-Type", "application/json")
							} else {
								h.Set("Content-Type", "application/jwt")
							}
						})
						if r.Status >= 500 || r.Status < 200 {
							t.Errorf("%s %s with %.80q: %d %s", method, target, body, r.Status, r.Raw)
						}
					}
				}
			}
			for _, header := range []string{"Accept", "Content-Type", "x-idempotency-key", "x-fapi-interaction-id", "Authorization", "x-fapi-auth-date"} {
				for _, value := range []string{"", "\u00ff", ";", "*/*;q=x", "a/b;c", strings.Repeat("h", 3000), "application/json;;", "*/*;q=0"} {
					if r := a.call("POST", path, good[path], func(h http.Header) { h.Set(header, value) }); r.Status >= 500 {
						t.Errorf("%s: %.40q: %d %s", header, value, r.Status, r.Raw)
					}
				}
			}
		})
	}
}

// What no user can be shown is refused when it is lodged, by an error to the client that lodges it.
func TestNotShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *fapitest.Config) { c.Consents.Types = fapitest.DetailTypes() }) // none of which is the kind of this API
	a := register(t, w, "uk", ofUK, "openid accounts")
	a.want(a.call("POST", uk4, ukBody, nil), http.StatusBadRequest, "U002")
	all, err := w.Store.ListLodgedConsents(t.Context(), store.ConsentFilter{ClientID: a.ID}, store.Page{Limit: 1})
	if err != nil || len(all) != 0 {
		t.Errorf("stored %v, %v", all, err)
	}
}
