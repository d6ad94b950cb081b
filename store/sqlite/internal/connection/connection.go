// Package connection is the connections to a SQLite file: one that writes, on which verbs that come at once share a transaction,
// and a few that read.
package connection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"countersign/store"
)

// errClosed is what every verb returns after Close.
var errClosed = errors.New("the store is closed")

// Conn is one connection with its prepared statements. One verb uses it at a time.
//
// Statements run without the caller's context: each takes microseconds, a write that was begun is better ended
// than left in doubt, and the driver starts a goroutine for each statement that can be cancelled.
type Conn struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	// changed is set by every statement that changed something.
	changed bool
}

// Blob is a parameter that is compared in a query with a join. SQLite takes a bare ? there for a hint to its
// planner and prepares the statement again for each value.
const Blob = `CAST(? AS BLOB)`

// Raw is the connection itself, for what is not a verb.
func (c *Conn) Raw() *sql.Conn { return c.conn }

// Statements lists what was prepared.
func (c *Conn) Statements() []string { return slices.Collect(maps.Keys(c.statements)) }

func (c *Conn) prepared(query string) (*sql.Stmt, error) {
	if statement, ok := c.statements[query]; ok {
		return statement, nil
	}
	statement, err := c.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	c.statements[query] = statement
	return statement, nil
}

// Exec runs a statement and returns how many rows it changed.
func (c *Conn) Exec(query string, arguments ...any) (int64, error) {
	statement, err := c.prepared(query)
	if err != nil {
		return 0, err
	}
	result, err := statement.ExecContext(context.Background(), arguments...)
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	c.changed = c.changed || rows > 0
	return rows, err
}

// Update runs an UPDATE of at most one row that returns some of it, and reports whether there was one.
func (c *Conn) Update(query string, arguments []any, fields ...any) (bool, error) {
	found, err := c.One(query, arguments, fields...)
	c.changed = c.changed || found
	return found, err
}

// One reads the only row of a query into fields and reports whether there was one.
func (c *Conn) One(query string, arguments []any, fields ...any) (bool, error) {
	statement, err := c.prepared(query)
	if err != nil {
		return false, err
	}
	err = statement.QueryRowContext(context.Background(), arguments...).Scan(fields...)
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// Get reads the only row of a query into fields; [store.ErrNotFound] when there is none.
func (c *Conn) Get(query string, arguments []any, fields ...any) error {
	found, err := c.One(query, arguments, fields...)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	return nil
}

// Each calls scan for every row of a query.
func (c *Conn) Each(query string, scan func(*sql.Rows) error) error {
	return c.EachOf(query, nil, scan)
}

// EachOf is Each with arguments.
func (c *Conn) EachOf(query string, arguments []any, scan func(*sql.Rows) error) error {
	statement, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := statement.QueryContext(context.Background(), arguments...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// UpdateEach is EachOf for an UPDATE that returns some of the rows that it changed.
func (c *Conn) UpdateEach(query string, arguments []any, scan func(*sql.Rows) error) error {
	return c.EachOf(query, arguments, func(rows *sql.Rows) error {
		c.changed = true
		return scan(rows)
	})
}

// connect opens the only connection of a database handle.
func connect(ctx context.Context, dsn string) (*Conn, error) {
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &Conn{db: db, conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

func (c *Conn) close() error {
	var failures []error
	for _, statement := range c.statements {
		failures = append(failures, statement.Close())
	}
	return errors.Join(append(failures, c.conn.Close(), c.db.Close())...)
}

// Readers hands out connections that read, to one verb each. Waiting ends with the verb's context.
type Readers struct {
	idle chan *Conn
}

// OpenReaders opens size connections at once, so that nothing can fail later that could have failed at the start.
func OpenReaders(ctx context.Context, dsn string, size int) (*Readers, error) {
	r := &Readers{idle: make(chan *Conn, size)}
	for range size {
		c, err := connect(ctx, dsn)
		if err != nil {
			for len(r.idle) > 0 {
				err = errors.Join(err, (<-r.idle).close())
			}
			return nil, err
		}
		r.idle <- c
	}
	return r, nil
}

// With does the work of a verb on a connection that is free, or waits for one until ctx ends.
func (r *Readers) With(ctx context.Context, work func(*Conn) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c, open := <-r.idle:
		if !open {
			return errClosed
		}
		defer func() { r.idle <- c }()
		return work(c)
	case <-ctx.Done():
		return fmt.Errorf("%w: waiting for a connection: %w", store.ErrOverloaded, ctx.Err())
	}
}

// Size is how many connections there are.
func (r *Readers) Size() int { return cap(r.idle) }

// Close waits for the running verbs and refuses later ones.
func (r *Readers) Close() error {
	var failures []error
	for range cap(r.idle) {
		failures = append(failures, (<-r.idle).close())
	}
	close(r.idle)
	return errors.Join(failures...)
}
