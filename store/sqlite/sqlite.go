// Package sqlite keeps the store in one SQLite file: the embedded backend for one node.
//
// The file is in WAL mode with synchronous=FULL: a verb that returned without error survives kill -9 and a power
// cut. One connection writes, a few read; several processes may open the same file. WAL mode needs a local file
// system.
package sqlite

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/account"
	"countersign/store/sqlite/internal/approvals"
	"countersign/store/sqlite/internal/auditlog"
	"countersign/store/sqlite/internal/connection"
	"countersign/store/sqlite/internal/consents"
	"countersign/store/sqlite/internal/dbfile"
	"countersign/store/sqlite/internal/directories"
	"countersign/store/sqlite/internal/figures"
	"countersign/store/sqlite/internal/keys"
	"countersign/store/sqlite/internal/lists"
	"countersign/store/sqlite/internal/signout"
	"countersign/store/sqlite/internal/sweep"
)

// keepFor is how long codes and requests stay known after their end; see [store.Store].
const keepFor = time.Hour

// writerCache is the memory for pages of the connection that writes, in KiB, negated. What a flow touches is little, since keys
// grow; the kernel has the rest. A larger one costs more at each commit than it saves: SQLite then looks through all of it.
const writerCache = "-2048"

// Config says which file is the store and what the store works with.
type Config struct {
	// File is the database file. Only its owner can read it: mode 0600 is set when it is opened.
	File string
	// Now is the clock; nil is [time.Now].
	Now func() time.Time
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
	// Meter is told of each verb; nil is told nothing.
	Meter store.Meter
	// KeepGrants and KeepBackchannel are how long ended grants and backchannel requests are kept; an hour is the least.
	KeepGrants, KeepBackchannel time.Duration
}

// The verbs of these are in packages of their own; signOut has those that end sessions.
type (
	signOut   = signout.Verbs
	accounts  = account.Accounts
	chains    = auditlog.Log
	lodged    = consents.Consents
	standings = directories.Directories
	counts    = figures.Figures
	keyStates = keys.Keys
	fourEyes  = approvals.Approvals
	parts     = lists.Lists
)

// Store is a [store.Store] in a file.
type Store struct {
	signOut
	accounts
	chains
	lodged
	standings
	counts
	keyStates
	fourEyes
	parts
	now     func() time.Time
	verbs   backend.Verbs
	writer  *connection.Writer
	readers *connection.Readers
	pulse   backend.Pulse
	close   func() error
	clock   clock
	sweeps  sweep.Sweeps
	// keepGrants and keepBackchannel are how long those stay known after their end.
	keepGrants, keepBackchannel time.Duration
}

var _ store.KeyOrdered = (*Store)(nil)

// Open opens a database that [Migrate] made. It refuses one with another schema with a [SchemaError].
func Open(ctx context.Context, config Config) (*Store, error) {
	if err := connection.Built(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(config.File); errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("sqlite: there is no database %s: run `countersign migrate up`", config.File)
	}
	if err := dbfile.Protect(config.File); err != nil {
		return nil, err
	}
	writer, err := connection.OpenWriter(ctx, dbfile.DSN(config.File, "_journal_mode", "WAL", "_cache_size", writerCache))
	if err != nil {
		return nil, fmt.Errorf("sqlite: open %s: %w", config.File, err)
	}
	readers, err := connection.OpenReaders(ctx, dbfile.DSN(config.File, "_query_only", "true"), max(2, runtime.GOMAXPROCS(0)))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("sqlite: open %s: %w", config.File, err), writer.Close())
	}
	s := &Store{
		now:     config.Now,
		verbs:   backend.NewVerbs("sqlite", config.TracerProvider, config.Meter, config.Now),
		writer:  writer,
		readers: readers,
		// An hour at least, as with codes.
		keepGrants:      max(keepFor, config.KeepGrants),
		keepBackchannel: max(keepFor, config.KeepBackchannel),
		// The writer goes last: its closing takes the WAL back into the file.
		close: sync.OnceValue(func() error { return errors.Join(readers.Close(), writer.Close()) }),
	}
	s.accounts = account.Accounts{Read: s.read, Write: s.write, Record: insertEvidence, Moment: s.moment}
	s.chains = auditlog.Log{Read: s.read, Write: s.write, Pending: insertEvidence}
	s.lodged = consents.Consents{Read: s.read, Write: s.write, Record: insertEvidence, Consume: consumeOneTimes, Revoke: revoke, Moment: s.moment}
	s.standings = directories.Directories{Read: s.read, Write: s.write, Record: insertEvidence, Moment: s.moment}
	s.keyStates = keys.Keys{Read: s.read, Write: s.write, Record: insertEvidence}
	s.fourEyes = approvals.Approvals{Read: s.read, Write: s.write, Record: insertEvidence, Moment: s.moment}
	s.parts = lists.Lists{
		Read: s.read, Clients: lists.Of[store.Client]{Columns: clientColumns + ", suspended", Fields: clientFields},
		Users:  lists.Of[store.User]{Columns: userColumns, Fields: userFields},
		Tokens: lists.Of[store.InitialToken]{Columns: initialTokenColumns, Fields: initialTokenFields},
	}
	s.counts = figures.Figures{Read: s.read, Write: s.write, Moment: s.moment}
	if s.now == nil {
		s.now = time.Now
	}
	s.signOut = signout.Verbs{Read: s.read, Write: s.write, Now: s.moment, InsertEvidence: insertEvidence}
	current := func(c *connection.Conn) error {
		if err := schema().Check(ctx, c.Raw()); err != nil {
			return err
		}
		return s.clock.read(c)
	}
	if err := s.readers.With(ctx, current); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// KeyOrdered says that a [store.KeyOrdered] is what this is.
func (s *Store) KeyOrdered() {}

// Close ends the running verbs and releases the file.
func (s *Store) Close() error { return s.close() }

// probeSize is how much Ping writes, in bytes: about what a request writes.
const probeSize = 16 << 10

// Ping reports whether the clock was set back, and whether the file takes writes. What was written lately shows that;
// otherwise it writes a row of its own, which stays one.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.read(ctx, "Ping", s.clock.read); err != nil {
		return err
	}
	if err := s.clock.err(s.moment()); err != nil || s.pulse.Beats(s.now()) {
		return err
	}
	probe := make([]byte, probeSize)
	rand.Read(probe) // never fails
	return s.write(ctx, "Ping", connection.Single, func(c *connection.Conn) error {
		_, err := c.Exec(`INSERT INTO seeds (name, value) VALUES ('readiness', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value`, probe)
		return err
	})
}

// read runs a verb that changes nothing.
func (s *Store) read(ctx context.Context, name string, work func(*connection.Conn) error) error {
	ctx, verb := s.verbs.Begin(ctx, name)
	return verb.End(connection.StoreError(s.readers.With(ctx, work)))
}

// readOften runs a verb that only reads and is part of every flow.
func (s *Store) readOften(ctx context.Context, name string, work func(*connection.Conn) error) error {
	return s.write(ctx, name, connection.Reading, work)
}

// write runs a verb that changes something, all of its statements or none. A verb of a single statement says so.
func (s *Store) write(ctx context.Context, name string, statements connection.Statements, work func(*connection.Conn) error) error {
	ctx, verb := s.verbs.Begin(ctx, name)
	err := verb.End(connection.StoreError(s.writer.Do(ctx, statements, work)))
	if statements != connection.Reading {
		s.pulse.Note(name, s.now(), err)
	}
	return err
}

// moment is the clock's time with the precision that is stored.
func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// conflict turns the failure of a uniqueness constraint into outcome.
func conflict(err, outcome error) error {
	if connection.ViolatesUniqueness(err) {
		return outcome
	}
	return err
}
