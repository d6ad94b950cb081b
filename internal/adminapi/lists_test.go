package adminapi_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"countersign/internal/config"
	"countersign/store"
)

// parts reads a list to its end, and returns how often each key came, and the largest part.
func (w *world) parts(t *testing.T, path, key string, limit int, between func()) (seen map[string]int, largest int) {
	t.Helper()
	seen = map[string]int{}
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	for {
		got := w.ask(t, "rita", "GET", path+"?"+query.Encode(), nil).want(http.StatusOK)
		items := got.items()
		largest = max(largest, len(items))
		for _, one := range items {
			seen[one[key].(string)]++
		}
		next, _ := got.body["next_cursor"].(string)
		if next == "" {
			return seen, largest
		}
		query.Set("cursor", next)
		between()
	}
}

// many puts 10,000 clients into the store.
func (w *world) many(t *testing.T) {
	t.Helper()
	var next atomic.Int64
	var writers sync.WaitGroup
	for range 16 {
		writers.Go(func() {
			for i := next.Add(1); i <= 10_000 && !t.Failed(); i = next.Add(1) {
				if err := w.putClient(t, fmt.Sprintf("b-%05d", i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
}

func (w *world) putClient(t *testing.T, id string) error {
	return w.store.PutClient(t.Context(), store.Client{
		ID: id, Profile: "fapi2-security", Metadata: []byte(metadata), Version: 1, CreatedAt: w.now(), UpdatedAt: w.now(),
	})
}

// Covers: NM-150. Each of 10,000 clients comes once, in parts of a bounded size, while others are added before, among and after them.
func TestNM150Lists(t *testing.T) {
	for name, change := range map[string]func(*config.Config){
		"SQLite": func(*config.Config) {}, "PostgreSQL": func(c *config.Config) { onPostgres(t, c) },
	} {
		w := newWorld(t, change)
		t.Run("accepts 10,000 on "+name+" while others are added", func(t *testing.T) {
			w.many(t)
			done := make(chan struct{})
			var adding sync.WaitGroup
			for _, prefix := range []string{"a", "b-05000x", "c"} {
				adding.Go(func() {
					for i := 0; i < 2000; i++ {
						select {
						case <-done:
							return
						default:
						}
						if err := w.putClient(t, fmt.Sprint(prefix, i)); err != nil {
							t.Error(err)
							return
						}
					}
				})
			}
			seen, largest := w.parts(t, "/admin/v1/clients", "client_id", 200, func() {})
			close(done)
			adding.Wait()
			if largest != 200 {
				t.Errorf("the largest part has %d", largest)
			}
			for i := 1; i <= 10_000; i++ {
				if id := fmt.Sprintf("b-%05d", i); seen[id] != 1 {
					t.Fatalf("%s was listed %d times", id, seen[id])
				}
			}
			for id, times := range seen {
				if times != 1 {
					t.Fatalf("%s was listed %d times", id, times)
				}
			}
		})
		t.Run("refuses larger parts on "+name, func(t *testing.T) {
			for _, limit := range []string{"0", "-1", "201", "10000", "", "x"} {
				w.ask(t, "rita", "GET", "/admin/v1/clients?limit="+limit, nil).problem(http.StatusBadRequest, "invalid")
			}
		})
	}
}

// Covers: NM-151. A cursor goes on with its list alone, with what was chosen when it was given.
func TestNM151CursorOfList(t *testing.T) {
	w := newWorld(t)
	for _, id := range []string{"one", "two", "three"} {
		w.added(t, id)
		w.person(t, id)
	}
	first := w.ask(t, "rita", "GET", "/admin/v1/clients?limit=1", nil).want(http.StatusOK)
	next := first.text("next_cursor")
	t.Run("accepts the cursor of the list, with another size too", func(t *testing.T) {
		got := w.ask(t, "cleo", "GET", "/admin/v1/clients?limit=2&cursor="+next, nil).want(http.StatusOK)
		if len(got.items()) != 2 || got.items()[0]["client_id"] == first.items()[0]["client_id"] {
			t.Errorf("%s", got.raw)
		}
	})
	for _, path := range []string{"people", "grants", "keys", "approvals", "initial-access-tokens", "audit/nodes", "consents?client_id=one", "people?username=one"} {
		t.Run("refuses it for "+path, func(t *testing.T) {
			between := "?"
			if path[len(path)-4:] == "=one" {
				between = "&"
			}
			w.ask(t, "rita", "GET", "/admin/v1/"+path+between+"cursor="+next, nil).problem(http.StatusBadRequest, "invalid")
		})
	}
	t.Run("refuses it when something else is chosen", func(t *testing.T) {
		people := w.ask(t, "rita", "GET", "/admin/v1/people?limit=1", nil).want(http.StatusOK).text("next_cursor")
		w.ask(t, "rita", "GET", "/admin/v1/people?username=one&cursor="+people, nil).problem(http.StatusBadRequest, "invalid")
		w.ask(t, "rita", "GET", "/admin/v1/people?cursor="+people, nil).want(http.StatusOK)
	})
}
