package pool

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"countersign/internal/pause"
	"countersign/store"
	"countersign/store/internal/backend"
)

const (
	// patience is how long one try of a verb may take once it has a connection. The server's own limits are
	// shorter; this one is for a server that does not answer any more.
	patience = 10 * time.Second
	// attempts is how often a verb is tried when the database asks for it.
	attempts = 5
	// queueTime is how long a verb may wait for a connection and use it when there is a queue, and queuePerConnection how many
	// may wait for each.
	queueTime          = time.Second
	queuePerConnection = 256
)

// Work is what a verb does on one connection.
type Work func(context.Context, *pgx.Conn) error

// Write spans a verb that writes and does its work on one connection, again when nothing of the try before remains.
func (p *Pool) Write(ctx context.Context, name string, work Work) error {
	return p.try(ctx, name, work, nil, func(v verdict) bool { return v == undone })
}

// Read is Write for a verb that changes nothing: it may be done again too when it is not known how it ended.
func (p *Pool) Read(ctx context.Context, name string, work Work) error {
	return p.try(ctx, name, work, nil, func(v verdict) bool { return v == undone || v == unknown })
}

// Once does work that is no verb on one connection: without a span, and not again.
func (p *Pool) Once(ctx context.Context, work Work) error {
	_, err := p.attempt(ctx, work, nil)
	return outcome(err)
}

// try does a verb, the first time together with others if it may.
func (p *Pool) try(ctx context.Context, name string, work Work, with *company, again func(verdict) bool) error {
	ctx, verb := p.verbs.Begin(ctx, name)
	var err error
	for attempt := range attempts {
		if attempt > 0 {
			if pause.For(ctx, time.Duration(attempt*attempt)*5*time.Millisecond) != nil {
				return verb.End(outcome(err))
			}
			verb.Again(attempt + 1)
		}
		var judged verdict
		if judged, err = p.attempt(ctx, work, with); !again(judged) {
			break
		}
		with = nil
	}
	return verb.End(outcome(err))
}

// attempt waits for a connection, for a time. What is then begun is not broken off with the caller: that would leave
// the outcome in doubt and cost the connection.
func (p *Pool) attempt(ctx context.Context, work Work, with *company) (judged verdict, err error) {
	place, err := p.queue.Enter(ctx)
	if err != nil {
		return final, fmt.Errorf("%w: wait for a connection: %w", store.ErrOverloaded, err)
	}
	defer func() { place.Leave(ctx, err == nil || backend.Answer(err)) }()
	place.Trace(ctx, "store.queue")
	if with != nil {
		if e := p.together(ctx, with); !e.alone {
			return e.verdict, e.err
		}
	}
	c, err := p.acquire(ctx)
	if err != nil {
		return final, err // every host of the URL was tried
	}
	defer c.Release()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	return p.use(ctx, c.Conn(), work)
}

// use does the work of one verb on a connection.
func (p *Pool) use(ctx context.Context, c *pgx.Conn, work Work) (verdict, error) {
	err := work(ctx, c)
	judged := judge(err, c.IsClosed())
	p.note(c, judged, err)
	if judged == unknown {
		err = lostError{err}
	}
	return judged, err
}

// note makes the pool reconnect when a failure on a connection says that its server is away or takes no writes any more.
func (p *Pool) note(c *pgx.Conn, judged verdict, err error) {
	if judged == unknown || code(err) == readOnly {
		p.renew(c)
	}
}

// acquire takes a connection, or makes one, for a limited time: others than verbs may have some of those that there are
// places for.
func (p *Pool) acquire(ctx context.Context) (*pgxpool.Conn, error) {
	patient, cancel := context.WithTimeoutCause(ctx, queueTime, store.ErrOverloaded)
	defer cancel()
	c, err := p.connections.Acquire(patient)
	if err != nil && ctx.Err() == nil && patient.Err() != nil && errors.Is(context.Cause(patient), store.ErrOverloaded) {
		return nil, fmt.Errorf("%w: no connection was free for %s", store.ErrOverloaded, queueTime)
	}
	if err != nil && ctx.Err() != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrOverloaded, err)
	}
	return c, err
}

// renew makes the pool reconnect: when one connection fails because its server went away or no longer takes writes,
// those that were made before it are closed when they are released.
func (p *Pool) renew(witness *pgx.Conn) {
	generation, ok := witness.PgConn().CustomData()[generationKey].(int64)
	if ok && p.generation.CompareAndSwap(generation, generation+1) {
		p.connections.Reset()
	}
}

// generationKey is where a connection keeps the number of the pool's renewals that it was made after.
const generationKey = "countersign.generation"

// lostError is a failure after which it is not known what was done.
type lostError struct{ error }

// Unwrap serves errors.As.
func (e lostError) Unwrap() error { return e.error }

// verdict is what a failed try has left.
type verdict int

const (
	// final: trying again would have the same outcome.
	final verdict = iota
	// undone: nothing remains of the try, and another may succeed.
	undone
	// unknown: the connection went away; what was done may be there.
	unknown
)

// SQLSTATEs (PostgreSQL, appendix A).
const (
	serializationFailure = "40001"
	deadlockDetected     = "40P01"
	readOnly             = "25006"
	uniqueViolation      = "23505"
	notNullViolation     = "23502"
	lockNotAvailable     = "55P03"
	queryCancelled       = "57014"
	tooManyConnections   = "53300"
	featureNotSupported  = "0A000"
)

// judge is the one place that decides what may be tried again. closed reports that the connection has ended.
func judge(err error, closed bool) verdict {
	switch state := code(err); {
	case err == nil, backend.Answer(err):
		return final
	case state == serializationFailure, state == deadlockDetected, state == readOnly:
		return undone
	case state == featureNotSupported && strings.Contains(err.Error(), "cached plan"):
		return undone // a table was altered under a prepared statement, which pgx now drops
	case state == "" && pgconn.SafeToRetry(err):
		return undone // the connection was dead before anything was sent
	case closed, away(state):
		return unknown
	}
	return final
}

// away reports whether the server ended the session: it shuts down, crashed, or starts (57P..), or lost the connection
// (class 08). It may have committed before.
func away(state string) bool {
	return strings.HasPrefix(state, "57P") || strings.HasPrefix(state, "08")
}

// code is the SQLSTATE of a failure, or empty.
func code(err error) string {
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok {
		return failure.Code
	}
	return ""
}

// replayedKind reads the kind of a one-time value from the detail of a violated key, which holds the columns and the values
// in every language; empty when there is no detail, as from the trigger that nodes of an older release run into.
func replayedKind(detail string) string {
	// The key of most partitions is (kind, key), that of the default one (kind, key, until).
	_, columns, _ := strings.Cut(detail, "(kind, key")
	_, values, _ := strings.Cut(columns, ")=(")
	kind, _, _ := strings.Cut(values, ", ")
	return kind
}

// outcome translates the failures that are answers, and names those that may be temporary.
func outcome(err error) error {
	failure, answered := errors.AsType[*pgconn.PgError](err)
	_, unconnected := errors.AsType[*pgconn.ConnectError](err)
	_, unsure := errors.AsType[lostError](err)
	switch state := code(err); {
	case err == nil:
		return nil
	case unconnected && state != tooManyConnections, unsure, away(state), state == readOnly,
		strings.HasPrefix(state, "53") && state != tooManyConnections: // disk full, out of memory
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	case state == lockNotAvailable, state == queryCancelled, state == tooManyConnections:
		return fmt.Errorf("%w: %w", store.ErrOverloaded, err)
	case answered && state == uniqueViolation && strings.HasPrefix(failure.TableName, "uses"):
		return &store.ReplayedError{Kind: replayedKind(failure.Detail)}
	case state == uniqueViolation:
		return store.ErrConflict
	case answered && state == notNullViolation && strings.HasPrefix(failure.TableName, "uses"):
		return fmt.Errorf("%w: %w: what carries a one-time value has expired by the database's clock, and would be taken here", store.ErrUnavailable, store.ErrClock)
	}
	return err
}
