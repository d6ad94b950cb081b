package fapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres"
)

// newWorldOnPostgres makes a world whose nodes share a PostgreSQL database; change may alter how a node connects.
func newWorldOnPostgres(t *testing.T, change func(*postgres.Config), options ...option) (w *world, url string) {
	t.Helper()
	url = database.Database(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, func(now func() time.Time) store.Store {
		config := postgres.Config{URL: url, Now: now, MaxConnections: 8}
		if change != nil {
			change(&config)
		}
		opened, err := postgres.Open(context.Background(), config)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := opened.Close(); err != nil {
				t.Error(err)
			}
		})
		return opened
	}, options...), url
}

// TestPoolExhausted: requests that find no free connection are answered 503 with Retry-After, soon, and the next ones are
// served as if nothing had been.
func TestPoolExhausted(t *testing.T) {
	w, url := newWorldOnPostgres(t, func(c *postgres.Config) {
		c.URL += "&lock_timeout=9s&statement_timeout=9s"
		c.MaxConnections = 2
	})
	c := w.register("client-1", nil)
	good("", nil).check(t, c.push(nil))

	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), "BEGIN; LOCK TABLE requests IN ACCESS EXCLUSIVE MODE"); err != nil {
		t.Fatal(err)
	}
	calls, began := make([]func() reply, 12), time.Now()
	for i := range calls {
		calls[i] = func() reply { return c.push(nil) }
	}
	released := time.AfterFunc(3*time.Second, func() { _, _ = conn.Exec(context.Background(), "ROLLBACK") })
	defer released.Stop()
	served, shed := 0, 0
	for _, r := range atOnce(calls...) {
		switch r.status {
		case http.StatusCreated:
			served++
		case http.StatusServiceUnavailable:
			shed++
			wantError(t, r, 503, "temporarily_unavailable")
			if r.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
			}
		default:
			t.Errorf("%d %s", r.status, r.raw)
		}
	}
	if served != 2 || shed != 10 || time.Since(began) > 8*time.Second {
		t.Errorf("%d were served and %d shed in %s, want the 2 with a connection served", served, shed, time.Since(began))
	}
	good("", nil).check(t, c.push(nil))
}
