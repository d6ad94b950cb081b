package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"countersign/bench/servers"
)

// startSQLite starts a server on a new file with so many grants.
func (g growth) startSQLite(ctx context.Context, grants int) (*grown, error) {
	s := &grown{target: target{Server: &servers.Server{Name: fmt.Sprint(grants), Alg: "ES256"}}, grants: grants}
	var file string
	_, err := g.m.Countersign(ctx, s.Server, servers.Options{
		Prepare: func(ctx context.Context, i *servers.Installation) error {
			var err error
			if file, err = databaseOf(i); err != nil {
				return err
			}
			if g.of.fill != nil {
				return nil
			}
			return loadSQLite(ctx, file, grants)
		},
		Fill: func(ctx context.Context, _ *servers.Installation) error {
			if g.of.fill != nil {
				if _, err := shell(ctx, file, g.of.fill(sqliteDialect(time.Now()), grants)+"; PRAGMA wal_checkpoint(TRUNCATE);"); err != nil {
					return err
				}
			}
			s.began = s.CPU()
			return nil
		},
	})
	if err != nil {
		s.Close()
		return nil, err
	}
	s.started = s.CPU() - s.began
	s.size = func() (int64, error) {
		var sum int64
		for _, name := range []string{file, file + "-wal"} {
			state, err := os.Stat(name)
			if err != nil {
				return 0, err
			}
			sum += state.Size()
		}
		return sum, nil
	}
	return s, nil
}

// databaseOf is the file of an installation.
func databaseOf(i *servers.Installation) (string, error) {
	found, err := filepath.Glob(filepath.Join(i.Folder, "*.db"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("there should be one database in %s, not %d", i.Folder, len(found))
	}
	return found[0], nil
}

// loadSQLite fills a file with the grants of the last 90 days and their refresh tokens, as what went on before would have
// left them. The indexes are made afterwards, which is faster. Times are as the store writes them.
func loadSQLite(ctx context.Context, file string, grants int) error {
	if _, err := exec.LookPath("sqlite3"); err != nil {
		return errors.New("sqlite3 is missing: make packages-bench installs it")
	}
	fmt.Printf("loading %d grants\n", grants)
	indexes, err := shell(ctx, file, `SELECT name || char(31) || replace(sql, char(10), ' ') FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL
		AND tbl_name IN ('grants', 'refresh_tokens');`)
	if err != nil {
		return err
	}
	var drop, create strings.Builder
	for line := range strings.Lines(indexes) {
		name, definition, _ := strings.Cut(strings.TrimSpace(line), "\x1f")
		fmt.Fprintf(&drop, "DROP INDEX %s;\n", name)
		fmt.Fprintf(&create, "%s;\n", definition)
	}
	const day = 24 * 3600 * 1_000_000
	_, err = shell(ctx, file, fmt.Sprintf(`PRAGMA synchronous = OFF; PRAGMA cache_size = -1000000; PRAGMA temp_store = MEMORY; BEGIN;
		%[2]s
		CREATE TEMP TABLE made AS SELECT value AS n, lower(hex(randomblob(16))) AS id, randomblob(32) AS token,
			%[4]d - 89 * %[5]d * (value / %[1]d.0) AS at FROM generate_series(1, %[1]d);
		INSERT INTO grants (id, client_id, subject, scopes, detail, auth_time, acr, amr, created_at, expires_at)
			SELECT id, 'client-' || n %% 500, 'person-' || (n * 7919) %% (1 + %[1]d / 3), '["openid","accounts"]', '{"nonce":"n"}',
				CAST(at AS INTEGER), '', '["pwd"]', CAST(at AS INTEGER), CAST(at AS INTEGER) + 90 * %[5]d FROM made ORDER BY at;
		INSERT INTO refresh_tokens (id, grant_id, client_id, created_at, expires_at)
			SELECT token, id, 'client-' || n %% 500, CAST(at AS INTEGER), CAST(at AS INTEGER) + 90 * %[5]d FROM made ORDER BY token;
		%[3]s
		COMMIT; PRAGMA wal_checkpoint(TRUNCATE);`,
		grants, drop.String(), create.String(), time.Now().UnixMicro(), int64(day)))
	return err
}

// shell runs statements by the program that comes with SQLite.
func shell(ctx context.Context, file, text string) (string, error) {
	command := exec.CommandContext(ctx, "sqlite3", "-batch", "-bail", file)
	command.Stdin = strings.NewReader(text)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("sqlite3: %w: %s", err, &problems)
	}
	return string(output), nil
}
