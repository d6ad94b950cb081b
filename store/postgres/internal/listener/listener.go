// Package listener listens to the notifications of a PostgreSQL database, and proves that they arrive.
package listener

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign/store"
	"countersign/store/postgres/internal/pool"
)

const (
	// beatTimeout is how long an answer may take, proofTimeout a notification.
	beatTimeout  = 400 * time.Millisecond
	proofTimeout = 2 * time.Second
)

// ErrDeaf reports that a connection listens and gets nothing.
var ErrDeaf = errors.New("the database's notifications do not arrive: changes by other nodes are polled for, once a second; " +
	"behind a pooler set store.notify_url_file to an address that reaches the database directly")

// Status is whether notifications arrive.
type Status struct {
	mu  sync.Mutex
	err error
}

// Set stores why they do not; nil when they do.
func (s *Status) Set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// Err is what was set last.
func (s *Status) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Listener is a connection that listens to the notifications of changes.
type Listener struct {
	pool *pool.Pool
	conn *pgx.Conn
	// channel is this connection's own: what is sent there proves that notifications arrive. proven is when one did.
	channel string
	proven  bool
}

// Open connects to an address and listens; changes are given to onChange while the listener waits. Proofs are sent by way
// of a pool.
func Open(ctx context.Context, address pool.Address, by *pool.Pool, onChange func(store.Change)) (*Listener, error) {
	config, err := pool.Behind(address, map[string]string{"application_name": "countersign", "timezone": "UTC"}).Settings()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &Listener{pool: by, channel: "countersign_" + hex.EncodeToString(nonce())}
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) {
		if n.Channel == l.channel {
			l.proven = true
			return
		}
		onChange(change(n.Payload))
	}
	if l.conn, err = pgx.ConnectConfig(ctx, config); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if _, err := l.conn.Exec(ctx, "LISTEN countersign; LISTEN "+l.channel, pgx.QueryExecModeSimpleProtocol); err != nil {
		l.Close(ctx)
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l, nil
}

// nonce makes a name that no other connection has. It is no secret.
func nonce() []byte {
	name := make([]byte, 8)
	_, _ = rand.Read(name) // it never fails
	return name
}

// Close ends the connection.
func (l *Listener) Close(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(closing) // it holds nothing unsaved
}

// Prove sends a notification by way of the pool and waits for it. Nothing is asked meanwhile: a pooler in transaction mode
// passes on what comes while a statement runs, and loses what comes later.
func (l *Listener) Prove(ctx context.Context) error {
	l.proven = false
	err := l.pool.Once(ctx, func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SELECT pg_notify($1, '')", l.channel)
		return err
	})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	waiting, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()
	for err == nil && !l.proven {
		err = l.conn.PgConn().WaitForNotification(waiting)
	}
	switch {
	case l.proven:
		return nil
	case pgconn.Timeout(err):
		return ErrDeaf
	}
	return fmt.Errorf("listen: %w", err)
}

// Wait asks the database a question, whose answer comes after every notification that was sent before it, calls asked, and waits
// for notifications for a time.
func (l *Listener) Wait(ctx context.Context, question func(context.Context, *pgx.Conn) error, asked func(), d time.Duration) error {
	asking, cancel := context.WithTimeout(ctx, beatTimeout)
	err := question(asking, l.conn)
	cancel()
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	asked()
	waiting, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for err == nil {
		err = l.conn.PgConn().WaitForNotification(waiting)
	}
	if !pgconn.Timeout(err) {
		return fmt.Errorf("listen: %w", err)
	}
	return nil
}

// change reads what a trigger sent: a table, and the row's identifier.
func change(payload string) store.Change {
	table, id, _ := strings.Cut(payload, " ")
	switch table {
	case "clients":
		return store.Change{Client: id}
	case "keys":
		return store.Change{Keys: true}
	}
	return store.Change{Lost: true} // of a later release
}
