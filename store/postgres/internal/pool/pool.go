// Package pool runs the work of verbs on connections to PostgreSQL. It refuses connections that could be read on their way,
// has verbs wait for a connection in a bounded queue, and is the one place that decides what may be tried again.
package pool

import (
	"context"
	"database/sql"
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

	"countersign/store/internal/backend"
)

// Config says where the database is and how many connections lead there.
type Config struct {
	// URL is a connection URL or key-value string as libpq knows it. No error text repeats it.
	URL string
	// MaxConnections limits the connections; 0 leaves it to the URL, or else to the greater of 4 and the number of processors.
	MaxConnections int
	// Parameters are those of the sessions, unless the URL sets them.
	Parameters map[string]string
	// TracerProvider receives a span for each verb; nil records nothing.
	TracerProvider trace.TracerProvider
}

// Pool is a pool of connections to one database, or to the one of several hosts that takes writes.
type Pool struct {
	verbs       backend.Verbs
	connections *pgxpool.Pool
	// queue is how many verbs may wait for a connection.
	queue int64
	// waiting counts those that do, generation the times that the pool was renewed.
	waiting, generation atomic.Int64
}

// errURL replaces every failure to parse the URL: the parser's own texts may quote a password.
var errURL = errors.New("postgresql: the database URL is malformed; it should look like " +
	"postgres://user@host:5432/database?sslmode=verify-full")

// Open makes a pool, whose connections are made when they are needed. It refuses a URL that would send plain text to another
// machine.
func Open(ctx context.Context, config Config) (*Pool, error) {
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
	limit(settings.ConnConfig, config.Parameters)
	p := &Pool{verbs: backend.NewVerbs("postgresql", config.TracerProvider), queue: int64(settings.MaxConns) * queuePerConnection}
	settings.AfterConnect = func(_ context.Context, c *pgx.Conn) error {
		c.PgConn().CustomData()[generationKey] = p.generation.Load()
		return nil
	}
	if p.connections, err = pgxpool.NewWithConfig(ctx, settings); err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", err)
	}
	return p, nil
}

// Settings are those of a connection apart from any pool. It refuses what [Open] refuses.
func Settings(url string, parameters map[string]string) (*pgx.ConnConfig, error) {
	settings, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, errURL
	}
	if err := protect(settings); err != nil {
		return nil, err
	}
	limit(settings, parameters)
	return settings, nil
}

// Settings are a copy of those of the pool's connections, for one apart.
func (p *Pool) Settings() *pgx.ConnConfig { return p.connections.Config().ConnConfig }

// DB is the pool by another interface. To close it leaves the pool open.
func (p *Pool) DB() *sql.DB { return stdlib.OpenDBFromPool(p.connections) }

// Close ends the running verbs and closes the connections.
func (p *Pool) Close() { p.connections.Close() }

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
