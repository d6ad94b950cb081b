package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"countersign/store"
)

// errClosed is what every verb returns after Close.
var errClosed = errors.New("the store is closed")

// connection is one connection with its prepared statements. One verb uses it at a time.
//
// Statements run without the caller's context: each takes microseconds, a write that was begun is better ended
// than left in doubt, and the driver starts a goroutine for each statement that can be cancelled.
type connection struct {
	db         *sql.DB
	conn       *sql.Conn
	statements map[string]*sql.Stmt
	// changed is set by every statement that changed something.
	changed bool
}

// blob is a parameter that is compared in a query with a join. SQLite takes a bare ? there for a hint to its
// planner and prepares the statement again for each value.
const blob = `CAST(? AS BLOB)`

func (c *connection) prepared(query string) (*sql.Stmt, error) {
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

// exec runs a statement and returns how many rows it changed.
func (c *connection) exec(query string, arguments ...any) (int64, error) {
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

// update runs an UPDATE of at most one row that returns some of it, and reports whether there was one.
func (c *connection) update(query string, arguments []any, fields ...any) (bool, error) {
	found, err := c.one(query, arguments, fields...)
	c.changed = c.changed || found
	return found, err
}

// one reads the only row of a query into fields and reports whether there was one.
func (c *connection) one(query string, arguments []any, fields ...any) (bool, error) {
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

// get reads the only row of a query into fields; [store.ErrNotFound] when there is none.
func (c *connection) get(query string, arguments []any, fields ...any) error {
	found, err := c.one(query, arguments, fields...)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	return nil
}

// each calls scan for every row of a query.
func (c *connection) each(query string, scan func(*sql.Rows) error) error {
	return c.eachOf(query, nil, scan)
}

// eachOf is each with arguments.
func (c *connection) eachOf(query string, arguments []any, scan func(*sql.Rows) error) error {
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

// connect opens the only connection of a database handle.
func connect(ctx context.Context, dsn string) (*connection, error) {
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &connection{db: db, conn: conn, statements: map[string]*sql.Stmt{}}, nil
}

func (c *connection) close() error {
	var failures []error
	for _, statement := range c.statements {
		failures = append(failures, statement.Close())
	}
	return errors.Join(append(failures, c.conn.Close(), c.db.Close())...)
}

// readers hands out connections that read, to one verb each. Waiting ends with the verb's context.
type readers struct {
	idle chan *connection
}

// openReaders opens size connections at once, so that nothing can fail later that could have failed at the start.
func openReaders(ctx context.Context, dsn string, size int) (*readers, error) {
	r := &readers{idle: make(chan *connection, size)}
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

func (r *readers) with(ctx context.Context, work func(*connection) error) error {
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
		return fmt.Errorf("waiting for a connection: %w", ctx.Err())
	}
}

// close waits for the running verbs and refuses later ones.
func (r *readers) close() error {
	var failures []error
	for range cap(r.idle) {
		failures = append(failures, (<-r.idle).close())
	}
	close(r.idle)
	return errors.Join(failures...)
}
