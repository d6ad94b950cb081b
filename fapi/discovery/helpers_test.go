package discovery_test

import (
	"countersign/fapi/fapitest"
	"encoding/json"
	"net/http"
	"testing"
)

// fetched gives a public document.
func fetched(t *testing.T, w *fapitest.World, address string) fapitest.Reply {
	t.Helper()
	response, raw := w.Request(t, http.MethodGet, address, nil, "")
	r := fapitest.Reply{Status: response.StatusCode, Header: response.Header, Raw: raw}
	if err := json.Unmarshal([]byte(raw), &r.Body); err != nil {
		t.Fatalf("%s answered %d %s: %v", address, r.Status, raw, err)
	}
	return r
}

// probedWorld is a running server, and the user who sits before every browser.
type probedWorld struct {
	*fapitest.World
	person *fapitest.User
}
