package allowance

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/postgres/internal/pool"
)

// Limits has the verbs of [store.Limits].
type Limits struct {
	// Run and Read do the work of a verb that writes, and of one that changes nothing.
	Run, Read func(ctx context.Context, verb string, work pool.Work) error
	// Now is the table of what limits count, now.
	Now func() Table
}

// Allow takes one event of each allowance, or none.
func (l Limits) Allow(ctx context.Context, rates ...store.Rate) (waits []time.Duration, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	allowances := l.Now()
	err = l.Run(ctx, "Allow", func(ctx context.Context, c *pgx.Conn) (err error) {
		waits, err = allowances.Take(ctx, c, rates)
		return err
	})
	return waits, err
}

// Refund gives back one event of each allowance, and all of others.
func (l Limits) Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest) error {
	if err := backend.CheckRates(rates); err != nil {
		return err
	}
	allowances := l.Now()
	return l.Run(ctx, "Refund", func(ctx context.Context, c *pgx.Conn) error { return allowances.Refund(ctx, c, rates, whole) })
}

// Taken returns how many events of each allowance are taken.
func (l Limits) Taken(ctx context.Context, rates ...store.Rate) (taken []int, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	allowances := l.Now()
	err = l.Read(ctx, "Taken", func(ctx context.Context, c *pgx.Conn) (err error) {
		taken, err = allowances.Taken(ctx, c, rates)
		return err
	})
	return taken, err
}
