package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
	"countersign/store/storetest"
)

// ignored are the settings with which PgBouncer lets through, and ignores, what a session is set to. A server that looks who
// answers needs none of them.
const ignored = "ignore_startup_parameters = jit,lock_timeout,statement_timeout,plan_cache_mode,enable_seqscan,enable_hashjoin," +
	"enable_mergejoin,idle_in_transaction_session_timeout,extra_float_digits,search_path"

// Covers: FD-113. The whole contract of the store holds behind PgBouncer in transaction mode that is not configured for it, with few
// connections behind it. Each test has a copy of one database, whose schema was made by way of the pooler too.
func TestFD113ContractBehindPooler(t *testing.T) {
	database, tests := cluster.Database(t), 0
	pooler := cluster.Pooler(t, database, "transaction", "default_pool_size = 3")
	name := strings.TrimPrefix(mustURL(t, database).Path, "/")
	migrated(t, pooler)
	// Nobody may be in a database that is copied.
	beside := cluster.Database(t)
	execute(t, beside, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '"+name+"'")
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		t.Helper()
		tests++
		copied := fmt.Sprintf("%s_%d", name, tests)
		execute(t, beside, "CREATE DATABASE "+copied+" TEMPLATE "+name)
		s := opened(t, postgres.Config{URL: strings.Replace(pooler, "/"+name+"?", "/"+copied+"?", 1), Now: now, DatabaseNow: now, MaxConnections: 16})
		return s
	})
}

func mustURL(t *testing.T, text string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

// Covers: FD-113. Whatever a URL says of how statements are executed, they are in a way that works: directly and behind a pooler.
func TestFD113ExecModes(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	pooler := cluster.Pooler(t, database, "transaction", ignored, "default_pool_size = 3")
	for _, mode := range []string{"", "cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		for name, url := range map[string]string{"directly": database, "behind a pooler": pooler} {
			t.Run("accepts "+mode+" "+name, func(t *testing.T) {
				if mode != "" {
					url += "&default_query_exec_mode=" + mode
				}
				s := opened(t, postgres.Config{URL: url, MaxConnections: 8})
				for i := range 30 {
					id := fmt.Sprint(name, mode, i)
					metadata := []byte(`{"client_name":"` + id + `"}`)
					if err := s.PutClient(t.Context(), store.Client{ID: id, Metadata: metadata, Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
						t.Fatal(err)
					}
					if got, err := s.Client(t.Context(), id); err != nil || string(got.Metadata) != string(metadata) {
						t.Fatalf("%s, %v", got.Metadata, err)
					}
					if err := oneFlow(s, time.Now(), id, time.Minute); err != nil {
						t.Fatal(err)
					}
					if err := s.Record(t.Context(), store.Evidence{Chain: "a", At: time.Now(), Body: []byte(`{}`)}); err != nil {
						t.Fatal(err)
					}
				}
			})
		}
	}
}

// Covers: FD-113. Behind a pooler those who migrate wait for each other, and for those who reach the database directly.
func TestFD113MigrateBehindPooler(t *testing.T) {
	database := cluster.Database(t)
	pooler := cluster.Pooler(t, database, "transaction", "default_pool_size = 8")
	direct, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close(context.Background())
	// What the session of another program holds that migrates (goose's lock).
	if _, err := direct.Exec(t.Context(), "SELECT pg_advisory_lock(4097083626)"); err != nil {
		t.Fatal(err)
	}
	results := make(chan error, 4)
	for range cap(results) {
		go func() {
			_, err := postgres.Migrate(t.Context(), postgres.Config{URL: pooler})
			results <- err
		}()
	}
	t.Run("refuses to migrate beside another", func(t *testing.T) {
		select {
		case err := <-results:
			t.Errorf("it did not wait: %v", err)
		case <-time.After(500 * time.Millisecond):
		}
	})
	t.Run("accepts one after the other", func(t *testing.T) {
		if _, err := direct.Exec(t.Context(), "SELECT pg_advisory_unlock(4097083626)"); err != nil {
			t.Fatal(err)
		}
		for range cap(results) {
			if err := <-results; err != nil {
				t.Error(err)
			}
		}
		status, err := postgres.MigrationStatus(t.Context(), postgres.Config{URL: pooler})
		if err != nil || len(status) == 0 || status[len(status)-1].AppliedAt.IsZero() {
			t.Errorf("%v, %v", status, err)
		}
		var held int
		if err := direct.QueryRow(t.Context(), "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").Scan(&held); err != nil || held != 0 {
			t.Errorf("%d locks are left, %v", held, err)
		}
	})
}

// changes collects what a store reports.
func changes(t *testing.T, s *postgres.Store) (<-chan store.Change, <-chan struct{}) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	changed, beats, ended := make(chan store.Change, 100), make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		s.Watch(ctx, func(c store.Change) {
			if (c == store.Change{}) {
				select {
				case beats <- struct{}{}:
				default:
				}
				return
			}
			changed <- c
		})
	}()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return changed, beats
}

// Covers: FD-114. Notifications that do not arrive are noticed, and said; a direct address brings them. Meanwhile the store never
// claims that nothing was missed, so that nodes poll.
func TestFD114Notifications(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	direct := func() (string, error) { return database, nil }
	transaction := cluster.Pooler(t, database, "transaction", "default_pool_size = 3")
	session := cluster.Pooler(t, database, "session", "default_pool_size = 20")
	arrive := func(t *testing.T, s *postgres.Store) {
		t.Helper()
		changed, beats := changes(t, s)
		if first := within(t, changed); !first.Lost {
			t.Errorf("%+v first", first)
		}
		within(t, beats)
		if err := s.Condition().Notifications; err != nil {
			t.Error(err)
		}
		if err := s.PutClient(t.Context(), store.Client{ID: t.Name(), Version: 1, CreatedAt: time.Now(), UpdatedAt: time.Now()}); err != nil {
			t.Fatal(err)
		}
		if c := within(t, changed); c.Client != t.Name() {
			t.Errorf("%+v", c)
		}
		if err := s.CheckNotifications(t.Context()); err != nil {
			t.Error(err)
		}
	}
	t.Run("accepts a direct connection", func(t *testing.T) { arrive(t, opened(t, postgres.Config{URL: database})) })
	t.Run("accepts a direct address beside a pooler", func(t *testing.T) {
		arrive(t, opened(t, postgres.Config{URL: transaction, ReadNotifyURL: direct}))
	})
	t.Run("accepts a pooler that keeps sessions", func(t *testing.T) { arrive(t, opened(t, postgres.Config{URL: session})) })
	t.Run("refuses to claim anything behind a pooler that does not", func(t *testing.T) {
		s := opened(t, postgres.Config{URL: transaction})
		changed, beats := changes(t, s)
		var said error
		for began := time.Now(); said == nil; time.Sleep(10 * time.Millisecond) {
			if said = s.Condition().Notifications; time.Since(began) > 10*time.Second {
				t.Fatal("nothing was said")
			}
		}
		if !strings.Contains(said.Error(), "polled for, once a second") || !strings.Contains(said.Error(), "store.notify_url_file") {
			t.Error(said)
		}
		select {
		case c := <-changed:
			t.Errorf("%+v", c)
		case <-beats:
			t.Error("it claimed to have missed nothing")
		default:
		}
		if err := s.CheckNotifications(t.Context()); err == nil {
			t.Error("the check found nothing")
		}
		if advice := s.Condition().Advice; !strings.Contains(advice, "ALTER ROLE CURRENT_USER SET statement_timeout") {
			t.Errorf("advice %q", advice)
		}
	})
	t.Run("refuses an address of another database", func(t *testing.T) {
		other := migrated(t, cluster.Database(t))
		s := opened(t, postgres.Config{URL: database, ReadNotifyURL: func() (string, error) { return other, nil }})
		if err := s.CheckNotifications(t.Context()); err == nil {
			t.Error("accepted")
		}
	})
}

// within waits for something, for ten seconds.
func within[T any](t *testing.T, from <-chan T) (got T) {
	t.Helper()
	select {
	case got = <-from:
	case <-time.After(10 * time.Second):
		t.Fatal("it did not come within ten seconds")
	}
	return got
}

// Covers: FD-115. The password of the database changes while connections are open and while there are none: a new connection reads
// it again, and one that cannot be read is the one before.
func TestFD115PasswordRotates(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	execute(t, database, "CREATE ROLE rotating LOGIN SUPERUSER PASSWORD 'first'")
	postgrestest.RequirePassword(t, database, "rotating")
	address := strings.Replace(database, "user=postgres", "user=rotating", 1) + "&password="
	current, unreadable := make(chan string, 1), errors.New("no such file")
	current <- address + "first"
	read := func() (string, error) {
		now := <-current
		current <- now
		if now == "" {
			return "", unreadable
		}
		return now, nil
	}
	write := func(to string) {
		<-current
		current <- to
	}
	s := opened(t, postgres.Config{ReadURL: read, MaxConnections: 4})
	changed, beats := changes(t, s)
	within(t, changed)
	ask := func() error {
		_, err := s.Clients(t.Context())
		return err
	}
	rotate := func(password string) {
		execute(t, database, "ALTER ROLE rotating PASSWORD '"+password+"'")
		execute(t, database, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'")
	}
	recovers := func(t *testing.T) {
		t.Helper()
		began, err := time.Now(), errors.New("not asked")
		for err != nil {
			if err = ask(); time.Since(began) > 5*time.Second {
				t.Fatal(err)
			}
		}
	}
	t.Run("accepts one that is written before it changes", func(t *testing.T) {
		write(address + "second")
		rotate("second")
		recovers(t)
		if first := within(t, changed); !first.Lost { // the listening connection, too
			t.Errorf("%+v", first)
		}
		within(t, beats)
	})
	t.Run("refuses to serve with an old one, and accepts one that is written late", func(t *testing.T) {
		rotate("third")
		for range 3 {
			if err := ask(); !errors.Is(err, store.ErrUnavailable) || strings.Contains(fmt.Sprint(err), "second") {
				t.Errorf("with the old password: %v", err)
			}
		}
		write(address + "third")
		recovers(t)
	})
	t.Run("accepts the one before where the file cannot be read, and says so", func(t *testing.T) {
		write("")
		rotate("third")
		recovers(t)
		if err := s.Condition().Address; !errors.Is(err, unreadable) {
			t.Errorf("said %v", err)
		}
		write("nonsense://")
		rotate("third")
		recovers(t)
		if err := s.Condition().Address; err == nil || strings.Contains(err.Error(), "nonsense") {
			t.Errorf("said %v", err)
		}
		write(address + "third")
		rotate("third")
		recovers(t)
		if err := s.Condition().Address; err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses one that would go over the network in plain text", func(t *testing.T) {
		write("postgres://rotating:third@192.0.2.1/database?sslmode=disable")
		rotate("third")
		recovers(t) // by the address before
		if err := s.Condition().Address; err == nil || !strings.Contains(err.Error(), "would not be protected") {
			t.Errorf("said %v", err)
		}
	})
}

// Covers: NM-93. A pooler that keeps sessions or transactions is used; one that hands over each statement is refused by name, with what
// to change, however it is asked about parameters of sessions.
func TestNM93PoolModes(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	const ignored = "ignore_startup_parameters = jit,lock_timeout,statement_timeout,plan_cache_mode,enable_seqscan,enable_hashjoin,enable_mergejoin,idle_in_transaction_session_timeout,extra_float_digits"
	for _, mode := range []string{"session", "transaction"} {
		for name, line := range map[string]string{"as it is": "", "that ignores parameters": ignored} {
			t.Run("accepts the mode "+mode+", "+name, func(t *testing.T) {
				s := opened(t, postgres.Config{URL: cluster.Pooler(t, database, mode, "default_pool_size = 5", line)})
				if err := s.Ping(t.Context()); err != nil {
					t.Error(err)
				}
				if err := oneFlow(s, time.Now(), mode+name, 3*time.Minute); err != nil {
					t.Error(err)
				}
			})
		}
	}
	for name, line := range map[string]string{"as it is": "", "that ignores parameters": ignored} {
		t.Run("refuses the mode statement, "+name, func(t *testing.T) {
			s, err := postgres.Open(t.Context(), postgres.Config{URL: cluster.Pooler(t, database, "statement", line)})
			if err == nil {
				s.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "set pool_mode = transaction (or session) in PgBouncer") {
				t.Error(err)
			}
		})
	}
}
