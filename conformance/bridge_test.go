package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// TestBridgeWaits: the bridge comes again when the server asks it to, and tells when that does not help.
func TestBridgeWaits(t *testing.T) {
	for name, test := range map[string]struct {
		busy int32 // refusals before the first decision is taken
		want int
	}{
		"at once": {0, http.StatusNoContent}, "after a wait": {1, http.StatusNoContent}, "another refusal": {-1, http.StatusBadGateway},
	} {
		t.Run(name, func(t *testing.T) {
			var decided atomic.Int32
			var server *httptest.Server
			server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasPrefix(r.URL.Path, "/device/api/requests/"):
					fmt.Fprintf(w, `{"state":"pending","approve":%q,"deny":%q}`, server.URL+"/approve", server.URL+"/deny")
				case test.busy < 0:
					w.WriteHeader(http.StatusForbidden)
				case decided.Add(1) <= test.busy:
					w.Header().Set("Retry-After", "1")
					w.WriteHeader(http.StatusTooManyRequests)
				case r.URL.Path == "/approve" && r.Header.Get("DPoP") != "":
					w.WriteHeader(http.StatusNoContent)
				default:
					w.WriteHeader(http.StatusBadRequest)
				}
			}))
			defer server.Close()
			b, err := newBridge(at(server.URL), server.Client(), t.Logf)
			if err != nil {
				t.Fatal(err)
			}
			answered := httptest.NewRecorder()
			b.ServeHTTP(answered, httptest.NewRequest(http.MethodPost, "/?auth_req_id=x&action=allow", nil))
			if answered.Code != test.want || test.busy >= 0 && decided.Load() != test.busy+1 {
				t.Errorf("%d after %d decisions, want %d", answered.Code, decided.Load(), test.want)
			}
		})
	}
}

func at(issuer string) server { return server{issuer: issuer} }
