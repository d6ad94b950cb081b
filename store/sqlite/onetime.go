package sqlite

import (
	"context"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// ConsumeOneTime consumes all one-time values or none.
func (s *Store) ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error {
	statements := connection.Several
	if len(oneTimes) == 1 {
		statements = connection.Single
	}
	return s.write(ctx, "ConsumeOneTime", statements, func(c *connection.Conn) error { return consumeOneTimes(c, oneTimes) })
}

// consumeOneTimes records one-time values; the caller's transaction is rolled back when it fails.
func consumeOneTimes(c *connection.Conn, oneTimes []store.OneTime) error {
	for _, oneTime := range oneTimes {
		if _, err := c.Exec(`INSERT INTO uses (kind, key, until) VALUES (?, ?, ?)`,
			oneTime.Kind, oneTime.Key[:], micros(oneTime.Until)); err != nil {
			return conflict(err, &store.ReplayedError{Kind: oneTime.Kind})
		}
	}
	return nil
}
