package fapi_test

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/fapi/fapitest"
	"countersign/internal/pgproxy"
	"countersign/store/postgres"
)

// through has a node reach its database by way of a proxy.
func through(t *testing.T, proxy **pgproxy.Proxy) func(*postgres.Config) {
	return func(c *postgres.Config) {
		t.Helper()
		address, err := url.Parse(c.URL)
		if err != nil {
			t.Fatal(err)
		}
		query := address.Query()
		if *proxy == nil {
			if *proxy, err = pgproxy.Start(query.Get("host")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := (*proxy).Close(); err != nil {
					t.Error(err)
				}
			})
		}
		query.Set("host", (*proxy).Host())
		address.RawQuery = query.Encode()
		c.URL = address.String()
	}
}

// TestRoundTripsOfAFlow counts how often a flow waits for the database: 9 times at most, when the user is signed in and
// has allowed the same before, the refresh included.
func TestRoundTripsOfAFlow(t *testing.T) {
	t.Parallel()
	var proxy *pgproxy.Proxy
	w, _ := fapitest.NewPostgresWorld(t, func(c *postgres.Config) {
		c.MaxConnections = 1
		through(t, &proxy)(c)
	})
	c := w.Register("client-1", nil)
	b := w.Browser()
	counted := func(do func()) int64 {
		before := proxy.RoundTrips()
		do()
		return proxy.RoundTrips() - before
	}
	flow := func() (push, authorize, token, refresh int64) {
		var requestURI, code, refreshToken string
		push = counted(func() { requestURI = c.Push(nil).Text("request_uri") })
		authorize = counted(func() {
			status, body, sentTo := b.Visit(w.AuthorizeURL(c.ID, requestURI))
			if sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Fatalf("authorize: %d %s %v", status, body, sentTo)
			}
			code = sentTo.Query().Get("code")
		})
		token = counted(func() {
			r := c.Redeem(code, nil)
			if r.Status != http.StatusOK {
				t.Fatalf("token: %d %s", r.Status, r.Raw)
			}
			refreshToken = r.Text("refresh_token")
		})
		refresh = counted(func() {
			if r := c.Refresh(refreshToken, nil); r.Status != http.StatusOK {
				t.Fatalf("refresh: %d %s", r.Status, r.Raw)
			}
		})
		return push, authorize, token, refresh
	}
	flow() // statements are prepared
	flow()
	b = w.Browser() // a user who has to sign in and to decide
	push, authorize, token, refresh := flow()
	t.Logf("with pages: PAR %d, authorize to code %d, token %d, refresh %d: %d", push, authorize, token, refresh, push+authorize+token+refresh)
	if authorize > 8 { // one of them reads the client again where the user decides (RFC 9126 §4)
		t.Errorf("with pages, %d round trips from the authorization endpoint to the code", authorize)
	}
	push, authorize, token, refresh = flow()
	t.Logf("signed in: PAR %d, authorize to code %d, token %d, refresh %d: %d", push, authorize, token, refresh, push+authorize+token+refresh)
	if push != 1 || authorize != 2 || token != 2 || refresh != 2 {
		t.Error("that is more than 1, 2, 2 and 2")
	}
	w.Clock.Advance(2 * time.Second) // the cached client is too old
	push, authorize, token, refresh = flow()
	if all := push + authorize + token + refresh; all > 9 {
		t.Errorf("with a client that is read again, %d", all)
	}
}

// TestPoolExhausted: requests that find no free connection are answered 503 with Retry-After, soon, and the next ones are
// served as if nothing had been.
func TestPoolExhausted(t *testing.T) {
	t.Parallel()
	w, url := fapitest.NewPostgresWorld(t, func(c *postgres.Config) {
		c.URL += "&lock_timeout=9s&statement_timeout=9s"
		c.MaxConnections = 2
	})
	c := w.Register("client-1", nil)
	fapitest.Good("", nil).Check(t, c.Push(nil))

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE requests IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	calls, began := make([]func() fapitest.Reply, 12), time.Now()
	for i := range calls {
		calls[i] = func() fapitest.Reply { return c.Push(nil) }
	}
	released := make(chan error, 1)
	time.AfterFunc(3*time.Second, func() {
		_, err := conn.Exec(context.Background(), "ROLLBACK")
		released <- err
	})
	served, shed := 0, 0
	for _, r := range fapitest.Concurrently(calls...) {
		switch r.Status {
		case http.StatusCreated:
			served++
		case http.StatusServiceUnavailable:
			shed++
			fapitest.WantError(t, r, 503, "temporarily_unavailable")
			if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 30 {
				t.Errorf("Retry-After is %q", r.Header.Get("Retry-After"))
			}
		default:
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	}
	if err := <-released; err != nil {
		t.Fatal(err)
	}
	if served != 2 || shed != 10 || time.Since(began) > 8*time.Second {
		t.Errorf("%d were served and %d shed in %s, want the 2 with a connection served", served, shed, time.Since(began))
	}
	fapitest.Good("", nil).Check(t, c.Push(nil))
}
