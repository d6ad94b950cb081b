package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"countersign/internal/pgproxy"
)

// growth measures one flow on two databases that differ in how much was granted before.
type growth struct {
	m *machine
	// few and many are how many grants there are.
	few, many int
	// data keeps the databases; they are made once.
	data string
}

// tellGrowth measures, prints and writes.
func (m *machine) tellGrowth(ctx context.Context) error {
	g := growth{m: m, data: m.growthData}
	if _, err := fmt.Sscanf(m.growth, "%d,%d", &g.few, &g.many); err != nil || g.few < 1 || g.many < g.few {
		return fmt.Errorf("-growth %q is not two numbers, the smaller one first", m.growth)
	}
	if m.growthLoad {
		for _, grants := range []int{g.few, g.many} {
			s, err := g.start(ctx, grants)
			if err != nil {
				return fmt.Errorf("%d grants: %w", grants, err)
			}
			s.stop()
			_ = s.proxy.Close() // nobody is left to go through it
		}
		return nil
	}
	results, err := g.measure(ctx)
	if err != nil {
		return err
	}
	fmt.Println(results.table().text())
	if m.write == "" {
		return nil
	}
	return results.write(m.write)
}

// grown is a server with its database.
type grown struct {
	server
	grants int
	proxy  *pgproxy.Proxy
	// size is what the database has on the disk.
	size string
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
	few, many         int
	fewSize, manySize string
	rounds            int
	samples           map[string][][2]grownSample
}

// measure has both servers take turns.
func (g growth) measure(ctx context.Context) (*growthResults, error) {
	var both [2]*grown
	defer func() {
		for _, s := range both {
			if s != nil {
				s.stop()
				_ = s.proxy.Close() // nobody is left to go through it
			}
		}
	}()
	for i, grants := range []int{g.few, g.many} {
		fmt.Printf("starting PostgreSQL with %d grants\n", grants)
		var err error
		if both[i], err = g.start(ctx, grants); err != nil {
			return nil, fmt.Errorf("%d grants: %w", grants, err)
		}
	}
	steps := g.m.chosen()
	for _, s := range both {
		if err := s.prepare(ctx, g.m.workers); err != nil {
			return nil, err
		}
		if err := s.warm(ctx, steps, g.m.seconds); err != nil {
			return nil, err
		}
	}
	results := &growthResults{few: g.few, many: g.many, fewSize: both[0].size, manySize: both[1].size, rounds: g.m.rounds, samples: map[string][][2]grownSample{}}
	for round := range g.m.rounds {
		for _, step := range steps {
			var pair [2]grownSample
			for turn := range both {
				i := (turn + round) % 2 // nobody always comes first
				before := both[i].proxy.RoundTrips()
				measured, err := both[i].measure(ctx, step, g.m.seconds)
				if err != nil {
					return nil, fmt.Errorf("%d grants, %s: %w", both[i].grants, step.name, err)
				}
				// Each actor goes through the step, or a flow, once before what is counted.
				trips := float64(both[i].proxy.RoundTrips()-before) / float64(measured.Operations+g.m.workers)
				pair[i] = grownSample{measured, trips}
				fmt.Printf("round %d  %9d grants  %-20s %7.3f ms CPU  %5.2f round trips\n", round+1, both[i].grants, step.name, measured.CPU, trips)
			}
			results.samples[step.name] = append(results.samples[step.name], pair)
		}
	}
	return results, nil
}

// start starts a server on a database with so many grants, which is made when it is not there.
func (g growth) start(ctx context.Context, grants int) (*grown, error) {
	folder := filepath.Join(g.data, fmt.Sprint(grants))
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return nil, err
	}
	s := &grown{server: server{name: fmt.Sprint(grants), alg: "ES256"}, grants: grants}
	database, socket, err := g.m.keptPostgres(ctx, filepath.Join(folder, "postgres"))
	if err != nil {
		return nil, err
	}
	s.add(database.process, database.stop)
	if s.proxy, err = pgproxy.Start(socket); err != nil {
		s.stop()
		return nil, err
	}
	if err := g.install(ctx, s, folder, socket); err != nil {
		s.stop()
		return nil, errors.Join(err, s.proxy.Close())
	}
	return s, nil
}

func (g growth) install(ctx context.Context, s *grown, folder, socket string) error {
	installation := filepath.Join(g.m.folder, "grown-"+s.name)
	ports := [2]int{}
	for i := range ports {
		var err error
		if ports[i], err = g.m.port(); err != nil {
			return err
		}
	}
	initialise := []string{"init", "--dev", "--dir", installation, "--port", fmt.Sprint(ports[0]), "--mtls-port", fmt.Sprint(ports[1])}
	if err := g.m.countersign(ctx, initialise...); err != nil {
		return err
	}
	s.endpoints = endpointsAt(fmt.Sprintf("https://localhost:%d", ports[0]), "/par", "/authorize", "/token")
	urlFile := filepath.Join(g.m.folder, "grown-url-"+s.name)
	if err := os.WriteFile(urlFile, []byte("postgres:///countersign?user=countersign&host="+s.proxy.Host()), 0o600); err != nil {
		return err
	}
	file := filepath.Join(installation, "countersign.toml")
	if err := configure(file, map[string]string{
		"access_token_algorithm": s.alg, "client_per_second": "100000", "client_burst": "100000", "log_level": "info",
		"driver": "postgres", "url_file": urlFile, "file": "",
	}); err != nil {
		return err
	}
	// The keys of this run, and the people, clients and keys of no other.
	for _, command := range []func() error{
		func() error { return g.m.countersign(ctx, "migrate", "up", "--config", file) },
		func() error { return g.sql(ctx, socket, "TRUNCATE users, clients, keys, seeds") },
		func() error { return g.load(ctx, s, folder, socket) },
		func() error { return g.m.countersign(ctx, initialise...) },
		func() error { return g.m.register(ctx, &s.server, file) },
		func() error { return s.trust(filepath.Join(installation, "tls/ca.crt")) },
	} {
		if err := command(); err != nil {
			return err
		}
	}
	size, err := g.psql(ctx, socket, "-Atc", "SELECT pg_size_pretty(pg_database_size('countersign'))").Output()
	if err != nil {
		return err
	}
	s.size = strings.TrimSpace(string(size))
	password, err := os.ReadFile(filepath.Join(installation, "demo/password"))
	if err != nil {
		return err
	}
	s.answer = ourPages(strings.TrimSpace(string(password)))
	return g.m.launch(ctx, &s.server, installation, exec.Command(g.m.binary, "serve", "--config", file))
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
