package dbfile

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"countersign/store/sqlite/internal/connection"
)

// bookkeeping are the tables that keep the schema, or belong to this machine, and hold none of the store's records.
func bookkeeping() []string { return []string{"goose_db_version", "schema_steps", "clock"} }

// Source is a database that is read as a whole, to be copied elsewhere. While it is open no other process can open it.
type Source struct {
	db   *sql.DB
	conn *sql.Conn
}

// Source opens a database that no server uses, and keeps others from it. It refuses one that is open elsewhere with
// [ErrInUse], and one with another schema with a [store.SchemaError].
func (f File) Source(ctx context.Context) (_ *Source, err error) {
	if err := connection.Built(); err != nil {
		return nil, err
	}
	exists, err := idle(f.Name)
	if err != nil {
		return nil, err
	}
	if !exists {
		return nil, fmt.Errorf("sqlite: there is no database %s", f.Name)
	}
	db, err := sql.Open("sqlite3", DSN(f.Name, "_locking_mode", "EXCLUSIVE")) // readers, too
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", f.Name, err)
	}
	s := &Source{db: db}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.conn, err = db.Conn(ctx); err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", f.Name, err)
	}
	if err := f.Schema.Check(ctx, s.conn); err != nil {
		return nil, err
	}
	if _, err := s.conn.ExecContext(ctx, "BEGIN EXCLUSIVE"); err != nil {
		return nil, fmt.Errorf("sqlite: keep others from %s: %w", f.Name, err)
	}
	return s, nil
}

// Close releases the database, which is unchanged.
func (s *Source) Close() error {
	var err error
	if s.conn != nil {
		err = s.conn.Close()
	}
	return errors.Join(err, s.db.Close())
}

// Tables lists the tables that hold the store's records.
func (s *Source) Tables(ctx context.Context) ([]string, error) {
	names, err := s.names(ctx, `SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
	return slices.DeleteFunc(names, func(name string) bool { return slices.Contains(bookkeeping(), name) }), err
}

// Columns lists those of a table.
func (s *Source) Columns(ctx context.Context, table string) ([]string, error) {
	return s.names(ctx, `SELECT name FROM pragma_table_info(?) ORDER BY name`, table)
}

func (s *Source) names(ctx context.Context, query string, arguments ...any) (names []string, err error) {
	rows, err := s.conn.QueryContext(ctx, query, arguments...)
	if err != nil {
		return nil, fmt.Errorf("sqlite: read the schema: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, fmt.Errorf("sqlite: read the schema: %w", err)
		}
		names = append(names, name)
	}
	return names, rows.Err()
}

// Rows calls visit for each row of a table. The row is only valid during the call.
func (s *Source) Rows(ctx context.Context, table string, columns []string, visit func(row []any) error) error {
	rows, err := s.conn.QueryContext(ctx, `SELECT "`+strings.Join(columns, `", "`)+`" FROM "`+table+`"`)
	if err != nil {
		return fmt.Errorf("sqlite: read %s: %w", table, err)
	}
	defer rows.Close()
	row, fields := make([]any, len(columns)), make([]any, len(columns))
	for i := range row {
		fields[i] = &row[i]
	}
	for rows.Next() {
		if err := rows.Scan(fields...); err != nil {
			return fmt.Errorf("sqlite: read %s: %w", table, err)
		}
		if err := visit(row); err != nil {
			return err
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("sqlite: read %s: %w", table, err)
	}
	return nil
}
