package postgres

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
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/pool"
)

const (
	// beat is how often the listening connection is checked, beatTimeout how long that may take, and
	// relisten how long to wait before another is made.
	beat        = 250 * time.Millisecond
	beatTimeout = 400 * time.Millisecond
	relisten    = 200 * time.Millisecond
	// proveEvery is after how many beats it is proven again that notifications arrive, proofTimeout how long one may take, and
	// retryDeaf how long to wait before it is tried again to listen where nothing arrives.
	proveEvery   = 40
	proofTimeout = 2 * time.Second
	retryDeaf    = 15 * time.Second
)

var _ store.Watcher = (*Store)(nil)

// notifier is how this node is notified of changes.
type notifier struct {
	address pool.Address
	// advice is about the database, for an operator.
	advice string

	mu  sync.Mutex
	err error
}

func (n *notifier) set(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.err = err
}

// Condition returns what this node knows of its connection.
func (s *Store) Condition() store.Condition {
	s.notifier.mu.Lock()
	defer s.notifier.mu.Unlock()
	return store.Condition{Clock: s.clock.err(), Notifications: s.notifier.err, Address: s.pool.Target().Failed(), Advice: s.notifier.advice}
}

// errDeaf reports that a connection listens and gets nothing.
var errDeaf = errors.New("the database's notifications do not arrive: changes by other nodes are polled for, once a second; " +
	"behind a pooler set store.notify_url_file to an address that reaches the database directly")

// Watch listens to the notifications that triggers send, on a connection of its own, and keeps the database's time.
func (s *Store) Watch(ctx context.Context, onChange func(store.Change)) {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	keeping.Go(func() { s.keepTime(ctx) })
	for ctx.Err() == nil {
		err := s.listen(ctx, onChange)
		if ctx.Err() != nil {
			return
		}
		// Without notifications nodes reload on their own; the verbs report what is wrong.
		s.notifier.set(err)
		wait := relisten
		if errors.Is(err, errDeaf) {
			wait = retryDeaf
		}
		_ = backend.Pause(ctx, wait) // the loop looks at ctx
	}
}

// CheckNotifications reports whether a notification arrives.
func (s *Store) CheckNotifications(ctx context.Context) error {
	l, err := s.newListener(ctx, func(store.Change) {})
	if err != nil {
		return err
	}
	defer l.close(ctx)
	return l.prove(ctx)
}

// listener is the connection that listens.
type listener struct {
	store *Store
	conn  *pgx.Conn
	// channel is this connection's own: what is sent there proves that notifications arrive. proven is when one did.
	channel string
	proven  bool
}

func (s *Store) newListener(ctx context.Context, onChange func(store.Change)) (*listener, error) {
	config, err := pool.Behind(s.notifier.address, map[string]string{"application_name": "countersign", "timezone": "UTC"}).Settings()
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l := &listener{store: s, channel: "countersign_" + hex.EncodeToString(nonce())}
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
		l.close(ctx)
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

func (l *listener) close(ctx context.Context) {
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = l.conn.Close(closing) // it holds nothing unsaved
}

// prove sends a notification by way of the pool and waits for it. Nothing is asked meanwhile: a pooler in transaction mode
// passes on what comes while a statement runs, and loses what comes later.
func (l *listener) prove(ctx context.Context) error {
	l.proven = false
	err := l.store.pool.Once(ctx, func(ctx context.Context, c *pgx.Conn) error {
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
		return errDeaf
	}
	return fmt.Errorf("listen: %w", err)
}

func (s *Store) listen(ctx context.Context, onChange func(store.Change)) error {
	l, err := s.newListener(ctx, onChange)
	if err != nil {
		return err
	}
	defer l.close(ctx)
	if err := l.prove(ctx); err != nil {
		return err
	}
	s.notifier.set(nil)
	onChange(store.Change{Lost: true})
	for beats := 1; ctx.Err() == nil; beats++ {
		// The answer to a question comes after every notification that was sent before it.
		asking, cancel := context.WithTimeout(ctx, beatTimeout)
		err := s.askTime(asking, l.conn)
		cancel()
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		onChange(store.Change{})
		waiting, cancel := context.WithTimeout(ctx, beat)
		for err == nil {
			err = l.conn.PgConn().WaitForNotification(waiting)
		}
		cancel()
		if !pgconn.Timeout(err) {
			return fmt.Errorf("listen: %w", err)
		}
		if beats%proveEvery != 0 {
			continue
		}
		// Without an answer from the pool nothing is known; the verbs report what is wrong.
		if err := l.prove(ctx); errors.Is(err, errDeaf) {
			return err
		}
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
