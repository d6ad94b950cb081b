package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/allowance"
)

// allowances is the table of what limits count, now.
func (s *Store) allowances() allowance.Table {
	return allowance.Table{Statements: &s.statements, Now: s.clock.Test(s.moment())}
}

// Allow takes one event of each allowance, or none.
func (s *Store) Allow(ctx context.Context, rates ...store.Rate) (waits []time.Duration, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	allowances := s.allowances()
	err = s.run(ctx, "Allow", func(ctx context.Context, c *pgx.Conn) (err error) {
		waits, err = allowances.Take(ctx, c, rates)
		return err
	})
	return waits, err
}

// Refund gives back one event of each allowance, and all of others.
func (s *Store) Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest) error {
	if err := backend.CheckRates(rates); err != nil {
		return err
	}
	allowances := s.allowances()
	return s.run(ctx, "Refund", func(ctx context.Context, c *pgx.Conn) error { return allowances.Refund(ctx, c, rates, whole) })
}

// Taken returns how many events of each allowance are taken.
func (s *Store) Taken(ctx context.Context, rates ...store.Rate) (taken []int, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	allowances := s.allowances()
	err = s.read(ctx, "Taken", func(ctx context.Context, c *pgx.Conn) (err error) {
		taken, err = allowances.Taken(ctx, c, rates)
		return err
	})
	return taken, err
}
