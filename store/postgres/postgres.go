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
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"go.opentelemetry.io/otel/trace"

	"countersign/internal/queue"
	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/account"
	"countersign/store/postgres/internal/allowance"
	"countersign/store/postgres/internal/approvals"
	"countersign/store/postgres/internal/auditlog"
	"countersign/store/postgres/internal/clock"
	"countersign/store/postgres/internal/consents"
	"countersign/store/postgres/internal/directories"
	"countersign/store/postgres/internal/figures"
	"countersign/store/postgres/internal/handoffs"
	"countersign/store/postgres/internal/keys"
	"countersign/store/postgres/internal/listener"
	"countersign/store/postgres/internal/lists"
	"countersign/store/postgres/internal/pool"
	"countersign/store/postgres/internal/signout"
)

// keepFor is how long codes and requests stay known after their end; see [store.Store].
const keepFor = time.Hour

// Config says which database is the store and what the store works with.
type Config struct {
	// URL is a connection URL or key-value string as libpq knows it. Of several hosts the one that takes writes is used,
	// also when target_session_attrs asks for less. No error text repeats it.
	URL string
	// ReadURL, if it is not nil, reads the URL in place of URL, again for each connection: a password in it may change.
	ReadURL func() (string, error)
	// ReadNotifyURL reads the URL of the same database for what cannot go through a pooler: LISTEN, and migrations. Nil is
	// the URL of everything else.
	ReadNotifyURL func() (string, error)
	// Now is the clock of this node; nil is [time.Now]. It decides nothing: what has expired, and what is removed, is decided by
	// the database's.
	Now func() time.Time
	// DatabaseNow is the database's clock in tests that move it; nil asks the database.
	DatabaseNow func() time.Time
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
	// Meter is told of each verb; nil is told nothing.
	Meter store.Meter
	// MaxConnections limits the connections of this process; 0 leaves it to pool_max_conns in the URL, or else
	// to the greater of 4 and the number of processors.
	MaxConnections int
	// KeepGrants and KeepBackchannel are how long ended grants and backchannel requests are kept; an hour is the least.
	KeepGrants, KeepBackchannel time.Duration
}

// address reads the URL.
func (c Config) address() (string, error) {
	if c.ReadURL != nil {
		return c.ReadURL()
	}
	return c.URL, nil
}

// direct reads the URL for what cannot go through a pooler.
func (c Config) direct() (string, error) {
	if c.ReadNotifyURL != nil {
		return c.ReadNotifyURL()
	}
	return c.address()
}

// The verbs of these are in packages of their own; signOut has those that end sessions.
type (
	signOut     = signout.Verbs
	evidenceLog = auditlog.Log
	accounts    = account.Accounts
	counted     = allowance.Limits
	handOffs    = handoffs.HandOffs
	lodged      = consents.Consents
	standings   = directories.Directories
	counts      = figures.Figures
	keyStates   = keys.Keys
	fourEyes    = approvals.Approvals
	parts       = lists.Lists
)

// Store is a [store.Store] in a PostgreSQL database.
type Store struct {
	signOut
	evidenceLog
	accounts
	counted
	handOffs
	lodged
	standings
	counts
	keyStates
	fourEyes
	parts
	clock    *clock.Clock
	pool     *pool.Pool
	notified listener.Status
	// direct leads past a pooler; advice is about the database, for an operator.
	direct     pool.Address
	advice     string
	statements statements
	pulse      backend.Pulse
	// keepGrants and keepBackchannel are how long those stay known after their end.
	keepGrants, keepBackchannel time.Duration
}

var _ store.Store = (*Store)(nil)

// Open connects to a database that [Migrate] prepared. It refuses a URL that would send plain text to another machine, a
// database with another schema with a [SchemaError], and one that acknowledges before writing (synchronous_commit = off).
func Open(ctx context.Context, config Config) (*Store, error) {
	connections, err := pool.Open(ctx, pool.Config{
		URL: config.address, MaxConnections: config.MaxConnections, TracerProvider: config.TracerProvider, Meter: config.Meter, Now: config.Now, Parameters: map[string]string{
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
		},
	})
	if err != nil {
		return nil, err
	}
	s := &Store{
		clock: &clock.Clock{Own: config.Now, Database: config.DatabaseNow}, pool: connections, direct: config.direct,
		// An hour at least, as with codes.
		keepGrants: max(keepFor, config.KeepGrants), keepBackchannel: max(keepFor, config.KeepBackchannel),
	}
	s.signOut = signout.Verbs{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment}
	s.evidenceLog = auditlog.Log{Statements: &s.statements, Run: s.run, Read: s.read}
	s.counted = allowance.Limits{Run: s.run, Read: s.read, Now: s.allowances}
	s.accounts = account.Accounts{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment}
	s.handOffs = handoffs.HandOffs{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment}
	s.lodged = consents.Consents{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment,
		InsertOneTimes: insertOneTimes, InOneOrder: inOneOrder, OneTimes: s.consuming}
	s.standings = directories.Directories{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment}
	s.keyStates = keys.Keys{Statements: &s.statements, Run: s.run, Read: s.read}
	s.fourEyes = approvals.Approvals{Statements: &s.statements, Run: s.run, Read: s.read, Moment: s.moment}
	s.parts = lists.Lists{
		Read: s.read, Clients: lists.Of[store.Client]{Columns: clientColumns + ", suspended", Fields: clientFields},
		Users:  lists.Of[store.User]{Columns: userColumns, Fields: userFields},
		Tokens: lists.Of[store.InitialToken]{Columns: initialTokenColumns, Fields: initialTokenFields},
	}
	s.counts = figures.Figures{Run: s.run, Read: s.read, Moment: s.moment, Connections: connections}
	if s.clock.Own == nil {
		s.clock.Own = time.Now
	}
	if err := s.check(ctx); err != nil {
		s.pool.Close()
		return nil, err
	}
	if err := s.pool.Once(ctx, s.askTime); err != nil {
		s.pool.Close()
		return nil, fmt.Errorf("postgresql: ask for the time: %w", err)
	}
	_ = s.maintain(ctx) // the default partitions exist, and Purge does it again and reports failures
	return s, nil
}

// check refuses a database that cannot be the store.
func (s *Store) check(ctx context.Context) (err error) {
	db := s.pool.DB()
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := schema().Check(ctx, db); err != nil {
		return err
	}
	var commit string
	limits := make([]string, 3)
	if err := db.QueryRowContext(ctx, `SELECT current_setting('synchronous_commit'), current_setting('statement_timeout'),
		current_setting('lock_timeout'), current_setting('idle_in_transaction_session_timeout')`).Scan(&commit, &limits[0], &limits[1], &limits[2]); err != nil {
		return fmt.Errorf("postgresql: read the session's parameters: %w", err)
	}
	if commit == "off" {
		return errors.New("postgresql: synchronous_commit is off, so an acknowledged write could be lost: " +
			"set it to on for this database or role")
	}
	if s.pool.Target().Pooled() && slices.Contains(limits, "0") {
		s.advice = "behind a pooler this server cannot limit how long the database works and waits; run as its role: " +
			"ALTER ROLE CURRENT_USER SET statement_timeout = '5s'; ALTER ROLE CURRENT_USER SET lock_timeout = '2s'; " +
			"ALTER ROLE CURRENT_USER SET idle_in_transaction_session_timeout = '10s'"
	}
	return nil
}

// Close ends the running verbs and closes the connections.
func (s *Store) Close() error {
	s.pool.Close()
	return nil
}

// run does the work of a verb that writes on one connection, again when nothing of the try before remains.
func (s *Store) run(ctx context.Context, name string, work pool.Work) error {
	if err := s.timely(name); err != nil {
		return err
	}
	err := s.pool.Write(ctx, name, work)
	s.pulse.Note(name, s.clock.Now(), err)
	return err
}

// read is run for a verb that changes nothing.
func (s *Store) read(ctx context.Context, name string, work pool.Work) error {
	if err := s.timely(name); err != nil {
		return err
	}
	return s.pool.Read(ctx, name, work)
}

// runShared is run for a verb of one statement, which may be done together with others.
func (s *Store) runShared(ctx context.Context, name string, verb *pool.Shared) error {
	if err := s.timely(name); err != nil {
		return err
	}
	err := s.pool.WriteShared(ctx, name, verb)
	s.pulse.Note(name, s.clock.Now(), err)
	return err
}

// readShared is runShared for a verb that changes nothing.
func (s *Store) readShared(ctx context.Context, name string, verb *pool.Shared) error {
	if err := s.timely(name); err != nil {
		return err
	}
	return s.pool.ReadShared(ctx, name, verb)
}

// timely refuses a verb that depends on time while this node's clock is wrong.
func (s *Store) timely(verb string) error {
	if clock.Timeless(verb) {
		return nil
	}
	if err := s.clock.Err(); err != nil {
		return fmt.Errorf("postgresql: %s: %w", verb, err)
	}
	return nil
}

// Ping asks the database for its time, and reports whether this node's clock shows the same and whether the database takes
// writes, into each table that requests write to. What was written lately shows that; otherwise it writes a row of its own,
// which stays one.
func (s *Store) Ping(ctx context.Context) error {
	ctx = queue.Urgent(ctx) // it must learn about the database, not about the queue for it
	if err := s.read(ctx, "Ping", s.askTime); err != nil {
		return err
	}
	if err := s.clock.Err(); err != nil || s.pulse.Beats(s.clock.Now()) {
		return err
	}
	return s.run(ctx, "Ping", pool.Probe)
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

// moment is the database's time with the precision that is stored.
func (s *Store) moment() time.Time { return s.clock.Now().UTC().Truncate(time.Microsecond) }
