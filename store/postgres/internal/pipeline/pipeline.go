// Package pipeline has verbs of one statement that come while the database is busy share a transaction and a round trip.
//
// A commit, a message in each direction and the wake-up of a process cost much the same for one statement and for thirty. The
// statements go out one behind the other, in PostgreSQL's pipeline mode: all of them are one transaction, of which either
// everything remains or nothing. None may take others along: a statement does nothing and says so where its verb has to be
// refused, and one that fails, or waits for a lock that others hold for long, is left out, and the rest is done again.
package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign/store"
)

// Most is how many statements share a transaction at most.
const Most = 32

// briefly limits, for the transaction, how long a statement waits for a lock: all others would wait with it, and two
// transactions that wait for each other would do so until the database looks, after a second.
const briefly = `SELECT set_config('lock_timeout', '100ms', true)`

// Statement is the one statement of a verb.
type Statement struct {
	// Order is the key of the row that the statement changes, or of the first value that it consumes: statements that share a
	// transaction are done in the order of their keys, so that two such transactions seldom wait for each other.
	Order store.Digest
	SQL   string
	// Arguments may be a [pgx.QueryRewriter], as everywhere in pgx.
	Arguments []any
	// Fields receive the only row; without any, none is expected.
	Fields []any
	// Found is set when there was a row.
	Found bool

	// scan is why the row could not be read. The statement was done nevertheless.
	scan error
}

// Do does the statement by itself.
func (s *Statement) Do(ctx context.Context, c *pgx.Conn) error {
	rows, err := c.Query(ctx, s.SQL, s.Arguments...)
	if err != nil {
		return err
	}
	if err := s.read(rows, c); err != nil {
		return err
	}
	known(c)[s.SQL] = struct{}{}
	return s.scan
}

// knownKey is where a connection keeps which statements were done on it by themselves.
const knownKey = "countersign.statements"

func known(c *pgx.Conn) map[string]struct{} {
	data := c.PgConn().CustomData()
	statements, ok := data[knownKey].(map[string]struct{})
	if !ok {
		statements = map[string]struct{}{}
		data[knownKey] = statements
	}
	return statements
}

// Known reports whether the statement was done on a connection by itself. One that was not is prepared first, outside of the
// transaction, and may wait for a lock there for longer than others are to wait with it.
func (s *Statement) Known(c *pgx.Conn) bool {
	_, ok := known(c)[s.SQL]
	return ok
}

// read reads the row. What cannot be scanned is kept apart, as it says nothing of the transaction.
func (s *Statement) read(rows pgx.Rows, c *pgx.Conn) error {
	s.Found, s.scan = rows.Next(), nil
	if s.Found {
		s.scan = pgx.ScanRow(c.TypeMap(), rows.FieldDescriptions(), rows.RawValues(), s.Fields...)
	}
	rows.Close()
	return rows.Err()
}

// Unread is why the row could not be read of a statement that was done.
func (s *Statement) Unread() error { return s.scan }

// ErrCommit says that the commit failed, after all statements were done.
var ErrCommit = errors.New("postgresql: commit several statements")

// Together does statements in one transaction and one round trip. When it fails, failed is the statement that did, or nil
// when it is none of them.
func Together(ctx context.Context, c *pgx.Conn, statements []*Statement) (failed *Statement, err error) {
	var batch pgx.Batch
	batch.Queue(briefly)
	for _, s := range statements {
		batch.Queue(s.SQL, s.Arguments...)
	}
	results := c.SendBatch(ctx, &batch)
	if _, err := results.Exec(); err != nil {
		return nil, errors.Join(err, results.Close())
	}
	for _, s := range statements {
		rows, err := results.Query()
		if err == nil {
			err = s.read(rows, c)
		}
		if err == nil {
			continue
		}
		_ = results.Close() // says the same, or that the connection is gone
		if _, answered := errors.AsType[*pgconn.PgError](err); answered {
			return s, err
		}
		return nil, err
	}
	if err := results.Close(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCommit, err)
	}
	return nil, nil
}

// Sort brings statements into the order in which they are done.
func Sort(statements []*Statement) {
	slices.SortFunc(statements, func(a, b *Statement) int { return bytes.Compare(a.Order[:], b.Order[:]) })
}

// First is the order of a verb that consumes values: the first of their keys, or what the verb has for another key.
func First(oneTimes []store.OneTime, otherwise store.Digest) store.Digest {
	first := otherwise
	for i := range oneTimes {
		if i == 0 || bytes.Compare(oneTimes[i].Key[:], first[:]) < 0 {
			first = oneTimes[i].Key
		}
	}
	return first
}
