package pool

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/pause"
)

// Lock is an advisory lock where no session is kept, as goose takes one of a session: a transaction that is open meanwhile, on a connection
// of its own, holds it.
type Lock struct {
	target *Target
	id     int64
	conn   *pgx.Conn
}

// NewLock makes a lock with an ID. It is the same as that which a session takes that reaches the database directly.
func NewLock(target *Target, id int64) *Lock { return &Lock{target: target, id: id} }

// SessionLock waits for the lock, for five minutes at most.
func (l *Lock) SessionLock(ctx context.Context, _ *sql.Conn) error {
	settings, err := l.target.Settings()
	if err != nil {
		return err
	}
	if l.conn, err = pgx.ConnectConfig(ctx, settings); err != nil {
		return fmt.Errorf("postgresql: connect: %w", err)
	}
	for range 300 {
		ours, err := l.try(ctx)
		if err == nil && ours {
			return nil
		}
		if err == nil {
			err = pause.For(ctx, time.Second)
		}
		if err != nil {
			return errors.Join(fmt.Errorf("postgresql: lock the schema: %w", err), l.conn.Close(context.WithoutCancel(ctx)))
		}
	}
	return errors.Join(errors.New("another program migrates this database, for five minutes"), l.conn.Close(ctx))
}

// try begins the transaction and ends it unless it got the lock. All of it goes by the simple protocol: the other one would leave
// a portal open, for whose snapshot CREATE INDEX CONCURRENTLY waits.
func (l *Lock) try(ctx context.Context) (ours bool, err error) {
	if _, err := l.conn.Exec(ctx, "BEGIN; SET LOCAL idle_in_transaction_session_timeout = 0", pgx.QueryExecModeSimpleProtocol); err != nil {
		return false, err
	}
	err = l.conn.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1)", pgx.QueryExecModeSimpleProtocol, l.id).Scan(&ours)
	if err != nil || ours {
		return ours, err
	}
	_, err = l.conn.Exec(ctx, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	return false, err
}

// SessionUnlock ends the transaction.
func (l *Lock) SessionUnlock(ctx context.Context, _ *sql.Conn) error {
	_, err := l.conn.Exec(ctx, "ROLLBACK", pgx.QueryExecModeSimpleProtocol)
	return errors.Join(err, l.conn.Close(ctx))
}
