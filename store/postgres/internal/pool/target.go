package pool

import (
	"context"
	"crypto/fips140"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Address reads a connection URL, which may hold a password that changes.
type Address func() (string, error)

// errURL replaces every failure to parse the URL: the parser's own texts may quote a password.
var errURL = errors.New("postgresql: the database URL is malformed; it should look like " +
	"postgres://user@host:5432/database?sslmode=verify-full")

// Target is where connections lead: a URL that is read again for each of them, and what its server can do.
type Target struct {
	address    Address
	parameters map[string]string
	// pooled reports that a connection is not one session: a pooler hands each transaction to some session.
	pooled bool

	mu sync.Mutex
	// last is what the URL said when it could be read, failed why it cannot be read now.
	last   *pgxpool.Config
	failed error
}

// Find reads a URL, connects once, and looks who answers. It refuses a URL that would send plain text to another machine.
func Find(ctx context.Context, address Address, parameters map[string]string) (*Target, error) {
	t := &Target{address: address, parameters: parameters}
	settings, err := t.Settings()
	if err != nil {
		return nil, err
	}
	if t.pooled, err = pooled(ctx, settings); err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", outcome(err))
	}
	return t, nil
}

// Behind is [Find] for connections that ask nothing of a session which a pooler could not keep: it connects to nothing.
func Behind(address Address, parameters map[string]string) *Target {
	return &Target{address: address, parameters: parameters, pooled: true}
}

// Pooled reports that a pooler is in between, such as PgBouncer: what belongs to a session (parameters, prepared statements,
// LISTEN, locks) may be lost between two transactions.
func (t *Target) Pooled() bool { return t.pooled }

// Settings are those of the next connection. A URL that cannot be read any more is the one that could be read before.
func (t *Target) Settings() (*pgx.ConnConfig, error) {
	settings, err := t.pool()
	if err != nil {
		return nil, err
	}
	return settings.ConnConfig, nil
}

// Failed is why the URL could not be read the last time; nil when it was.
func (t *Target) Failed() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failed
}

func (t *Target) pool() (*pgxpool.Config, error) {
	settings, err := parse(t.address)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = err
	if err != nil && t.last == nil {
		return nil, err
	}
	if err == nil {
		t.last = settings
	}
	settings = t.last.Copy()
	t.limit(settings.ConnConfig)
	if fips140.Enforced() {
		settings.ConnConfig.RequireAuth = withoutMD5(settings.ConnConfig.RequireAuth)
	}
	return settings, nil
}

// parse reads a URL. It refuses one that would send plain text to another machine.
func parse(address Address) (*pgxpool.Config, error) {
	text, err := address()
	if err != nil {
		return nil, err
	}
	settings, err := pgxpool.ParseConfig(text) // and not pgx, which takes settings of a pool for session parameters
	if err != nil {
		return nil, errURL
	}
	return settings, protect(settings.ConnConfig)
}

// limit sets session parameters that the URL does not set. Of several hosts only one that takes writes will do.
func (t *Target) limit(config *pgx.ConnConfig) {
	several := func(other *pgconn.FallbackConfig) bool { return other.Host != config.Host || other.Port != config.Port }
	if config.ValidateConnect == nil && slices.ContainsFunc(config.Fallbacks, several) {
		config.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = 5 * time.Second
	}
	for name, value := range t.parameters {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	switch mode := config.DefaultQueryExecMode; {
	case t.pooled:
		behindPooler(config)
	case mode == pgx.QueryExecModeExec, mode == pgx.QueryExecModeSimpleProtocol:
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe // those modes guess the types of values, and guess wrong
	}
}

// behindPooler leaves out what a pooler in transaction mode cannot keep. A statement is described once and then sent as a whole,
// without a name: that is one round trip still, and depends on no session.
func behindPooler(config *pgx.ConnConfig) {
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool { return !poolerKeeps(name) })
	config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	if config.DescriptionCacheCapacity == 0 {
		config.DescriptionCacheCapacity = 512
	}
}

// poolerKeeps reports whether PgBouncer keeps a parameter for each of its clients.
func poolerKeeps(name string) bool {
	switch strings.ToLower(name) {
	case "client_encoding", "datestyle", "timezone", "standard_conforming_strings", "application_name", "search_path", "options":
		return true
	}
	return false
}

// pooled reports whether a pooler answers: the process that it names is not the one that works, or it knows no such parameter.
func pooled(ctx context.Context, settings *pgx.ConnConfig) (bool, error) {
	settings = settings.Copy()
	conn, err := pgx.ConnectConfig(ctx, settings)
	if unsupportedParameter(err) {
		behindPooler(settings)
		conn, err = pgx.ConnectConfig(ctx, settings)
		if err == nil {
			return true, errors.Join(transacts(ctx, conn), conn.Close(ctx))
		}
	}
	if err != nil {
		return false, err
	}
	var process uint32
	// By the simple protocol: a statement that is prepared first may be looked for in another session.
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid()", pgx.QueryExecModeSimpleProtocol).Scan(&process)
	behind := err == nil && process != conn.PgConn().PID()
	if behind {
		err = transacts(ctx, conn)
	}
	return behind, errors.Join(err, conn.Close(ctx))
}

// errStatements is a pooler that hands over each statement.
var errStatements = errors.New("the pooler hands each statement to another session, and so ends transactions: " +
	"set pool_mode = transaction (or session) in PgBouncer, or name the database itself in store.url_file")

// transacts refuses a pooler that does not keep a transaction together.
func transacts(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "BEGIN", pgx.QueryExecModeSimpleProtocol)
	if err == nil {
		_, err = conn.Exec(ctx, "COMMIT", pgx.QueryExecModeSimpleProtocol)
	}
	if failure, ok := errors.AsType[*pgconn.PgError](err); ok && failure.Code == "08P01" && strings.Contains(failure.Message, "statement pooling") {
		return errStatements
	}
	return err
}

// unsupportedParameter reports whether a pooler refused a session parameter. A server says 42704 of one that it does not know.
func unsupportedParameter(err error) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && failure.Code == "08P01" && strings.Contains(failure.Message, "unsupported startup parameter")
}
