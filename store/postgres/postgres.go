// Package postgres keeps the store in PostgreSQL: the backend for many nodes.
//
// Nearly every verb is one statement and one round trip. A claim is a guarded statement under READ COMMITTED whose
// other parts hang on the row that it changed; a value used before fails the whole statement by the primary key of
// its table, so nothing of it remains.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/trace"

	"countersign/store"
	"countersign/store/internal/backend"
)

const (
	// keepFor is how long codes and requests stay known after their end; see [store.Store].
	keepFor = time.Hour
	// patience is how long one try of a verb may take once it has a connection. The server's own limits are
	// shorter; this one is for a server that does not answer any more.
	patience = 10 * time.Second
	// attempts is how often a verb is tried when the database asks for it.
	attempts = 5
)

// Config says which database is the store and what the store works with.
type Config struct {
	// URL is a connection URL or key-value string as libpq knows it; several hosts and target_session_attrs are
	// possible. No error text repeats it.
	URL string
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
	// MaxConnections limits the connections of this process; 0 leaves it to pool_max_conns in the URL, or else
	// to the greater of 4 and the number of processors.
	MaxConnections int
}

// Store is a [store.Store] in a PostgreSQL database.
type Store struct {
	now   func() time.Time
	verbs backend.Verbs
	pool  *pgxpool.Pool
}

var _ store.Store = (*Store)(nil)

// errURL stands for every failure to parse the URL: the parser's own texts may quote a password.
var errURL = errors.New("postgresql: the database URL is malformed; it should look like " +
	"postgres://user@host:5432/database?sslmode=verify-full")

// Open connects to a database that [Migrate] prepared. It refuses a URL that would send plain text to another machine, a
// database with another schema with a [SchemaError], and one that acknowledges before writing (synchronous_commit = off).
func Open(ctx context.Context, config Config) (*Store, error) {
	settings, err := pgxpool.ParseConfig(config.URL)
	if err != nil {
		return nil, errURL
	}
	if err := protect(settings.ConnConfig); err != nil {
		return nil, err
	}
	if config.MaxConnections < 0 || config.MaxConnections > math.MaxInt32 {
		return nil, fmt.Errorf("postgresql: %d is not a number of connections", config.MaxConnections)
	}
	if config.MaxConnections > 0 {
		settings.MaxConns = int32(config.MaxConnections)
	}
	settings.PingTimeout = 2 * time.Second
	limit(settings.ConnConfig, map[string]string{
		"application_name":                    "countersign",
		"timezone":                            "UTC",
		"statement_timeout":                   "5s",
		"lock_timeout":                        "2s",
		"idle_in_transaction_session_timeout": "10s",
	})
	pool, err := pgxpool.NewWithConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", err)
	}
	s := &Store{now: config.Now, verbs: backend.NewVerbs("postgresql", config.TracerProvider), pool: pool}
	if s.now == nil {
		s.now = time.Now
	}
	if err := s.check(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	return s, nil
}

// limit sets session parameters that the URL does not set.
func limit(config *pgx.ConnConfig, parameters map[string]string) {
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range parameters {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
}

// check refuses a database that cannot be the store.
func (s *Store) check(ctx context.Context) (err error) {
	db := stdlib.OpenDBFromPool(s.pool)
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := schema().Check(ctx, db); err != nil {
		return err
	}
	var commit string
	if err := db.QueryRowContext(ctx, "SHOW synchronous_commit").Scan(&commit); err != nil {
		return fmt.Errorf("postgresql: read synchronous_commit: %w", err)
	}
	if commit == "off" {
		return errors.New("postgresql: synchronous_commit is off, so an acknowledged write could be lost: " +
			"set it to on for this database or role")
	}
	return nil
}

// Close ends the verbs under way and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.run(ctx, "Ping", func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) })
}

// run spans a verb and does its work on one connection, again when the database undid it for the sake of another
// transaction or never received it.
func (s *Store) run(ctx context.Context, name string, work func(context.Context, *pgx.Conn) error) error {
	ctx, verb := s.verbs.Begin(ctx, name)
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			select {
			case <-time.After(time.Duration(attempt*attempt) * 5 * time.Millisecond):
			case <-ctx.Done():
				return verb.End(outcome(err))
			}
		}
		if err = s.attempt(ctx, work); !undone(err) {
			break
		}
	}
	return verb.End(outcome(err))
}

// attempt waits for a connection as long as the caller does. What is then begun is not broken off with the caller:
// that would leave the outcome in doubt and cost the connection.
func (s *Store) attempt(ctx context.Context, work func(context.Context, *pgx.Conn) error) error {
	c, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return work(ctx, c.Conn())
}

// undone tells that nothing of a try remains and another may succeed: a serialization failure, a deadlock, or a
// connection that was dead before anything was sent.
func undone(err error) bool {
	var failure *pgconn.PgError
	if errors.As(err, &failure) {
		return failure.Code == "40001" || failure.Code == "40P01"
	}
	var connect *pgconn.ConnectError
	return err != nil && !errors.As(err, &connect) && pgconn.SafeToRetry(err)
}

// outcome translates the failures that are answers.
func outcome(err error) error {
	var failure *pgconn.PgError
	if !errors.As(err, &failure) || failure.Code != "23505" {
		return err
	}
	if failure.TableName == "uses" {
		return store.ErrReplayed
	}
	return store.ErrConflict
}

// one reads the only row of a query and tells whether there was one.
func one(ctx context.Context, c *pgx.Conn, query string, arguments []any, fields ...any) (bool, error) {
	err := c.QueryRow(ctx, query, arguments...).Scan(fields...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// moment is the clock's time with the precision that is stored.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
