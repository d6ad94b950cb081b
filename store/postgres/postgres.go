// Package postgres keeps the store in PostgreSQL: the backend for many nodes.
//
// Nearly every verb is one statement and one round trip. Consuming is a guarded statement under READ COMMITTED whose
// other parts hang on the row that it changed; a value used before fails the whole statement by the primary key of
// its table, so nothing of it remains.
package postgres

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/trace"

	"countersign/store"
	"countersign/store/internal/backend"
)

// keepFor is how long codes and requests stay known after their end; see [store.Store].
const keepFor = time.Hour

// Config says which database is the store and what the store works with.
type Config struct {
	// URL is a connection URL or key-value string as libpq knows it. Of several hosts the one that takes writes is used,
	// also when target_session_attrs asks for less. No error text repeats it.
	URL string
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
	// MaxConnections limits the connections of this process; 0 leaves it to pool_max_conns in the URL, or else
	// to the greater of 4 and the number of processors.
	MaxConnections int
	// KeepGrants and KeepBackchannel are how long ended grants and backchannel requests are kept; an hour is the least.
	KeepGrants, KeepBackchannel time.Duration
}

// Store is a [store.Store] in a PostgreSQL database.
type Store struct {
	now        func() time.Time
	verbs      backend.Verbs
	pool       *pgxpool.Pool
	statements statements
	// queue is how many verbs may wait for a connection.
	queue int64
	// waiting counts those that do, generation the times that the pool was renewed.
	waiting, generation atomic.Int64
	// keepGrants and keepBackchannel are how long those stay known after their end.
	keepGrants, keepBackchannel time.Duration
}

var _ store.Store = (*Store)(nil)

// errURL replaces every failure to parse the URL: the parser's own texts may quote a password.
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
		"application_name":  "countersign",
		"timezone":          "UTC",
		"statement_timeout": "5s",
		// Statements look for single rows by their keys: one plan is right for all values, and one that was made while
		// tables were small stays right when they have grown.
		"plan_cache_mode":                     "force_generic_plan",
		"enable_seqscan":                      "off",
		"enable_hashjoin":                     "off",
		"enable_mergejoin":                    "off",
		"jit":                                 "off",
		"lock_timeout":                        "2s",
		"idle_in_transaction_session_timeout": "10s",
	})
	s := &Store{now: config.Now, verbs: backend.NewVerbs("postgresql", config.TracerProvider),
		keepGrants: max(keepFor, config.KeepGrants), keepBackchannel: max(keepFor, config.KeepBackchannel)} // an hour at least, as with codes
	if s.now == nil {
		s.now = time.Now
	}
	settings.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[generationKey] = s.generation.Load()
		return nil
	}
	if s.pool, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", err)
	}
	s.queue = int64(settings.MaxConns) * queuePerConnection
	if err := s.check(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	_ = s.maintain(ctx) // the default partitions exist, and Purge does it again and reports failures
	return s, nil
}

// limit sets session parameters that the URL does not set. Of several hosts only one that takes writes will do.
func limit(config *pgx.ConnConfig, parameters map[string]string) {
	several := func(other *pgconn.FallbackConfig) bool { return other.Host != config.Host || other.Port != config.Port }
	if config.ValidateConnect == nil && slices.ContainsFunc(config.Fallbacks, several) {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
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

// Close ends the running verbs and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// Ping asks the database for an answer.
func (s *Store) Ping(ctx context.Context) error {
	return s.read(ctx, "Ping", func(ctx context.Context, c *pgx.Conn) error { return c.Ping(ctx) })
}

// one reads the only row of a query and reports whether there was one.
func one(ctx context.Context, c *pgx.Conn, query string, arguments []any, fields ...any) (bool, error) {
	err := c.QueryRow(ctx, query, arguments...).Scan(fields...)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}

// get reads the only row of a query; [store.ErrNotFound] when there is none.
func get(ctx context.Context, c *pgx.Conn, query string, arguments []any, fields ...any) error {
	found, err := one(ctx, c, query, arguments, fields...)
	if err != nil {
		return err
	}
	if !found {
		return store.ErrNotFound
	}
	return nil
}

// moment is the clock's time with the precision that is stored.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }
