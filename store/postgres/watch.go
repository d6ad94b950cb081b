package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"countersign/store"
	"countersign/store/internal/backend"
)

const (
	// beat is how often the listening connection is checked, beatTimeout how long that may take, and
	// relisten how long to wait before another is made.
	beat        = 250 * time.Millisecond
	beatTimeout = 400 * time.Millisecond
	relisten    = 200 * time.Millisecond
)

var _ store.Watcher = (*Store)(nil)

// Watch listens to the notifications that triggers send, on a connection of its own.
func (s *Store) Watch(ctx context.Context, onChange func(store.Change)) {
	for ctx.Err() == nil {
		_ = s.listen(ctx, onChange)      // without notifications nodes reload on their own; the verbs report what is wrong
		_ = backend.Pause(ctx, relisten) // the loop looks at ctx
	}
}

func (s *Store) listen(ctx context.Context, onChange func(store.Change)) error {
	config := s.pool.Settings()
	config.OnNotification = func(_ *pgconn.PgConn, n *pgconn.Notification) { onChange(change(n.Payload)) }
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	defer func() {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closing) // it holds nothing unsaved
	}()
	if _, err := conn.Exec(ctx, "LISTEN countersign"); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	onChange(store.Change{Lost: true})
	for ctx.Err() == nil {
		// The answer to a question comes after every notification that was sent before it.
		asking, cancel := context.WithTimeout(ctx, beatTimeout)
		err := conn.Ping(asking)
		cancel()
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		onChange(store.Change{})
		waiting, cancel := context.WithTimeout(ctx, beat)
		for err == nil {
			err = conn.PgConn().WaitForNotification(waiting)
		}
		cancel()
		if !pgconn.Timeout(err) {
			return fmt.Errorf("listen: %w", err)
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
