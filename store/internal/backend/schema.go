package backend

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"countersign/store"
)

// step is one step of the schema as the program has it and as the database recorded it.
type step struct {
	store.Migration
	// digest is the SHA-256 of the program's step, recorded that of the step when it was applied; empty when unknown.
	digest, recorded string
}

// Querier is a database or one connection of it.
type Querier interface {
	QueryContext(ctx context.Context, query string, arguments ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, arguments ...any) *sql.Row
}

// Schema is the embedded schema of one backend.
type Schema struct {
	// System is the backend's name.
	System  string
	Dialect goose.Dialect
	// Files holds the steps as migrations/<number>_<name>.sql.
	Files fs.FS
	// HasVersions is a query that reports whether the table of applied steps exists.
	HasVersions string
	// HasSteps is a query that reports whether the table schema_steps exists.
	HasSteps string
	Options  []goose.ProviderOption
}

// Up applies what is pending and returns it. It takes no lock when nothing is pending. A database that is newer
// than the program is a [store.SchemaError].
func (s Schema) Up(ctx context.Context, db *sql.DB) ([]store.Migration, error) {
	before, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	if err := s.fits(before); err != nil {
		return nil, err
	}
	if have, want := versions(before); have > want || !slices.ContainsFunc(before, pending) {
		return nil, nil
	}
	files, err := fs.Sub(s.Files, "migrations")
	if err != nil {
		return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
	}
	options := append([]goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger())}, s.Options...)
	provider, err := goose.NewProvider(s.Dialect, db, files, options...)
	if err != nil {
		return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
	}
	results, err := provider.Up(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: migrate: %w", s.System, err)
	}
	if err := s.record(ctx, db); err != nil {
		return nil, err
	}
	after, err := s.Status(ctx, db)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(after, func(m store.Migration) bool {
		return !slices.ContainsFunc(results, func(r *goose.MigrationResult) bool { return r.Source.Version == m.Version })
	}), nil
}

// Check returns nil when the database has the program's schema, or a later one that says it is compatible. Another is a
// [store.SchemaError], one that was changed a [store.ChangedError].
func (s Schema) Check(ctx context.Context, db Querier) error {
	status, err := s.status(ctx, db)
	if err != nil {
		return err
	}
	if have, want := versions(status); slices.ContainsFunc(status, pending) {
		return &store.SchemaError{System: s.System, Have: have, Want: want}
	}
	return s.fits(status)
}

// fits refuses a database with a step that was changed, or with one that this program is too old for.
func (s Schema) fits(status []step) error {
	have, want := versions(status)
	for _, m := range status {
		switch {
		case pending(m):
		case m.Name == "" && (m.Compatible == 0 || m.Compatible > want):
			return &store.SchemaError{System: s.System, Have: have, Want: want}
		case m.Name != "" && m.recorded != "" && m.recorded != m.digest:
			return &store.ChangedError{System: s.System, Version: m.Version}
		}
	}
	return nil
}

// record stores which steps were applied. Steps from before schema_steps existed are recorded as this program has them.
func (s Schema) record(ctx context.Context, db *sql.DB) error {
	known, err := s.known()
	if err != nil {
		return err
	}
	for _, m := range known {
		// All three are this program's own, and not input.
		statement := fmt.Sprintf("INSERT INTO schema_steps (version, digest, compatible) VALUES (%d, '%s', %d) ON CONFLICT DO NOTHING",
			m.Version, m.digest, m.Compatible)
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("%s: record the steps of the schema: %w", s.System, err)
		}
	}
	return nil
}

// Status lists the program's steps and any others that the database has, in order, and changes nothing.
func (s Schema) Status(ctx context.Context, db Querier) ([]store.Migration, error) {
	status, err := s.status(ctx, db)
	return migrations(status), err
}

func (s Schema) status(ctx context.Context, db Querier) ([]step, error) {
	status, err := s.known()
	if err != nil {
		return nil, err
	}
	var exists bool
	if err := db.QueryRowContext(ctx, s.HasVersions).Scan(&exists); err != nil {
		return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
	}
	if !exists {
		return status, nil
	}
	rows, err := db.QueryContext(ctx, "SELECT version_id, tstamp FROM goose_db_version WHERE is_applied AND version_id > 0")
	if err != nil {
		return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
	}
	defer rows.Close()
	for rows.Next() {
		var applied step
		if err := rows.Scan(&applied.Version, &applied.AppliedAt); err != nil {
			return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
		}
		if i := slices.IndexFunc(status, func(m step) bool { return m.Version == applied.Version }); i >= 0 {
			status[i].AppliedAt = applied.AppliedAt
		} else {
			status = append(status, applied)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
	}
	slices.SortFunc(status, func(a, b step) int { return int(a.Version - b.Version) })
	return status, s.recorded(ctx, db, status)
}

// recorded reads what record wrote.
func (s Schema) recorded(ctx context.Context, db Querier, status []step) error {
	var exists bool
	if err := db.QueryRowContext(ctx, s.HasSteps).Scan(&exists); err != nil {
		return fmt.Errorf("%s: read the steps of the schema: %w", s.System, err)
	}
	if !exists {
		return nil
	}
	rows, err := db.QueryContext(ctx, "SELECT version, digest, compatible FROM schema_steps")
	if err != nil {
		return fmt.Errorf("%s: read the steps of the schema: %w", s.System, err)
	}
	defer rows.Close()
	for rows.Next() {
		var version, compatible int64
		var digest string
		if err := rows.Scan(&version, &digest, &compatible); err != nil {
			return fmt.Errorf("%s: read the steps of the schema: %w", s.System, err)
		}
		if i := slices.IndexFunc(status, func(m step) bool { return m.Version == version }); i >= 0 {
			status[i].recorded, status[i].Compatible = digest, compatible
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("%s: read the steps of the schema: %w", s.System, err)
	}
	return nil
}

// Known lists the program's steps, all as pending.
func (s Schema) Known() ([]store.Migration, error) {
	known, err := s.known()
	return migrations(known), err
}

func (s Schema) known() ([]step, error) {
	names, err := fs.Glob(s.Files, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
	}
	known := make([]step, 0, len(names))
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
		}
		_, title, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		text, err := fs.ReadFile(s.Files, name)
		if err != nil {
			return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
		}
		compatible := version // unless the step says otherwise, older programs do not know what to do with it
		if _, err := fmt.Sscanf(string(text), "-- compatible: %d\n", &compatible); err != nil {
			compatible = version
		}
		digest := sha256.Sum256(text)
		known = append(known, step{
			Migration: store.Migration{Version: version, Name: title, Compatible: compatible}, digest: hex.EncodeToString(digest[:]),
		})
	}
	return known, nil
}

// versions returns the newest applied version and the newest that the program knows.
func versions(status []step) (have, want int64) {
	for _, m := range status {
		if !pending(m) {
			have = max(have, m.Version)
		}
		if m.Name != "" {
			want = max(want, m.Version)
		}
	}
	return have, want
}

func pending(m step) bool { return m.AppliedAt.IsZero() }

// migrations are steps without what is not for others; nil for none.
func migrations(steps []step) []store.Migration {
	if steps == nil {
		return nil
	}
	all := make([]store.Migration, len(steps))
	for i, s := range steps {
		all[i] = s.Migration
	}
	return all
}
