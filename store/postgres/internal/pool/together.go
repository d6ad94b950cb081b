package pool

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.opentelemetry.io/otel/trace"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/pipeline"
)

const (
	// rounds is how often a transaction of several verbs is begun, each time without the verb that failed the last time.
	rounds = 3
	// hung is how long a transaction keeps its lane. One that takes longer, as it waits for a lock, keeps nobody else waiting than
	// those in it.
	hung = 100 * time.Millisecond
)

// Shared is a verb of one statement that may be done together with others.
type Shared struct {
	pipeline.Statement
	// Judge says what came of the verb when its statement was done: nil, one of the store's own errors, or [ErrMore]. Nil is that
	// all is well.
	Judge func() error
	// Alone is the verb when it is done by itself; nil is its statement.
	Alone Work
}

// ErrMore says that a verb needs more than its one statement, which has done nothing: it is done by itself.
var ErrMore = errors.New("postgresql: a verb needs more than one statement")

// OrNotFound has the verb fail without a row.
func (s *Shared) OrNotFound() *Shared {
	s.Judge = func() error {
		if !s.Found {
			return store.ErrNotFound
		}
		return nil
	}
	return s
}

// OrElse has the verb be done when its statement says so, and otherwise say why by more.
func (s *Shared) OrElse(done *bool, more Work) *Shared {
	s.Judge = func() error {
		if !*done {
			return ErrMore
		}
		return nil
	}
	s.Alone = func(ctx context.Context, c *pgx.Conn) error {
		if err := s.Do(ctx, c); err != nil || *done {
			return err
		}
		return more(ctx, c)
	}
	return s
}

func (s *Shared) judge() error {
	if s.Judge == nil {
		return nil
	}
	return s.Judge()
}

// alone does the verb by itself.
func (s *Shared) alone(ctx context.Context, c *pgx.Conn) error {
	if s.Alone != nil {
		return s.Alone(ctx, c)
	}
	if err := s.Do(ctx, c); err != nil {
		return err
	}
	return s.judge()
}

// ended is what came of a verb that was done together with others. alone says that nothing remains of it, and that it is to be
// done by itself, which also finds out why it has to be refused.
type ended struct {
	verdict verdict
	err     error
	alone   bool
}

type lanes = pipeline.Lanes[ended]

// WriteShared is Write for a verb of one statement, which is done together with others while the database is busy.
func (p *Pool) WriteShared(ctx context.Context, name string, shared *Shared) error {
	return p.try(ctx, name, shared.alone, &company{&p.writers, shared}, func(v verdict) bool { return v == undone })
}

// ReadShared is Read in the same way.
func (p *Pool) ReadShared(ctx context.Context, name string, shared *Shared) error {
	return p.try(ctx, name, shared.alone, &company{&p.readers, shared}, func(v verdict) bool { return v == undone || v == unknown })
}

// Gathered are how many transactions of verbs that write are led, and how many such verbs wait for them.
func (p *Pool) Gathered() (leading, waiting int) { return p.writers.Counts() }

// company is who a verb is done together with.
type company struct {
	lanes  *lanes
	shared *Shared
}

// waits begins a span for the time that a verb waits for a transaction, as the queue has one; what it returns ends it.
func waits(ctx context.Context) (waited func()) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return func() {}
	}
	_, span := parent.TracerProvider().Tracer("countersign/queue").Start(ctx, "store.queue")
	return func() { span.End() }
}

// together does a verb with others, or leads them.
func (p *Pool) together(ctx context.Context, with *company) ended {
	place, lead, ok := with.lanes.Enter(ctx, &with.shared.Statement, queueTime)
	switch {
	case !ok && ctx.Err() != nil:
		return ended{verdict: final, err: fmt.Errorf("%w: wait for a transaction: %w", store.ErrOverloaded, context.Cause(ctx))}
	case !ok:
		return ended{verdict: final, err: fmt.Errorf("%w: no transaction was free for %s", store.ErrOverloaded, queueTime)}
	case lead:
		return p.lead(ctx, with, place)
	}
	return place.Outcome().judged(with.shared)
}

// judged adds what the verb itself says.
func (e ended) judged(shared *Shared) ended {
	if e.alone || e.err != nil {
		return e
	}
	err := shared.judge()
	return ended{verdict: final, err: err, alone: err != nil && !backend.Answer(err)}
}

// lead does a verb on a lane, and with it those that have come by the time it has a connection.
func (p *Pool) lead(ctx context.Context, with *company, place *pipeline.Place[ended]) ended {
	leave := sync.OnceFunc(func() { with.lanes.Leave(place) })
	defer leave()
	c, err := p.acquire(ctx)
	if err != nil {
		return ended{verdict: final, err: err}
	}
	defer c.Release()
	others := with.lanes.Take(place)
	stuck := time.AfterFunc(hung, leave)
	defer stuck.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	if len(others) == 0 {
		judged, err := p.use(ctx, c.Conn(), with.shared.alone)
		return ended{verdict: judged, err: err}
	}
	own := &with.shared.Statement
	statements := make([]*pipeline.Statement, 0, 1+len(others))
	statements = append(statements, own)
	for _, other := range others {
		statements = append(statements, other.Statement())
	}
	outcomes := make(map[*pipeline.Statement]ended, len(statements))
	defer func() { // also when a statement panics
		for _, other := range others {
			other.Tell(of(outcomes, other.Statement()))
		}
	}()
	p.share(ctx, c.Conn(), statements, func(s *pipeline.Statement, e ended) { outcomes[s] = e })
	return of(outcomes, own).judged(with.shared)
}

// of is the outcome of a statement. Of one that has none it is not known what was done.
func of(outcomes map[*pipeline.Statement]ended, s *pipeline.Statement) ended {
	if e, ok := outcomes[s]; ok {
		return e
	}
	return ended{verdict: unknown, err: lostError{errors.New("postgresql: a transaction of several verbs was broken off")}}
}

// share does statements in one transaction, and again without those that fail; after that, each is to be done alone. So is one
// that the connection does not know yet.
func (p *Pool) share(ctx context.Context, c *pgx.Conn, statements []*pipeline.Statement, tell func(*pipeline.Statement, ended)) {
	all := func(e ended) {
		for _, s := range statements {
			tell(s, e)
		}
	}
	statements = slices.DeleteFunc(statements, func(s *pipeline.Statement) bool {
		if s.Known(c) {
			return false
		}
		tell(s, ended{alone: true})
		return true
	})
	if len(statements) == 0 {
		return
	}
	pipeline.Sort(statements)
	for range rounds {
		failed, err := pipeline.Together(ctx, c, statements)
		if err == nil {
			for _, s := range statements {
				tell(s, ended{verdict: final, err: s.Unread()})
			}
			return
		}
		judged := judgeShared(err, c.IsClosed())
		p.note(c, judged, err)
		switch {
		case judged == unknown:
			all(ended{verdict: unknown, err: lostError{err}})
			return
		case judged == final && errors.Is(err, pipeline.ErrCommit):
			all(ended{verdict: final, err: err})
			return
		case judged == undone, failed == nil: // or it was not begun
			all(ended{alone: true})
			return
		}
		// One that was broken off for its time is not given as much again.
		tell(failed, ended{verdict: final, err: err, alone: code(err) != queryCancelled})
		if statements = slices.DeleteFunc(statements, func(s *pipeline.Statement) bool { return s == failed }); len(statements) == 0 {
			return
		}
	}
	all(ended{alone: true})
}

// judgeShared is judge for several verbs. What is no answer of the database says nothing of what was done, unless nothing was sent.
func judgeShared(err error, closed bool) verdict {
	_, answered := errors.AsType[*pgconn.PgError](err)
	if judged := judge(err, closed); answered || judged == undone {
		return judged
	}
	return unknown
}
