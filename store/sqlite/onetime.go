package sqlite

import (
	"context"

	"countersign/store"
)

// ConsumeOneTime consumes all one-time values or none.
func (s *Store) ConsumeOneTime(ctx context.Context, oneTimes ...store.OneTime) error {
	statements := several
	if len(oneTimes) == 1 {
		statements = single
	}
	return s.write(ctx, "ConsumeOneTime", statements, func(c *connection) error { return consumeOneTimes(c, oneTimes) })
}

// consumeOneTimes records one-time values; the caller's transaction is rolled back when it fails.
func consumeOneTimes(c *connection, oneTimes []store.OneTime) error {
	for _, oneTime := range oneTimes {
		if _, err := c.exec(`INSERT INTO uses (kind, key, until) VALUES (?, ?, ?)`,
			oneTime.Kind, oneTime.Key[:], micros(oneTime.Until)); err != nil {
			return conflict(err, store.ErrReplayed)
		}
	}
	return nil
}
