package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
)

// other is a second server: what a standby becomes.
var other = postgrestest.Cluster{}

func opened(t *testing.T, config postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func oneUse(name string) store.OneTime {
	return store.OneTime{Kind: "dpop", Key: store.DigestOf(name), Until: time.Now().Add(time.Minute)}
}

// TestOverloaded: a caller that cannot have a connection soon gets ErrOverloaded, and the queue is limited.
func TestOverloaded(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database + "&lock_timeout=20s&statement_timeout=20s", MaxConnections: 1})
	release := lock(t, database, "LOCK TABLE clients IN ACCESS EXCLUSIVE MODE")
	defer release()
	var waiting sync.WaitGroup
	defer waiting.Wait()
	waiting.Go(func() {
		// Behind the lock, until it is gone.
		if _, err := s.Client(context.Background(), "client"); !errors.Is(err, store.ErrNotFound) {
			t.Error(err)
		}
	})
	time.Sleep(50 * time.Millisecond) // it has the one connection
	began := time.Now()
	if err := s.ConsumeOneTime(t.Context(), oneUse("patient")); !errors.Is(err, store.ErrOverloaded) || time.Since(began) > 4*time.Second {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	// Of more than can be served soon, the last are refused at once.
	refused := make(chan time.Duration, 400)
	for i := range 400 {
		waiting.Go(func() {
			began := time.Now()
			if err := s.ConsumeOneTime(context.Background(), oneUse(fmt.Sprint(i))); errors.Is(err, store.ErrOverloaded) {
				refused <- time.Since(began)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	quick := 0
	for range 100 {
		if took := <-refused; took < 900*time.Millisecond {
			quick++
		}
	}
	if quick < 100 {
		t.Errorf("only %d of the first 100 refusals came at once", quick)
	}
	release()
	waiting.Wait()
	if err := s.ConsumeOneTime(t.Context(), oneUse("afterwards")); err != nil {
		t.Errorf("with the lock gone: %v", err)
	}
}

// both gives one URL for the databases of the same name on two servers, with the schema on each.
func both(t *testing.T) (url, first, second string) {
	t.Helper()
	first, second = cluster.Database(t), ""
	name := strings.TrimPrefix(strings.Split(first, "?")[0], "postgres:///")
	for second == "" || !strings.HasPrefix(second, "postgres:///"+name+"?") {
		second = other.Database(t)
	}
	migrated(t, first)
	migrated(t, second)
	host := func(url string) string {
		_, rest, _ := strings.Cut(url, "host=")
		value, _, _ := strings.Cut(rest, "&")
		return value
	}
	return strings.Replace(first, host(first), host(first)+"%2C"+host(second), 1), first, second
}

// TestFailover: of several hosts the one that takes writes is used, also when it changes under open connections. The
// verb that meets the change is done once, on the new one.
func TestFailover(t *testing.T) {
	url, first, second := both(t)
	s := opened(t, postgres.Config{URL: url})
	if err := s.ConsumeOneTime(t.Context(), oneUse("before")); err != nil {
		t.Fatal(err)
	}
	demote(t, first)
	for _, name := range []string{"after", "again"} {
		if err := s.ConsumeOneTime(t.Context(), oneUse(name)); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if n := count(t, first, "(SELECT DISTINCT key FROM uses) u"); n != 1 {
		t.Errorf("the first server has %d uses", n)
	}
	if n := count(t, second, "(SELECT DISTINCT key FROM uses) u"); n != 2 {
		t.Errorf("the second server has %d uses", n)
	}
	demote(t, second)
	began := time.Now()
	if err := s.ConsumeOneTime(t.Context(), oneUse("nowhere")); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("where nobody takes writes: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %s to say so", took)
	}
}

// TestServerSaysGoodBye: a read continues on another connection when its own is ended; a write, of which it is not known
// whether it was done, is reported as unknown, and the next one works.
func TestServerSaysGoodBye(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 4})
	end := func() {
		execute(t, database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'countersign' AND datname = current_database()")
		time.Sleep(20 * time.Millisecond)
	}
	for range 5 {
		if _, err := s.Client(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		end()
		if _, err := s.Client(t.Context(), "nobody"); !errors.Is(err, store.ErrNotFound) {
			t.Fatalf("a read after its connection was ended: %v", err)
		}
	}
	lost := 0
	for i := range 10 {
		end()
		if err := s.ConsumeOneTime(t.Context(), oneUse(fmt.Sprint("first ", i))); errors.Is(err, store.ErrUnavailable) {
			lost++
		} else if err != nil {
			t.Fatal(err)
		}
		if err := s.ConsumeOneTime(t.Context(), oneUse(fmt.Sprint("second ", i))); err != nil {
			t.Fatalf("the write after the one that met the end: %v", err)
		}
	}
	t.Logf("%d of 10 writes were reported as unknown", lost)
}

// demote makes a server refuse writes, those of open connections too.
func demote(t *testing.T, url string) {
	t.Helper()
	execute(t, url, "ALTER SYSTEM SET default_transaction_read_only = on")
	execute(t, url, "SELECT pg_reload_conf()")
	t.Cleanup(func() {
		writable := url + "&default_transaction_read_only=off"
		ctx := context.Background()
		executeAs(ctx, t, writable, "ALTER SYSTEM RESET default_transaction_read_only")
		executeAs(ctx, t, writable, "SELECT pg_reload_conf()")
		awaitSetting(ctx, t, url, "default_transaction_read_only", "off")
	})
	awaitSetting(t.Context(), t, url, "default_transaction_read_only", "on")
}

// awaitSetting waits until a reloaded configuration is that of new connections. The server has told the open ones by then.
func awaitSetting(ctx context.Context, t *testing.T, url, name, want string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		var got string
		err = conn.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&got)
		conn.Close(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is still %s", name, got)
		}
	}
}

// TestTriedAgain: what the database undid for the sake of another transaction is tried again, five times at most.
func TestTriedAgain(t *testing.T) {
	for _, state := range []string{"40001", "40P01"} {
		database := migrated(t, cluster.Database(t))
		s := opened(t, postgres.Config{URL: database, MaxConnections: 2})
		// A sequence counts what was undone, too.
		execute(t, database, `CREATE SEQUENCE tries; CREATE TABLE bound (undone bigint); INSERT INTO bound VALUES (3);
			CREATE FUNCTION undo() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
				IF nextval('tries') <= (SELECT undone FROM bound) THEN RAISE EXCEPTION USING ERRCODE = '`+state+`', MESSAGE = 'undone'; END IF;
				RETURN NEW;
			END $$;
			CREATE TRIGGER undone BEFORE INSERT ON clients FOR EACH ROW EXECUTE FUNCTION undo()`)
		now := time.Now()
		if err := s.PutClient(t.Context(), store.Client{ID: "one", Version: 1, CreatedAt: now, UpdatedAt: now}); err != nil {
			t.Errorf("%s: after three tries: %v", state, err)
		}
		if _, err := s.Client(t.Context(), "one"); err != nil {
			t.Errorf("%s: %v", state, err)
		}
		execute(t, database, "UPDATE bound SET undone = 1000; ALTER SEQUENCE tries RESTART")
		if err := s.PutClient(t.Context(), store.Client{ID: "two", Version: 1, CreatedAt: now, UpdatedAt: now}); err == nil || !strings.Contains(err.Error(), state) {
			t.Errorf("%s: undone for ever: %v", state, err)
		}
		if tries := column(t, database, "SELECT last_value::text FROM tries")[0]; tries != "5" {
			t.Errorf("%s: it was tried %s times, want 5", state, tries)
		}
	}
}
