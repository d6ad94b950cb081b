package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres"
)

// movable is a clock that is moved by hand.
type movable struct{ micros atomic.Int64 }

func (m *movable) now() time.Time      { return time.UnixMicro(m.micros.Load()).UTC() }
func (m *movable) set(t time.Time)     { m.micros.Store(t.UnixMicro()) }
func (m *movable) add(d time.Duration) { m.micros.Add(d.Microseconds()) }

// column reads the only column of a query.
func column(t *testing.T, url, query string) []string {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	rows, err := conn.Query(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		t.Fatal(err)
	}
	return values
}

const listPartitions = `SELECT inhrelid::regclass::text FROM pg_inherits ORDER BY 1`

// TestPartitions: hours go by under load, on two nodes. No request fails at a boundary, nothing lands in a default
// partition, and at any time there are few partitions.
func TestPartitions(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	var clock movable
	clock.set(time.Date(2026, 3, 1, 11, 50, 0, 0, time.UTC))
	nodes := []*postgres.Store{
		opened(t, postgres.Config{URL: database, Now: clock.now, DatabaseNow: clock.now, MaxConnections: 4}),
		opened(t, postgres.Config{URL: database, Now: clock.now, DatabaseNow: clock.now, MaxConnections: 4}),
	}
	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var flows atomic.Int64
	var began [3]atomic.Int64 // when each worker's flow began, 0 for one that has ended
	for worker := range began {
		load.Go(func() {
			defer began[worker].Store(0)
			for i := 0; ctx.Err() == nil; i++ {
				began[worker].Store(0)
				time.Sleep(2 * time.Millisecond) // the clock is what has to be fast
				now := clock.now()
				began[worker].Store(now.UnixNano())
				if clock.now().Sub(now) > 5*time.Minute {
					continue // the clock did not know of it yet
				}
				if err := oneFlow(nodes[(worker+i)%2], now, fmt.Sprint(worker, " ", i), 25*time.Minute); err != nil {
					t.Errorf("%s: %v", clock.now(), err)
					return
				}
				flows.Add(1)
			}
		})
	}
	most := 0
	for minutes := range 200 {
		// The clock does not outrun a flow that a slow machine holds up between two statements: what it goes on to write would
		// rightly find its partition dropped.
		for slow := true; slow; {
			slow = false
			for worker := range began {
				start := began[worker].Load()
				slow = slow || start != 0 && clock.now().Sub(time.Unix(0, start)) >= time.Minute
			}
			time.Sleep(time.Millisecond)
		}
		clock.add(time.Minute)
		for _, node := range nodes {
			if _, err := node.Purge(t.Context(), 1000); err != nil {
				t.Errorf("%s: %v", clock.now(), err)
			}
		}
		if minutes%30 == 0 {
			most = max(most, len(column(t, database, listPartitions)))
		}
	}
	stop()
	load.Wait()
	t.Logf("%d flows in 200 minutes; at most %d partitions", flows.Load(), most)
	if most > 30 {
		t.Errorf("there were %d partitions", most)
	}
	for _, table := range []string{"uses", "requests", "interactions", "codes", "access_tokens"} {
		if n := count(t, database, table+"_default"); n != 0 {
			t.Errorf("%d rows of %s are in no partition of their own: %v", n, table, column(t, database, "SELECT t::text FROM "+table+"_default t"))
		}
	}
	for _, name := range column(t, database, listPartitions) {
		if strings.Contains(name, "_2026030112") {
			t.Errorf("%s is still there at %s", name, clock.now())
		}
	}
}

// oneFlow goes from the pushed request to the token. Its values can be used for a life.
func oneFlow(s *postgres.Store, now time.Time, name string, life time.Duration) error {
	ctx := context.Background()
	id := func(what string) store.Digest { return store.DigestOf(name + what) }
	oneTime := func(what string) store.OneTime {
		return store.OneTime{Kind: "dpop", Key: id("use" + what), Until: now.Add(life)}
	}
	grant := store.Grant{ID: name, ClientID: "client", Subject: "subject", CreatedAt: now, ExpiresAt: now.Add(48 * time.Hour)}
	code := store.Code{ID: id("code"), GrantID: grant.ID, ClientID: "client", CreatedAt: now, ExpiresAt: now.Add(30 * time.Minute)}
	soon := now.Add(30 * time.Minute)
	if err := s.Push(ctx, store.Request{ID: id("request"), ClientID: "client", CreatedAt: now, ExpiresAt: soon}, oneTime("1")); err != nil {
		return fmt.Errorf("push: %w", err)
	}
	if err := s.BeginInteraction(ctx, store.Interaction{ID: id("interaction"), RequestID: id("request"), CreatedAt: now, ExpiresAt: soon}); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := s.Finish(ctx, store.Finish{Interaction: id("interaction"), Request: id("request"), Grant: &grant, Code: &code}); err != nil {
		return fmt.Errorf("finish: %w", err)
	}
	access := store.AccessToken{ID: id("access"), GrantID: grant.ID, ExpiresAt: now.Add(30 * time.Minute)}
	if err := s.RedeemCode(ctx, code.ID, store.Issued{AccessToken: access}, oneTime("2")); err != nil {
		return fmt.Errorf("redeem: %w", err)
	}
	if err := s.Push(ctx, store.Request{ID: id("again"), ClientID: "client", CreatedAt: now, ExpiresAt: soon}, oneTime("1")); !errors.Is(err, store.ErrReplayed) {
		return fmt.Errorf("the same value again: %w", err)
	}
	return nil
}

// TestClocksApart: nodes whose clocks differ by nearly a minute (each 29 s from the right time) race for the same values, whose
// artefacts end on this or on that side of a boundary between partitions, before, while and after the partitions are made:
// one wins, each time. The same value in another artefact, with another end, is the same value.
func TestClocksApart(t *testing.T) {
	for name, maintained := range map[string]bool{"with partitions": true, "in the default partition": false} {
		t.Run(name, func(t *testing.T) {
			database := migrated(t, cluster.Database(t))
			var clock movable
			boundary := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
			clock.set(boundary.Add(-2 * time.Minute))
			if !maintained {
				clock.set(boundary.Add(-10 * time.Hour))
			}
			var nodes []*postgres.Store
			for _, off := range []time.Duration{-29 * time.Second, 29 * time.Second} {
				nodes = append(nodes, opened(t, postgres.Config{
					URL: database, MaxConnections: 8, DatabaseNow: clock.now, Now: func() time.Time { return clock.now().Add(off) },
				}))
			}
			values := 0
			for offset := -2 * time.Minute; offset <= 2*time.Minute; offset += 5 * time.Second {
				now := boundary.Add(offset)
				clock.set(now)
				for _, same := range []bool{true, false} {
					values++
					key := store.DigestOf(fmt.Sprint("value ", values))
					var won atomic.Int64
					var racing sync.WaitGroup
					for i := range 16 {
						until := now.Add(3 * time.Minute)
						if !same { // some end before the boundary, and some far behind it
							until = now.Add(time.Duration(31+i*25) * time.Second)
						}
						racing.Go(func() {
							err := nodes[i%2].ConsumeOneTime(t.Context(), store.OneTime{Kind: "dpop", Key: key, Until: until})
							switch {
							case err == nil:
								won.Add(1)
							case !errors.Is(err, store.ErrReplayed):
								t.Error(err)
							}
						})
					}
					racing.Wait()
					if won.Load() != 1 {
						t.Errorf("at %s from the boundary, same end %v: %d won", offset, same, won.Load())
					}
					// Later, on either node, as long as the artefact can be accepted.
					clock.add(25 * time.Second)
					for _, node := range nodes {
						if err := node.ConsumeOneTime(t.Context(), store.OneTime{Kind: "dpop", Key: key, Until: now.Add(3 * time.Minute)}); !errors.Is(err, store.ErrReplayed) {
							t.Errorf("later: %v", err)
						}
					}
				}
				if maintained {
					if _, err := nodes[0].Purge(t.Context(), 100); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
}

// TestMigratePartitions: what a database from before step 8 holds is still there. Nodes from step 8 on write the end of ten minutes
// themselves, and their statements meet what the new ones write, with no trigger of step 8 left that would do it for them.
func TestMigratePartitions(t *testing.T) {
	database := cluster.Database(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	before(t, database, 7)
	old, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close(context.Background())
	const oldUse = `INSERT INTO uses (kind, key, until) SELECT u.kind, u.key, u.until
		FROM unnest($1::text[], $2::bytea[], $3::timestamptz[]) AS u (kind, key, until) ORDER BY 1, 2`
	use := func(name string, until time.Time) error {
		key := store.DigestOf(name)
		_, err := old.Exec(t.Context(), oldUse, []string{"dpop"}, [][]byte{key[:]}, []time.Time{until})
		return err
	}
	until := now.Add(2 * time.Minute)
	useOld := func(name string) error {
		return use(name, until.Truncate(10*time.Minute).Add(10*time.Minute-time.Microsecond))
	}
	oneTime := func(name string) store.OneTime {
		return store.OneTime{Kind: "dpop", Key: store.DigestOf(name), Until: until}
	}
	request, code := store.DigestOf("request"), store.DigestOf("code")
	if err := errors.Join(use("before", until), func() error {
		_, err := old.Exec(t.Context(), `INSERT INTO requests (id, client_id, created_at, expires_at, purge_at) VALUES ($1, 'client', $2, $3, $4)`,
			request[:], now, now.Add(time.Minute), now.Add(time.Hour))
		return err
	}(), func() error {
		_, err := old.Exec(t.Context(), `INSERT INTO grants (id, client_id, subject, acr, created_at, expires_at) VALUES ('grant', 'client', '', '', $1, $2)`, now, now.Add(time.Hour))
		return err
	}(), func() error {
		_, err := old.Exec(t.Context(), `INSERT INTO codes (id, grant_id, client_id, redirect_uri, challenge, jkt, created_at, expires_at, failures)
			VALUES ($1, 'grant', 'client', '', '', '', $2, $3, 0)`, code[:], now, now.Add(time.Minute))
		return err
	}()); err != nil {
		t.Fatal(err)
	}

	migrated(t, database)
	s := opened(t, postgres.Config{URL: database})
	if err := s.ConsumeOneTime(t.Context(), oneTime("before")); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("what was used before the step: %v", err)
	}
	if err := s.Finish(t.Context(), store.Finish{Request: request}); err != nil {
		t.Errorf("a request from before the step: %v", err)
	}
	if err := s.RedeemCode(t.Context(), code, store.Issued{AccessToken: store.AccessToken{ID: store.DigestOf("access"), ExpiresAt: now.Add(time.Minute)}}); err != nil {
		t.Errorf("a code from before the step: %v", err)
	}

	if err := s.ConsumeOneTime(t.Context(), oneTime("new first")); err != nil {
		t.Fatal(err)
	}
	if err := useOld("new first"); err == nil || !strings.Contains(err.Error(), "23505") {
		t.Errorf("an old node, after a new one: %v", err)
	}
	if err := useOld("old first"); err != nil {
		t.Fatal(err)
	}
	if err := s.ConsumeOneTime(t.Context(), oneTime("old first")); !errors.Is(err, store.ErrReplayed) {
		t.Errorf("a new node, after an old one: %v", err)
	}
	if left := column(t, database, `SELECT tgname FROM pg_trigger WHERE tgrelid = 'uses'::regclass`); len(left) > 0 {
		t.Errorf("the triggers %v are left", left)
	}
	if names := column(t, database, listPartitions); !slices.Contains(names, "codes_before") {
		t.Errorf("the partitions are %v", names)
	}
}

// before brings a database to an earlier version of the schema, as goose does.
func before(t *testing.T, database string, version int) {
	t.Helper()
	execute(t, database, `CREATE TABLE goose_db_version (id integer PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, version_id bigint NOT NULL,
		is_applied boolean NOT NULL, tstamp timestamp NOT NULL DEFAULT now()); INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true)`)
	files, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files[:version] {
		step, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		execute(t, database, string(step))
		execute(t, database, fmt.Sprintf("INSERT INTO goose_db_version (version_id, is_applied) VALUES (%d, true)", i+1))
	}
}

// TestPlansStayRight: a plan that was made while the tables were empty reads a few rows by their keys, however many there
// are by now, and however many people, clients and audit lines.
func TestPlansStayRight(t *testing.T) {
	database := migrated(t, cluster.Database(t))
	execute(t, database, `INSERT INTO users (subject, username, password, disabled, created_at, updated_at)
			SELECT 'grown-' || n, 'grown-' || n, '', false, now(), now() FROM generate_series(1, 3000) n;
		INSERT INTO clients (id, profile, disabled, version, created_at, updated_at) SELECT 'grown-' || n, '', false, 1, now(), now() FROM generate_series(1, 3000) n;
		INSERT INTO audit_log (chain, sequence, line) SELECT 'grown', n, '{}' FROM generate_series(1, 3000) n`)
	s := opened(t, postgres.Config{URL: database, MaxConnections: 1})
	const flows = 400
	for i := range flows {
		if err := oneFlow(s, time.Now(), fmt.Sprint(i), 3*time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// A connection passes its counts on before it is gone.
	others := `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		AND backend_type = 'client backend'`
	for deadline := time.Now().Add(10 * time.Second); column(t, database, others)[0] != "0"; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a connection is still open")
		}
	}
	read := column(t, database, `SELECT ((SELECT sum(seq_tup_read) FROM pg_stat_user_tables) + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes))::bigint::text`)
	var rows int
	if _, err := fmt.Sscan(read[0], &rows); err != nil || rows < flows {
		t.Fatalf("%v rows were read: %v", read, err)
	}
	t.Logf("%d rows are read in a flow", rows/flows)
	if rows/flows > 40 {
		t.Errorf("%d rows were read in %d flows", rows, flows)
	}
}
