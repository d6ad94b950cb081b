package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"countersign/bench/servers"
	"countersign/internal/pgproxy"
)

// growth measures one flow on two databases that differ in how much was granted before.
type growth struct {
	m *machine
	// few and many are how many there are of a kind.
	few, many int
	of        kind
	// sqlite has the databases be files of SQLite, which are made each time.
	sqlite bool
	// data keeps those of PostgreSQL; they are made once.
	data string
}

// tellGrowth measures, prints and writes.
func (m *machine) tellGrowth(ctx context.Context, watch func() (string, error)) error {
	g := growth{m: m, data: m.growthData, sqlite: m.growthStore == "sqlite"}
	if !g.sqlite && m.growthStore != "postgres" {
		return fmt.Errorf("-growth-store %q is neither postgres nor sqlite", m.growthStore)
	}
	var known bool
	if g.of, known = kindOf(m.growthOf); !known {
		return fmt.Errorf("-growth-of %q is none of %s", m.growthOf, strings.Join(kindNames(), ", "))
	}
	if g.of.fill != nil && m.growthLoad {
		return errors.New("-growth-load makes databases with grants only: others are made each time")
	}
	if _, err := fmt.Sscanf(m.growth, "%d,%d", &g.few, &g.many); err != nil || g.few < 1 || g.many < g.few {
		return fmt.Errorf("-growth %q is not two numbers, the smaller one first", m.growth)
	}
	if m.growthLoad {
		for _, grants := range []int{g.few, g.many} {
			s, err := g.start(ctx, grants)
			if err != nil {
				return fmt.Errorf("%d grants: %w", grants, err)
			}
			s.end()
		}
		return nil
	}
	results, err := g.measure(ctx)
	if err != nil {
		return err
	}
	said, noise := watch()
	results.noise = said
	fmt.Println(results.table().Text() + "\n" + said)
	if m.write == "" {
		return nil
	}
	if noise != nil {
		return fmt.Errorf("nothing is written: %w", noise)
	}
	return results.write(m.write)
}

// grown is a server with its database.
type grown struct {
	target
	grants int
	// began is the processors' time that was used before the node started, and started what it took to be ready.
	began, started time.Duration
	// proxy counts round trips to PostgreSQL; nil for SQLite.
	proxy *pgproxy.Proxy
	// size is what the database has on the disk, in bytes.
	size func() (int64, error)
}

func (s *grown) end() {
	s.Close()
	if s.proxy != nil {
		_ = s.proxy.Close() // its server has ended
	}
}

// trips are the round trips until now.
func (s *grown) trips() int64 {
	if s.proxy == nil {
		return 0
	}
	return s.proxy.RoundTrips()
}

// maxGrowth is the goal: how much more a flow may cost with many grants; maxTrips how often it may wait for the database.
const (
	maxGrowth = 1.1
	maxTrips  = 9
)

// grownSample is a measurement of a step with its round trips.
type grownSample struct {
	sample
	Trips float64 `json:"round_trips"`
}

// growthResults are the samples of each step, few and many side by side, by round.
type growthResults struct {
	few, many int
	kind      kind
	sqlite    bool
	// started is the processors' time that it took the server to be ready.
	started [2]time.Duration
	// sizes are those of the databases in bytes before anything was measured, and grew is by how much they grew, for each
	// operation.
	sizes  [2]int64
	grew   [2]float64
	rounds int
	noise  string

	samples map[string][][2]grownSample
}

// measure has both servers take turns.
func (g growth) measure(ctx context.Context) (*growthResults, error) {
	var both [2]*grown
	defer func() {
		for _, s := range both {
			if s != nil {
				s.end()
			}
		}
	}()
	for i, grants := range []int{g.few, g.many} {
		fmt.Printf("starting %s with %d %s\n", g.database(), grants, g.of.name)
		var err error
		if both[i], err = g.start(ctx, grants); err != nil {
			return nil, fmt.Errorf("%d %s: %w", grants, g.of.name, err)
		}
	}
	steps := g.m.chosen()
	results := &growthResults{few: g.few, many: g.many, kind: g.of, sqlite: g.sqlite, rounds: g.m.rounds, samples: map[string][][2]grownSample{}}
	if results.rounds == 0 {
		results.rounds = growthRounds
	}
	for i, s := range both {
		results.started[i] = s.started
		if err := s.prepare(ctx, g.m.workers); err != nil {
			return nil, err
		}
		if err := s.warm(ctx, steps, g.m.workers, g.m.seconds); err != nil {
			return nil, err
		}
		var err error
		if results.sizes[i], err = s.size(); err != nil {
			return nil, err
		}
	}
	var operations [2]int
	for round := range results.rounds {
		for _, step := range steps {
			var pair [2]grownSample
			for turn := range both {
				i := (turn + round) % 2 // nobody always comes first
				before := both[i].trips()
				measured, err := both[i].measure(ctx, step, g.m.workers, g.m.seconds)
				if err != nil {
					return nil, fmt.Errorf("%d %s, %s: %w", both[i].grants, g.of.name, step.name, err)
				}
				// Each actor goes through the step, or a flow, once before what is counted.
				done := measured.Operations + g.m.workers
				operations[i] += done
				trips := float64(both[i].trips()-before) / float64(done)
				pair[i] = grownSample{measured, trips}
				fmt.Printf("round %d  %9d %s  %-20s %7.3f ms CPU  %5.2f round trips\n", round+1, both[i].grants, g.of.name, step.name, measured.CPU, trips)
			}
			results.samples[step.name] = append(results.samples[step.name], pair)
		}
	}
	for i, s := range both {
		size, err := s.size()
		if err != nil {
			return nil, err
		}
		results.grew[i] = float64(size-results.sizes[i]) / float64(operations[i])
	}
	return results, nil
}

func (g growth) database() string {
	if g.sqlite {
		return "SQLite"
	}
	return "PostgreSQL"
}

// growthRounds is how often each pair is measured where nobody says.
const growthRounds = 20

// start starts a server on a database with so many grants.
func (g growth) start(ctx context.Context, grants int) (*grown, error) {
	if g.sqlite {
		return g.startSQLite(ctx, grants)
	}
	return g.startPostgres(ctx, grants)
}

// startPostgres starts a server on a PostgreSQL with so many grants, which is made when it is not there.
func (g growth) startPostgres(ctx context.Context, grants int) (*grown, error) {
	folder := filepath.Join(g.data, fmt.Sprint(grants))
	if g.of.fill != nil {
		folder = filepath.Join(g.data, g.of.name, fmt.Sprint(grants))
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	s := &grown{target: target{Server: &servers.Server{Name: fmt.Sprint(grants), Alg: "ES256"}}, grants: grants}
	database, err := servers.KeepPostgres(ctx, filepath.Join(folder, "postgres"))
	if err != nil {
		return nil, err
	}
	s.Own(database)
	if s.proxy, err = pgproxy.Start(database.Folder); err != nil {
		s.Close()
		return nil, err
	}
	_, err = g.m.Countersign(ctx, s.Server, servers.Options{
		Database: servers.PostgresURL(s.proxy.Host()),
		// The keys of this run, and the users, clients and keys of no other.
		Prepare: func(ctx context.Context, i *servers.Installation) error {
			if _, err := i.Run(ctx, "migrate", "up"); err != nil {
				return err
			}
			if err := g.sql(ctx, database.Folder, "TRUNCATE users, clients, keys, seeds"); err != nil {
				return err
			}
			if g.of.fill != nil {
				return nil
			}
			return g.load(ctx, s, folder, database.Folder)
		},
		Fill: func(ctx context.Context, _ *servers.Installation) error {
			if g.of.fill != nil {
				if err := g.sql(ctx, database.Folder, g.of.fill(postgresDialect(), grants)+"; ANALYZE"); err != nil {
					return err
				}
			}
			s.began = s.CPU()
			return nil
		},
	})
	if err != nil {
		s.end()
		return nil, err
	}
	s.started = s.CPU() - s.began
	s.size = func() (int64, error) {
		raw, err := g.psql(ctx, database.Folder, "-Atc", "SELECT pg_database_size('countersign')").Output()
		if err != nil {
			return 0, err
		}
		return strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
	}
	return s, nil
}

// load fills the database with grants of the last 90 days and their refresh tokens, as what went on before would have left
// them. The indexes are made afterwards, which is faster.
func (g growth) load(ctx context.Context, s *grown, folder, socket string) error {
	marker := filepath.Join(folder, "loaded")
	if _, err := os.Stat(marker); err == nil {
		return nil
	}
	fmt.Printf("loading %d grants\n", s.grants)
	if err := g.sql(ctx, socket, fmt.Sprintf(`BEGIN; SET maintenance_work_mem = '1GB'; SET work_mem = '256MB';
		CREATE TEMP TABLE kept AS SELECT indexdef, indexname FROM pg_indexes WHERE tablename IN ('grants', 'refresh_tokens')
			AND schemaname = current_schema() AND indexname NOT LIKE '%%_pkey';
		DO $$ DECLARE i record; BEGIN FOR i IN SELECT * FROM kept LOOP EXECUTE format('DROP INDEX %%I', i.indexname); END LOOP; END $$;
		ALTER TABLE grants DROP CONSTRAINT grants_pkey; ALTER TABLE refresh_tokens DROP CONSTRAINT refresh_tokens_pkey;
		TRUNCATE grants, refresh_tokens;
		INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at)
			SELECT gen_random_uuid()::text, 'client-' || n %% 500, 'person-' || (n::bigint * 7919) %% (1 + %[1]d / 3), '{openid,accounts}', '{"nonce":"n"}',
				at, '', '{pwd}', at, at + interval '90 days'
			FROM generate_series(1, %[1]d) n, LATERAL (SELECT now() - interval '89 days' * n / %[1]d AS at) t;
		INSERT INTO refresh_tokens (id, grant_id, client_id, created_at, expires_at)
			SELECT sha256(convert_to(id, 'UTF8')), id, client_id, created_at, expires_at FROM grants;
		ALTER TABLE grants ADD CONSTRAINT grants_pkey PRIMARY KEY (id);
		ALTER TABLE refresh_tokens ADD CONSTRAINT refresh_tokens_pkey PRIMARY KEY (id);
		DO $$ DECLARE i record; BEGIN FOR i IN SELECT * FROM kept LOOP EXECUTE i.indexdef; END LOOP; END $$; COMMIT`, s.grants)); err != nil {
		return err
	}
	if err := g.sql(ctx, socket, "VACUUM ANALYZE grants, refresh_tokens"); err != nil {
		return err
	}
	if err := g.sql(ctx, socket, "CHECKPOINT"); err != nil {
		return err
	}
	return os.WriteFile(marker, nil, 0o600)
}

func (g growth) psql(ctx context.Context, socket string, arguments ...string) *exec.Cmd {
	return exec.CommandContext(ctx, "psql", append([]string{"-X", "-q", "-v", "ON_ERROR_STOP=1", "-h", socket, "-U", "countersign", "countersign"}, arguments...)...)
}

func (g growth) sql(ctx context.Context, socket, text string) error {
	command := g.psql(ctx, socket)
	command.Stdin = strings.NewReader(text)
	if output, err := command.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, output)
	}
	return nil
}
