package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres"
)

// gathering holds the one connection of a store while verbs gather, and then has them done together.
type gathering struct {
	s       *postgres.Store
	release func()
	running sync.WaitGroup
	begun   int
	results []chan error
}

// gather begins: something holds the connection, and two verbs lead, of which the first will take along those that come.
func gather(t *testing.T, s *postgres.Store, database string) *gathering {
	t.Helper()
	now := time.Now()
	warm := store.Request{ID: store.DigestOf(fmt.Sprint("warm", now)), ClientID: "warm", CreatedAt: now, ExpiresAt: now.Add(time.Minute)}
	if err := errors.Join(s.Push(t.Context(), warm), s.Finish(t.Context(), store.Finish{Request: warm.ID})); err != nil {
		t.Fatal(err) // only what a connection has done before is done on it together with others
	}
	g := &gathering{s: s, release: lock(t, database, "LOCK TABLE clients IN ACCESS EXCLUSIVE MODE")}
	t.Cleanup(func() { g.release(); g.running.Wait() })
	g.running.Go(func() {
		if err := s.PutClient(context.Background(), store.Client{ID: fmt.Sprint("holds", now), Version: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Error(err)
		}
	})
	await(t, database, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	for i := range 2 {
		g.running.Go(func() {
			if err := s.ConsumeOneTime(context.Background(), oneUse(fmt.Sprint("leads", i, now))); err != nil && !errors.Is(err, store.ErrUnavailable) {
				t.Error(err)
			}
		})
		for leading, _ := s.Gathered(); leading <= i; leading, _ = s.Gathered() {
			time.Sleep(time.Millisecond)
		}
	}
	return g
}

// add has a verb that writes come and wait.
func (g *gathering) add(verb func() error) {
	result := make(chan error, 1)
	g.results = append(g.results, result)
	g.begun++
	g.running.Go(func() { result <- verb() })
	for _, waiting := g.s.Gathered(); waiting < g.begun; _, waiting = g.s.Gathered() {
		time.Sleep(time.Millisecond)
	}
}

// ends lets the verbs go and returns what came of them.
func (g *gathering) ends() []error {
	g.release()
	all := make([]error, len(g.results))
	for i, result := range g.results {
		all[i] = <-result
	}
	return all
}

// await waits until a query says true.
func await(t *testing.T, database, query string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		var yes bool
		if err := conn.QueryRow(t.Context(), query, pgx.QueryExecModeSimpleProtocol).Scan(&yes); err != nil {
			t.Fatal(err)
		}
		if yes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("it never comes: %s", query)
		}
	}
}

// pushes is a verb that stores a request and consumes a value of a name.
func pushes(s *postgres.Store, id, value string) func() error {
	return func() error {
		now := time.Now()
		return s.Push(context.Background(), store.Request{
			ID: store.DigestOf(id), ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Minute),
		}, oneUse(value))
	}
}

// others are the requests that gather did not store.
const others = "(SELECT xmin FROM requests WHERE client_id <> 'warm') r"

// transactions is how many transactions the requests of a database were stored in.
func transactions(t *testing.T, database string) int {
	t.Helper()
	return count(t, database, "(SELECT DISTINCT xmin::text FROM requests WHERE client_id <> 'warm') r")
}

// TestFJ01Together: verbs that come while the database is busy are one transaction, also behind a pooler; whatever refuses one
// of them, the others are done, and the one gets the answer that it gets by itself.
//
// Covers: FJ-01.
func TestFJ01Together(t *testing.T) {
	for name, pooled := range map[string]bool{"directly": false, "by a pooler": true} {
		database := migrated(t, cluster.Database(t))
		address := database
		if pooled {
			address = cluster.Pooler(t, database, "transaction")
		}
		s := opened(t, postgres.Config{URL: address, MaxConnections: 1})
		now := time.Now()
		for _, id := range []string{"used", "expired", "good"} {
			life := time.Minute
			if id == "expired" {
				life = -time.Minute
			}
			request := store.DigestOf("of " + id)
			if err := s.Push(t.Context(), store.Request{ID: request, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Minute)}); err != nil {
				t.Fatal(err)
			}
			grant := store.Grant{ID: id, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(time.Hour)}
			code := store.Code{ID: store.DigestOf(id), GrantID: id, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(life)}
			if err := s.Finish(t.Context(), store.Finish{Request: request, Grant: &grant, Code: &code}); err != nil {
				t.Fatal(err)
			}
		}
		redeem := func(id, value string) func() error {
			return func() error {
				access := store.AccessToken{ID: store.DigestOf("access " + id), GrantID: id, ExpiresAt: now.Add(time.Minute)}
				return s.RedeemCode(context.Background(), store.DigestOf(id), store.Issued{AccessToken: access}, oneUse(value))
			}
		}
		if err := errors.Join(redeem("used", "first")(), s.ConsumeOneTime(t.Context(), oneUse("replayed"))); err != nil {
			t.Fatal(err)
		}
		before := transactions(t, database)
		g := gather(t, s, database)
		for i := range 10 {
			g.add(pushes(s, fmt.Sprint("request ", i), fmt.Sprint("value ", i)))
		}
		g.add(redeem("good", "good"))
		g.add(redeem("expired", "expired"))
		g.add(pushes(s, "refused", "replayed"))
		g.add(redeem("used", "used"))
		g.add(redeem("nothing", "nothing"))
		g.add(func() error {
			return s.Finish(context.Background(), store.Finish{Request: store.DigestOf("of good")})
		})
		results := g.ends()
		for i, want := range []error{11: store.ErrExpired, 12: store.ErrReplayed, 13: store.ErrConsumed, 14: store.ErrNotFound, 15: store.ErrConsumed} {
			verb := "accepts"
			if want != nil {
				verb = "refuses"
			}
			t.Run(fmt.Sprintf("%s %s: verb %d", verb, name, i), func(t *testing.T) {
				if !errors.Is(results[i], want) {
					t.Errorf("got %v, want %v", results[i], want)
				}
			})
		}
		t.Run("accepts "+name+" all in one transaction", func(t *testing.T) {
			if n := transactions(t, database) - before; n != 1 {
				t.Errorf("the requests were stored in %d transactions", n)
			}
		})
		t.Run("refuses "+name+" what the used code was exchanged for", func(t *testing.T) {
			if _, err := s.AccessGrant(t.Context(), store.DigestOf("access used")); !errors.Is(err, store.ErrRevoked) {
				t.Error(err)
			}
			if _, err := s.AccessGrant(t.Context(), store.DigestOf("access good")); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestFJ01Twins: of several verbs with one value in one transaction one is done.
//
// Covers: FJ-01.
func TestFJ01Twins(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 1})
	g := gather(t, s, database)
	for i := range 12 {
		g.add(pushes(s, fmt.Sprint("request ", i), fmt.Sprint("value ", i%4)))
	}
	won := map[int]int{}
	for i, err := range g.ends() {
		switch {
		case err == nil:
			won[i%4]++
		case !errors.Is(err, store.ErrReplayed):
			t.Error(err)
		}
	}
	t.Run("accepts each value once", func(t *testing.T) {
		for i := range 4 {
			if won[i] != 1 {
				t.Errorf("value %d: %d won", i, won[i])
			}
		}
	})
	t.Run("refuses what lost", func(t *testing.T) {
		if n := count(t, database, others); n != 4 {
			t.Errorf("%d requests are stored, want 4", n)
		}
	})
}

// TestFJ02Lock: a verb that waits for a lock which somebody holds delays the verbs that it shares a transaction with a little, and
// waits by itself.
//
// Covers: FJ-02.
func TestFJ02Lock(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database + "&lock_timeout=20s&statement_timeout=25s", MaxConnections: 1})
	wide := opened(t, postgres.Config{URL: database})
	if err := pushes(s, "held", "held")(); err != nil {
		t.Fatal(err)
	}
	release := lock(t, database, "SELECT FROM requests FOR UPDATE")
	defer release()
	g := gather(t, s, database)
	now := time.Now()
	g.add(func() error { return s.Finish(context.Background(), store.Finish{Request: store.DigestOf("held")}) })
	const n = 10
	for i := range n {
		g.add(pushes(s, fmt.Sprint("request ", i), fmt.Sprint("value ", i)))
	}
	g.release()
	t.Run("accepts the others at once", func(t *testing.T) {
		for i := range n {
			if err := <-g.results[1+i]; err != nil {
				t.Error(err)
			}
		}
		if took := time.Since(now); took > 3*time.Second {
			t.Errorf("they took %s", took)
		}
	})
	t.Run("refuses nobody for the lock", func(t *testing.T) {
		select {
		case err := <-g.results[0]:
			t.Fatalf("it was done while the lock was held: %v", err)
		default:
		}
		if _, err := wide.Open(t.Context(), store.DigestOf("held"), store.Digest{}); err != nil {
			t.Errorf("it was done in part: %v", err)
		}
		release()
		if err := <-g.results[0]; err != nil {
			t.Error(err)
		}
	})
}

// TestFJ02Hung: transactions that wait for locks keep nobody else waiting for long, as long as there are connections.
//
// Covers: FJ-02.
func TestFJ02Hung(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database + "&lock_timeout=20s&statement_timeout=25s", MaxConnections: 8})
	const hung = 4
	for i := range hung {
		if err := pushes(s, fmt.Sprint("held ", i), fmt.Sprint("held ", i))(); err != nil {
			t.Fatal(err)
		}
	}
	release := lock(t, database, "SELECT FROM requests FOR UPDATE")
	var waiting sync.WaitGroup
	defer waiting.Wait()
	defer release()
	for i := range hung {
		waiting.Go(func() {
			if err := s.Finish(context.Background(), store.Finish{Request: store.DigestOf(fmt.Sprint("held ", i))}); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, database, fmt.Sprintf("SELECT count(*) = %d FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'", hung))
	t.Run("accepts others meanwhile", func(t *testing.T) {
		for i := range 20 {
			began := time.Now()
			if err := pushes(s, fmt.Sprint("other ", i), fmt.Sprint("other ", i))(); err != nil {
				t.Errorf("after %s: %v", time.Since(began), err)
			}
		}
	})
	t.Run("refuses nobody for the locks", func(t *testing.T) {
		release()
		waiting.Wait()
	})
}

// TestFJ02HangsUp: a caller who hangs up while verbs gather gets nothing done and keeps nobody else from being served, whether it
// leads or waits.
//
// Covers: FJ-02.
func TestFJ02HangsUp(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 1})
	g := gather(t, s, database)
	g.add(pushes(s, "before", "before"))
	ctx, cancel := context.WithCancel(t.Context())
	g.add(func() error { return s.ConsumeOneTime(ctx, oneUse("impatient")) })
	g.add(pushes(s, "after", "after"))
	cancel()
	t.Run("refuses who hung up", func(t *testing.T) {
		if err := <-g.results[1]; !errors.Is(err, store.ErrOverloaded) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	g.release()
	t.Run("accepts the others", func(t *testing.T) {
		if err := errors.Join(<-g.results[0], <-g.results[2]); err != nil {
			t.Error(err)
		}
	})
	t.Run("accepts the value that was not consumed", func(t *testing.T) {
		if err := s.ConsumeOneTime(t.Context(), oneUse("impatient")); err != nil {
			t.Error(err)
		}
	})
}

// TestFJ03AnswerLost: when the connection ends while several verbs commit, each is told that it is not known what was done:
// whether it was, or not. None is done twice, and reads are done again.
//
// Covers: FJ-03.
func TestFJ03AnswerLost(t *testing.T) {
	for _, committed := range []bool{true, false} {
		database := migrated(t, cluster.Database(t))
		address, proxy := through(t, database)
		s := opened(t, postgres.Config{URL: address, MaxConnections: 1})
		execute(t, database, `CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NULL; END $$;
			CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON requests DEFERRABLE INITIALLY DEFERRED
				FOR EACH ROW WHEN (NEW.client_id = 'slow') EXECUTE FUNCTION slow()`)
		g := gather(t, s, database)
		const n = 5
		for i := range n {
			g.add(pushes(s, fmt.Sprint("request ", i), fmt.Sprint("value ", i)))
		}
		now := time.Now()
		g.add(func() error {
			return s.Push(context.Background(), store.Request{ID: store.DigestOf("slow"), ClientID: "slow", CreatedAt: now, ExpiresAt: now.Add(time.Minute)})
		})
		g.release()
		await(t, database, "SELECT count(*) > 0 FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
		want, verb := 0, "accepts"
		if committed {
			resume := proxy.Silence()
			await(t, database, "SELECT count(*) > 0 FROM "+others)
			proxy.Cut()
			resume()
			want, verb = n+1, "refuses"
		} else {
			execute(t, database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'")
		}
		t.Run(fmt.Sprintf("refuses to say what is not known, with %d done", want), func(t *testing.T) {
			for i, result := range g.results {
				if err := <-result; !errors.Is(err, store.ErrUnavailable) {
					t.Errorf("verb %d: %v", i, err)
				}
			}
			if stored := count(t, database, others); stored != want {
				t.Errorf("%d requests are stored, want %d", stored, want)
			}
		})
		t.Run(fmt.Sprintf("%s the values again, with %d done", verb, want), func(t *testing.T) {
			for i := range n {
				err := s.ConsumeOneTime(t.Context(), oneUse(fmt.Sprint("value ", i)))
				if replayed := errors.Is(err, store.ErrReplayed); replayed != committed || !replayed && err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestFJ03ReadsAgain: reads that share a transaction whose connection ends are done again.
//
// Covers: FJ-03.
func TestFJ03ReadsAgain(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 4})
	if err := pushes(s, "request", "value")(); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts each of them", func(t *testing.T) {
		release := lock(t, database, "LOCK TABLE requests IN ACCESS EXCLUSIVE MODE")
		defer release()
		var reading sync.WaitGroup
		for range 40 {
			reading.Go(func() {
				if _, err := s.Open(context.Background(), store.DigestOf("request"), store.Digest{}); err != nil {
					t.Error(err)
				}
			})
		}
		waiting := "FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
		for range 3 { // the first time reads that lead, then those that they take along
			await(t, database, "SELECT count(*) > 0 "+waiting)
			execute(t, database, "SELECT pg_terminate_backend(pid) "+waiting)
		}
		release()
		reading.Wait()
	})
}

// TestFJ04Order: nodes whose verbs come in opposite orders do not wait for each other in a circle, and of the verbs with one
// value one is done.
//
// Covers: FJ-04.
func TestFJ04Order(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	const nodes, values, rounds = 3, 24, 8
	var stores []*postgres.Store
	for range nodes {
		stores = append(stores, opened(t, postgres.Config{URL: database, MaxConnections: 2}))
	}
	won := make([]chan int, rounds*values)
	for i := range won {
		won[i] = make(chan int, nodes)
	}
	for round := range rounds {
		var running sync.WaitGroup
		for node, s := range stores {
			for i := range values {
				i := i
				if node%2 == 1 {
					i = values - 1 - i
				}
				running.Go(func() {
					err := s.ConsumeOneTime(context.Background(), oneUse(fmt.Sprint(round, " ", i)))
					switch {
					case err == nil:
						won[round*values+i] <- node
					case !errors.Is(err, store.ErrReplayed):
						t.Error(err)
					}
				})
			}
		}
		running.Wait()
	}
	t.Run("accepts each value on one node", func(t *testing.T) {
		for i := range won {
			if len(won[i]) != 1 {
				t.Errorf("value %d: %d nodes won", i, len(won[i]))
			}
		}
	})
	t.Run("refuses to deadlock", func(t *testing.T) {
		if n := column(t, database, "SELECT deadlocks::text FROM pg_stat_database WHERE datname = current_database()")[0]; n != "0" {
			t.Errorf("%s deadlocks", n)
		}
	})
}

// TestReadsDoNotWait: reads go on while those that write wait for the database.
func TestReadsDoNotWait(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 4})
	if err := pushes(s, "request", "value")(); err != nil {
		t.Fatal(err)
	}
	release := lock(t, database, "LOCK TABLE uses IN SHARE MODE")
	var writing sync.WaitGroup
	for i := range 2 {
		writing.Go(func() {
			if err := s.ConsumeOneTime(context.Background(), oneUse(fmt.Sprint("late ", i))); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, database, "SELECT count(*) > 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
	if _, err := s.Open(t.Context(), store.DigestOf("request"), store.Digest{}); err != nil {
		t.Error(err)
	}
	if leading, _ := s.Gathered(); leading != 2 {
		t.Errorf("%d of 2 writes wait", leading)
	}
	release()
	writing.Wait()
}
