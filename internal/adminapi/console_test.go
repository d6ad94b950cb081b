package adminapi_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/store"
)

// Covers: NM-69. The console is on the listener of the admin API, behind the same certificates: operators see it, each what their role
// may, and nobody else. What they look at is recorded with the request.
func TestNM69Console(t *testing.T) {
	w := newWorld(t)
	if err := w.store.PutUser(t.Context(), store.User{Subject: "sub-anna", Username: "anna", Claims: []byte(`{"email":"anna@mail.example"}`), CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for operator, name := range map[string]string{"ada": "Ada", "bob": "Bob", "cleo": "Cleo", "rita": "Rita"} {
		t.Run("accepts "+name, func(t *testing.T) {
			page := w.ask(t, operator, http.MethodGet, "/console/", nil).want(http.StatusOK)
			if !strings.Contains(page.raw, "Operator</span> <bdi>"+name) || !strings.HasPrefix(page.header.Get("Content-Type"), "text/html") || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") {
				t.Errorf("%v %s", page.header, page.raw)
			}
			page = w.ask(t, operator, http.MethodGet, "/console/person?name=anna", nil).want(http.StatusOK)
			officer := name == "Ada" || name == "Bob"
			if sees := strings.Contains(page.raw, "anna@mail.example"); sees != officer {
				t.Errorf("sees it: %v", sees)
			}
			looks := w.events(t, "person_viewed")
			last := looks[len(looks)-1]
			if last["by"] != name || last["subject"] != "sub-anna" || last["correlation_id"] != page.header.Get("X-Correlation-Id") || last["shown"] != map[bool]string{true: "whole", false: "masked"}[officer] {
				t.Errorf("recorded %v", last)
			}
		})
	}
	t.Run("refuses a certificate that is no operator's", func(t *testing.T) {
		before := len(w.events(t, "person_viewed"))
		page := w.ask(t, "nobody", http.MethodGet, "/console/person?name=anna", nil).want(http.StatusForbidden)
		if strings.Contains(page.raw, "anna@mail.example") || len(w.events(t, "person_viewed")) != before {
			t.Error(page.raw)
		}
	})
	t.Run("refuses whoever shows none", func(t *testing.T) {
		if got, err := w.send(w.client(), w.base+"/console/", http.MethodGet, nil); err == nil {
			t.Errorf("%d", got.status)
		}
	})
	t.Run("refuses to change anything", func(t *testing.T) {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
			w.ask(t, "ada", method, "/console/person?name=anna", nil).want(http.StatusMethodNotAllowed)
		}
	})
	t.Run("refuses a body", func(t *testing.T) {
		page := w.ask(t, "ada", http.MethodGet, "/console/", "{}").want(http.StatusRequestEntityTooLarge)
		if !strings.Contains(page.raw, "<h1") {
			t.Error(page.raw)
		}
	})
	t.Run("refuses an unknown page, in words", func(t *testing.T) {
		page := w.ask(t, "rita", http.MethodGet, "/console/nothing", nil).want(http.StatusNotFound)
		if !strings.Contains(page.raw, "Nothing has this number") {
			t.Error(page.raw)
		}
	})
}
