package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// errClosed is what every verb returns after Close.
var errClosed = errors.New("the store is closed")

// connection is one connection with its prepared statements. One verb uses it at a time.
//
// Statements run without the caller's context: each takes microseconds, a write that was begun is better ended
// than left in doubt, and the driver pays a goroutine for each statement that can be cancelled.
type connection struct {
	conn       *sql.Conn
	statements map[string]*sql.Stmt
}

func (c *connection) prepared(query string) (*sql.Stmt, error) {
	if statement, ok := c.statements[query]; ok {
		return statement, nil
	}
	statement, err := c.conn.PrepareContext(context.Background(), query)
	if err == nil {
		c.statements[query] = statement
	}
	return statement, err
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
	return result.RowsAffected()
}

// one reads the only row of a query into fields and tells whether there was one.
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

// each calls scan for every row of a query.
func (c *connection) each(query string, scan func(*sql.Rows) error) error {
	statement, err := c.prepared(query)
	if err != nil {
		return err
	}
	rows, err := statement.QueryContext(context.Background())
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

// transaction runs work between BEGIN and COMMIT, or ROLLBACK when it fails. An error that is [kept] is
// committed and then returned.
func (c *connection) transaction(work func() error) (err error) {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	committed := false
	defer func() {
		if !committed {
			// A failure here means that SQLite has rolled back already.
			_, _ = c.exec("ROLLBACK")
		}
	}()
	err = work()
	var outcome kept
	if err != nil && !errors.As(err, &outcome) {
		return err
	}
	if _, err := c.exec("COMMIT"); err != nil {
		return err
	}
	committed = true
	return outcome.error
}

// kept is an outcome that is an error to the caller although its transaction is committed.
type kept struct{ error }

// pool hands out connections, to one verb each. Waiting ends with the verb's context.
type pool struct {
	db   *sql.DB
	idle chan *connection
}

// openPool opens size connections at once, so that nothing can fail later that could have failed at the start.
func openPool(ctx context.Context, dsn string, size int) (*pool, error) {
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, err
	}
	p := &pool{db: db, idle: make(chan *connection, size)}
	for range size {
		conn, err := db.Conn(ctx)
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		p.idle <- &connection{conn: conn, statements: map[string]*sql.Stmt{}}
	}
	return p, nil
}

func (p *pool) with(ctx context.Context, work func(*connection) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c, open := <-p.idle:
		if !open {
			return errClosed
		}
		defer func() { p.idle <- c }()
		return work(c)
	case <-ctx.Done():
		return fmt.Errorf("waiting for a connection: %w", ctx.Err())
	}
}

// close waits for the verbs under way and refuses later ones.
func (p *pool) close() error {
	var failures []error
	for range cap(p.idle) {
		c := <-p.idle
		for _, statement := range c.statements {
			failures = append(failures, statement.Close())
		}
		failures = append(failures, c.conn.Close())
	}
	close(p.idle)
	return errors.Join(append(failures, p.db.Close())...)
}
