//go:build !race

package fapi_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/fapitest"
	"countersign/internal/metrics"
)

// allocations is a transport that calls a handler in this process, and counts what it allocates on the way: the whole request,
// with the store and the questions to the token, and without net/http and TLS.
type allocations struct {
	handler http.Handler
	counted []uint64
}

// RoundTrip implements [http.RoundTripper].
func (a *allocations) RoundTrip(r *http.Request) (*http.Response, error) {
	arrived := r.Clone(r.Context())
	arrived.RequestURI, arrived.RemoteAddr, arrived.Host = r.URL.RequestURI(), "127.0.0.1:1024", r.URL.Host
	if arrived.Body == nil {
		arrived.Body = http.NoBody
	}
	recorder := httptest.NewRecorder()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	a.handler.ServeHTTP(recorder, arrived)
	runtime.ReadMemStats(&after)
	a.counted = append(a.counted, after.Mallocs-before.Mallocs)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// last is what the last request allocated.
func (a *allocations) last() uint64 { return a.counted[len(a.counted)-1] }

// TestAllocationBudgets holds what a request allocates to what it did when this was written, and a twentieth more. It does not
// run side by side with others, which would be counted too.
func TestAllocationBudgets(t *testing.T) {
	measured, err := metrics.New(t.Context(), metrics.Config{OtherClients: 50, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	quiet := func(c *fapitest.Config) {
		c.Meter = measured
		c.TracerProvider, c.Logger = noop.NewTracerProvider(), slog.New(slog.NewJSONHandler(io.Discard, nil))
	}
	w := fapitest.NewWorld(t, quiet)
	devices, _ := fapitest.NewDeviceWorld(t, quiet)
	c := w.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
	})
	counter := &allocations{handler: w.Server.Handler()}
	rs := w.ResourceServer("rs-1", w.Issuer)
	c.HTTP.Transport, rs.HTTP.Transport = counter, counter
	b, pages := w.Browser(), devices.DeviceBrowser(t)
	shown := &allocations{handler: devices.Server.Handler()}
	b.HTTP.Transport, pages.HTTP.Transport = counter, shown
	const rounds = 21
	counted := map[string][]uint64{}
	measure := func(name string, reply fapitest.Reply) fapitest.Reply {
		t.Helper()
		if reply.Status >= http.StatusBadRequest {
			t.Fatalf("%s: %d %s", name, reply.Status, reply.Raw)
		}
		counted[name] = append(counted[name], counter.last())
		return reply
	}
	for range rounds {
		pushed := measure("PAR", c.Push(nil))
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		issued := measure("token: code", c.Redeem(sentTo.Query().Get("code"), nil))
		measure("token: refresh", c.Refresh(issued.Text("refresh_token"), nil))
		measure("token: client_credentials", c.ClientCredentials(fapitest.Set("scope", "accounts")))
		measure("introspection", rs.Introspect(issued.Text("access_token"), nil))
		pages.Visit("/device").Has(t, http.StatusOK)
		counted["page"] = append(counted["page"], shown.last())
	}
	for name, budget := range map[string]uint64{
		"PAR":                       275,
		"token: code":               515, // 10 of them for the sid of the ID token
		"token: refresh":            430,
		"token: client_credentials": 333,
		"introspection":             315,
		"page":                      293,
	} {
		slices.Sort(counted[name])
		median := counted[name][rounds/2]
		t.Logf("%s: %d allocations, %d to %d; the budget is %d", name, median, counted[name][0], counted[name][rounds-1], budget)
		if median > budget {
			t.Errorf("%s allocates %d times, and may %d times. What allocates: go test ./fapi -run TestAllocationBudgets "+
				"-memprofile mem.out -memprofilerate 1 && go tool pprof -sample_index=alloc_objects -top fapi.test mem.out; "+
				"if it has to be, raise the budget", name, median, budget)
		}
	}
}
