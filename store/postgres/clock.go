package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/internal/pause"
	"countersign/store/postgres/internal/allowance"
	"countersign/store/postgres/internal/clock"
)

// allowances is the table of what limits count, now.
func (s *Store) allowances() allowance.Table {
	return allowance.Table{Statements: &s.statements, Now: s.clock.Test(s.moment())}
}

// askTime compares the clocks by way of a connection, which it shows to be alive.
func (s *Store) askTime(ctx context.Context, c *pgx.Conn) error {
	before := s.clock.Own()
	var theirs time.Time
	if err := c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return err
	}
	s.clock.Measured(before, theirs, s.clock.Own())
	return nil
}

// databaseTime asks for the database's time, and refuses it while this node's clock does not agree.
func (s *Store) databaseTime(ctx context.Context, c *pgx.Conn) (time.Time, error) {
	if err := s.askTime(ctx, c); err != nil {
		return time.Time{}, err
	}
	return s.moment(), s.clock.Err()
}

// keepTime compares the clocks until ctx ends, when nothing else does.
func (s *Store) keepTime(ctx context.Context) {
	for pause.For(ctx, clock.Every) == nil {
		if s.clock.Due() {
			_ = s.pool.Once(ctx, s.askTime) // the verbs report what is wrong
		}
	}
}
