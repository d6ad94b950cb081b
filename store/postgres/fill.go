package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/postgres/internal/fill"
	"countersign/store/postgres/internal/pool"
)

// Source is a database from which all is copied.
type Source = store.Source

// Copied is what was copied of one table.
type Copied = store.Copied

// ErrNotEmpty reports that the target of a copy holds records.
var ErrNotEmpty = fill.ErrNotEmpty

// Fill copies everything from another database into this one, which [Migrate] prepared and which is empty otherwise. All is
// compared with the source before it is committed: when Fill fails the database is empty as before. progress is called
// for each table that was copied; it may be nil.
func Fill(ctx context.Context, config Config, source Source, progress func(Copied)) (all []Copied, err error) {
	s, err := Open(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	// Not from the pool: a big table takes longer than its connections may.
	target, err := pool.Find(ctx, config.direct, map[string]string{
		"application_name": "countersign", "timezone": "UTC", "statement_timeout": "0", "idle_in_transaction_session_timeout": "0",
	})
	if err != nil {
		return nil, err
	}
	settings, err := target.Settings()
	if err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, settings)
	if err != nil {
		return nil, fmt.Errorf("postgresql: connect: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	return fill.All(ctx, source, fill.Target{Conn: conn, ConsumeOneTime: s.ConsumeOneTime, Now: s.moment, Progress: progress})
}
