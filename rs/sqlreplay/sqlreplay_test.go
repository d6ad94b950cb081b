package sqlreplay_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"database/sql"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "github.com/mattn/go-sqlite3"

	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
	"countersign/rs"
	"countersign/rs/sqlreplay"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// databases opens each kind of database, as often as it is asked for: each is a node's own connection to the same one.
func databases(t *testing.T, address string) map[sqlreplay.Dialect]func() *sql.DB {
	t.Helper()
	file := filepath.Join(t.TempDir(), "replay.db")
	open := func(driver, source string) func() *sql.DB {
		return func() *sql.DB {
			db, err := sql.Open(driver, source)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { db.Close() })
			return db
		}
	}
	return map[sqlreplay.Dialect]func() *sql.DB{
		sqlreplay.PostgreSQL: open("pgx", address),
		sqlreplay.SQLite:     open("sqlite3", "file:"+file+"?_journal_mode=WAL&_busy_timeout=10000&_txlock=immediate"),
	}
}

func newKey(t *testing.T) (key [32]byte) {
	t.Helper()
	if _, err := rand.Read(key[:]); err != nil {
		t.Fatal(err)
	}
	return key
}

// Covers: RS-21. The memory of proofs, in a process and in a database that nodes share: of many uses one is the first, what has ended is
// forgotten, and when it is full or away the request is refused.
func TestRS21Replay(t *testing.T) {
	t.Parallel()
	_, address := fapitest.NewPostgresWorld(t, nil)
	now := atomic.Pointer[time.Time]{}
	start := time.Unix(1_800_000_000, 0)
	now.Store(&start)
	clock := func() time.Time { return *now.Load() }
	one := rs.NewMemory(4096, clock)
	memories := map[string][]rs.Replay{"of one process": {one, one}}
	counts := map[string]func() int{}
	for dialect, open := range databases(t, address) {
		name := map[sqlreplay.Dialect]string{sqlreplay.PostgreSQL: "in PostgreSQL", sqlreplay.SQLite: "in SQLite"}[dialect]
		for range 2 {
			node, err := sqlreplay.New(t.Context(), open(), dialect, clock)
			if err != nil {
				t.Fatal(err)
			}
			memories[name] = append(memories[name], node)
		}
		db := open()
		counts[name] = func() (rows int) {
			if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM rs_dpop_proof").Scan(&rows); err != nil {
				t.Fatal(err)
			}
			return rows
		}
	}
	for name, nodes := range memories {
		t.Run("accepts a proof once "+name, func(t *testing.T) {
			for round := range 20 {
				key, until := newKey(t), clock().Add(2*time.Minute)
				var first atomic.Int64
				var running sync.WaitGroup
				for at := range 8 {
					running.Go(func() {
						ok, err := nodes[at%2].Use(t.Context(), key, until)
						if err != nil {
							t.Error(err)
						}
						if ok {
							first.Add(1)
						}
					})
				}
				running.Wait()
				if first.Load() != 1 {
					t.Fatalf("round %d: %d were the first", round, first.Load())
				}
			}
		})
		t.Run("refuses it until it has ended "+name, func(t *testing.T) {
			key, until := newKey(t), clock().Add(2*time.Minute)
			if first, err := nodes[0].Use(t.Context(), key, until); err != nil || !first {
				t.Fatalf("%v, %v", first, err)
			}
			later := clock().Add(2*time.Minute - time.Second)
			now.Store(&later)
			if _, err := nodes[1].Use(t.Context(), newKey(t), later.Add(time.Minute)); err != nil { // sweeps
				t.Fatal(err)
			}
			if first, err := nodes[1].Use(t.Context(), key, until); err != nil || first {
				t.Errorf("%v, %v", first, err)
			}
		})
		if count := counts[name]; count != nil {
			t.Run("accepts what is forgotten as room "+name, func(t *testing.T) {
				if count() < 20 {
					t.Fatal("nothing was recorded")
				}
				later := clock().Add(time.Hour)
				now.Store(&later)
				if _, err := nodes[0].Use(t.Context(), newKey(t), later.Add(time.Minute)); err != nil {
					t.Fatal(err)
				}
				if rows := count(); rows != 1 {
					t.Errorf("%d proofs are kept", rows)
				}
			})
		}
	}
	t.Run("refuses what does not fit into the memory of a process", func(t *testing.T) {
		small := rs.NewMemory(32, clock)
		full := 0
		for range 1000 {
			first, err := small.Use(t.Context(), newKey(t), clock().Add(time.Minute))
			if err != nil {
				full++
				if err != rs.ErrReplayFull || first {
					t.Fatalf("%v, %v", first, err)
				}
			}
		}
		if full != 1000-32 {
			t.Errorf("%d of 1000 were refused", full)
		}
		later := clock().Add(2 * time.Minute)
		now.Store(&later)
		if first, err := small.Use(t.Context(), newKey(t), later.Add(time.Minute)); err != nil || !first {
			t.Errorf("after they have ended: %v, %v", first, err)
		}
	})
	t.Run("refuses when the database is away", func(t *testing.T) {
		for _, open := range databases(t, address) {
			db := open()
			away := sqlreplay.On(db, clock)
			db.Close()
			if first, err := away.Use(t.Context(), newKey(t), clock().Add(time.Minute)); err == nil || first {
				t.Errorf("%v, %v", first, err)
			}
		}
		if _, err := sqlreplay.New(t.Context(), nil, 7, nil); err == nil {
			t.Error("a dialect that does not exist is accepted")
		}
	})
}

// Covers: RS-22. Two nodes of an API on one PostgreSQL take a proof once, also when it comes to both at the same time.
func TestRS22TwoNodes(t *testing.T) {
	t.Parallel()
	w, address := fapitest.NewPostgresWorld(t, nil, func(c *fapitest.Config) {
		c.ResourceServers = []scope.ResourceServer{{Identifier: fapitest.LedgerAPI, Scopes: []string{"accounts"}}}
	})
	c := w.Register("client-1", nil)
	token := c.TokensFor(fapitest.Set("resource", fapitest.LedgerAPI)).Text("access_token")
	const base = "https://api.example"
	var nodes []*httptest.Server
	for range 2 {
		db, err := sql.Open("pgx", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		replay, err := sqlreplay.New(t.Context(), db, sqlreplay.PostgreSQL, w.Clock.Now)
		if err != nil {
			t.Fatal(err)
		}
		guard, err := rs.New(t.Context(), rs.Config{
			Issuer: w.Issuer, Audience: fapitest.LedgerAPI, BaseURL: base, Replay: replay, Now: w.Clock.Now, HTTP: w.Transport(&fapitest.Client{World: w}),
		})
		if err != nil {
			t.Fatal(err)
		}
		node := httptest.NewUnstartedServer(guard.Require(rs.Scope("accounts"))(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
		certificate, _ := fapitest.ServerCertificate(t)
		node.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
		node.StartTLS()
		t.Cleanup(node.Close)
		nodes = append(nodes, node)
	}
	send := func(node int, proof string) int {
		request, err := http.NewRequestWithContext(context.Background(), http.MethodGet, nodes[node].URL+"/accounts", nil)
		if err != nil {
			t.Error(err)
			return 0
		}
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", proof)
		response, err := c.HTTP.Do(request)
		if err != nil {
			t.Error(err)
			return 0
		}
		response.Body.Close()
		return response.StatusCode
	}
	t.Run("accepts each proof at either node", func(t *testing.T) {
		for node := range nodes {
			if status := send(node, c.Proof("GET", base+"/accounts", token, nil)); status != http.StatusOK {
				t.Errorf("node %d answered %d", node, status)
			}
		}
	})
	t.Run("refuses at one node what the other took", func(t *testing.T) {
		proof := c.Proof("GET", base+"/accounts", token, nil)
		if first, second := send(0, proof), send(1, proof); first != http.StatusOK || second != http.StatusUnauthorized {
			t.Errorf("answered %d and %d", first, second)
		}
	})
	t.Run("refuses all but one of many at both at once", func(t *testing.T) {
		for range 10 {
			proof := c.Proof("GET", base+"/accounts", token, nil)
			var accepted, refused atomic.Int64
			var running sync.WaitGroup
			for at := range 8 {
				running.Go(func() {
					switch send(at%2, proof) {
					case http.StatusOK:
						accepted.Add(1)
					case http.StatusUnauthorized:
						refused.Add(1)
					}
				})
			}
			running.Wait()
			if accepted.Load() != 1 || refused.Load() != 7 {
				t.Fatalf("%d accepted, %d refused", accepted.Load(), refused.Load())
			}
		}
	})
}
