package backend

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

// Migration is one step of a schema.
type Migration struct {
	Version int64
	// Name is the step's file name without number and ending; empty when this program does not know the step.
	Name string
	// AppliedAt is zero while the step is pending.
	AppliedAt time.Time
}

// SchemaError tells that a database's schema is not the one that this program was built for.
type SchemaError struct {
	// System is the backend's name.
	System string
	// Have is the database's schema version and Want the program's.
	Have, Want int64
}

// Error says in one line what is wrong and what to run.
func (e *SchemaError) Error() string {
	if e.Have > e.Want {
		return fmt.Sprintf("%s: the database has schema version %d, which is newer than this program (%d): "+
			"run the release of countersign that migrated it, or a later one", e.System, e.Have, e.Want)
	}
	return fmt.Sprintf("%s: the database has schema version %d and this program needs %d: run `countersign migrate up`",
		e.System, e.Have, e.Want)
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
	// HasVersions is a query that tells whether the table of applied steps exists.
	HasVersions string
	Options     []goose.ProviderOption
}

// Up applies what is pending and returns it. It takes no lock when nothing is pending. A database that is newer
// than the program is a [SchemaError].
func (s Schema) Up(ctx context.Context, db *sql.DB) ([]Migration, error) {
	before, err := s.Status(ctx, db)
	if err != nil {
		return nil, err
	}
	if have, want := versions(before); have > want {
		return nil, &SchemaError{System: s.System, Have: have, Want: want}
	}
	if !slices.ContainsFunc(before, pending) {
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
	after, err := s.Status(ctx, db)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(after, func(m Migration) bool {
		return !slices.ContainsFunc(results, func(r *goose.MigrationResult) bool { return r.Source.Version == m.Version })
	}), nil
}

// Check returns nil when the database has the program's schema and a [SchemaError] when it has another.
func (s Schema) Check(ctx context.Context, db Querier) error {
	status, err := s.Status(ctx, db)
	if err != nil {
		return err
	}
	if have, want := versions(status); have != want || slices.ContainsFunc(status, pending) {
		return &SchemaError{System: s.System, Have: have, Want: want}
	}
	return nil
}

// Status lists the program's steps and any others that the database has, in order, and changes nothing.
func (s Schema) Status(ctx context.Context, db Querier) ([]Migration, error) {
	status, err := s.Known()
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
		var applied Migration
		if err := rows.Scan(&applied.Version, &applied.AppliedAt); err != nil {
			return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
		}
		if i := slices.IndexFunc(status, func(m Migration) bool { return m.Version == applied.Version }); i >= 0 {
			status[i].AppliedAt = applied.AppliedAt
		} else {
			status = append(status, applied)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("%s: read the schema version: %w", s.System, err)
	}
	slices.SortFunc(status, func(a, b Migration) int { return int(a.Version - b.Version) })
	return status, nil
}

// Known lists the program's steps, all as pending.
func (s Schema) Known() ([]Migration, error) {
	names, err := fs.Glob(s.Files, "migrations/*.sql")
	if err != nil {
		return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
	}
	known := make([]Migration, 0, len(names))
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, fmt.Errorf("%s: embedded migrations: %w", s.System, err)
		}
		_, title, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".sql"), "_")
		known = append(known, Migration{Version: version, Name: title})
	}
	return known, nil
}

// versions returns the newest applied version and the newest that the program knows.
func versions(status []Migration) (have, want int64) {
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

func pending(m Migration) bool { return m.AppliedAt.IsZero() }
