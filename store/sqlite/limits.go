package sqlite

import (
	"context"
	"time"

	"countersign/store"
	"countersign/store/internal/backend"
	"countersign/store/sqlite/internal/connection"
)

// fullAt is when an allowance will be whole again: now, for one at rest. A clock that was set back must not lock a key out
// for longer than its burst would have.
func fullAt(c *connection.Conn, rate store.Rate, now time.Time) (full time.Time, err error) {
	found, err := c.One(`SELECT full_at FROM allowances WHERE key = ?`, []any{rate.Key[:]}, timeField{&full})
	if err != nil || !found || full.Before(now) {
		return now, err
	}
	if most := now.Add(rate.Tolerance() + rate.Interval); full.After(most) {
		return most, nil
	}
	return full, nil
}

// Allow takes one event of each allowance, or none.
func (s *Store) Allow(ctx context.Context, rates ...store.Rate) (waits []time.Duration, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	err = s.write(ctx, "Allow", connection.Several, func(c *connection.Conn) error {
		now, exhausted := s.moment(), false
		waits = make([]time.Duration, len(rates))
		full := make([]time.Time, len(rates))
		for i, rate := range rates {
			var err error
			if full[i], err = fullAt(c, rate, now); err != nil {
				return err
			}
			waits[i] = max(0, full[i].Sub(now)-rate.Tolerance())
			exhausted = exhausted || waits[i] > 0
		}
		if exhausted {
			return nil
		}
		for i, rate := range rates {
			if _, err := c.Exec(`INSERT INTO allowances (key, full_at) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at`,
				rate.Key[:], micros(full[i].Add(rate.Interval))); err != nil {
				return err
			}
		}
		return nil
	})
	return waits, err
}

// Refund gives back one event of each allowance, and all of others.
func (s *Store) Refund(ctx context.Context, rates []store.Rate, whole ...store.Digest) error {
	if err := backend.CheckRates(rates); err != nil {
		return err
	}
	return s.write(ctx, "Refund", connection.Several, func(c *connection.Conn) error {
		for _, rate := range rates {
			if _, err := c.Exec(`UPDATE allowances SET full_at = full_at - ? WHERE key = ?`, rate.Interval.Microseconds(), rate.Key[:]); err != nil {
				return err
			}
		}
		for _, key := range whole {
			if _, err := c.Exec(`DELETE FROM allowances WHERE key = ?`, key[:]); err != nil {
				return err
			}
		}
		return nil
	})
}

// Taken returns how many events of each allowance are taken.
func (s *Store) Taken(ctx context.Context, rates ...store.Rate) (taken []int, err error) {
	if err := backend.CheckRates(rates); err != nil {
		return nil, err
	}
	err = s.read(ctx, "Taken", func(c *connection.Conn) error {
		now := s.moment()
		taken = make([]int, len(rates))
		for i, rate := range rates {
			full, err := fullAt(c, rate, now)
			if err != nil {
				return err
			}
			taken[i] = int((full.Sub(now) + rate.Interval - 1) / rate.Interval)
		}
		return nil
	})
	return taken, err
}
