// Package pool runs the work of verbs on connections to PostgreSQL. It refuses connections that could be read on their way,
// has verbs wait for a connection in a bounded queue, and is the one place that decides what may be tried again.
package pool

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"go.opentelemetry.io/otel/trace"

	"countersign/internal/queue"
	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/pipeline"
)

// Config says where the database is and how many connections lead there.
type Config struct {
	// URL reads a connection URL or key-value string as libpq knows it. It is read again for each connection. No error text
	// repeats it.
	URL Address
	// MaxConnections limits the connections; 0 leaves it to the URL, or else to the greater of 4 and the number of processors.
	MaxConnections int
	// Parameters are those of the sessions, unless the URL sets them or a pooler is in between (see [Pool.Pooled]).
	Parameters map[string]string
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
	// Meter is told of each verb, by the clock Now; nil is told nothing.
	Meter store.Meter
	Now   func() time.Time
}

// Pool is a pool of connections to one database, or to the one of several hosts that takes writes.
type Pool struct {
	target      *Target
	verbs       backend.Verbs
	connections *pgxpool.Pool
	// queue is where verbs wait for a connection.
	queue *queue.Queue
	// writers and readers are where verbs of one statement are done together. Those that read wait for nobody's commit.
	writers, readers lanes
	// generation counts the times that the pool was renewed.
	generation atomic.Int64
}

// Open makes a pool, whose connections are made when they are needed, and looks who answers. It refuses a URL that would send
// plain text to another machine.
func Open(ctx context.Context, config Config) (*Pool, error) {
	if config.MaxConnections < 0 || config.MaxConnections > math.MaxInt32 {
		return nil, fmt.Errorf("postgresql: %d is not a number of connections", config.MaxConnections)
	}
	target, err := Find(ctx, config.URL, config.Parameters)
	if err != nil {
		return nil, err
	}
	settings, err := target.pool()
	if err != nil {
		return nil, err
	}
	if config.MaxConnections > 0 {
		settings.MaxConns = int32(config.MaxConnections)
	}
	settings.PingTimeout = 2 * time.Second
	connections, together := int(settings.MaxConns), 2*pipeline.Capacity
	p := &Pool{
		target: target, verbs: backend.NewVerbs("postgresql", config.TracerProvider, config.Meter, config.Now), queue: queue.New(queue.Config{
			Places: connections + together, Least: connections, Waiting: max(connections*queuePerConnection-together, connections), Patience: queueTime,
		}),
	}
	p.writers.Waits, p.readers.Waits = waits, waits
	settings.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error {
		current, err := target.Settings()
		if err != nil {
			return err
		}
		*c = *current
		return nil
	}
	settings.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[generationKey] = p.generation.Load()
		return nil
	}
	if p.connections, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", err)
	}
	return p, nil
}

// Target is where the pool's connections lead.
func (p *Pool) Target() *Target { return p.target }

// State is what the connections do.
func (p *Pool) State() store.Pool {
	open, queued := p.connections.Stat(), p.queue.State()
	return store.Pool{
		Used: int(open.AcquiredConns()), Idle: int(open.IdleConns()), Most: int(open.MaxConns()), Waiting: queued.Waiting, Refused: queued.Refused,
	}
}

// DB is the pool by another interface. To close it leaves the pool open.
func (p *Pool) DB() *sql.DB { return stdlib.OpenDBFromPool(p.connections) }

// Close ends the running verbs and closes the connections.
func (p *Pool) Close() { p.connections.Close() }
