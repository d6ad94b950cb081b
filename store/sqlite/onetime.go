package sqlite

import (
	"context"
	"fmt"

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

// consumeOneTimes records one-time values; the caller's transaction is rolled back when it fails. A value that may have been
// removed is not taken: it may have been used.
func consumeOneTimes(c *connection.Conn, oneTimes []store.OneTime) error {
	for _, oneTime := range oneTimes {
		_, err := c.Exec(`INSERT INTO uses (kind, key, until) VALUES (?1, ?2, CASE WHEN ?3 > (SELECT purged FROM clock WHERE id = 1) THEN ?3 END)`,
			oneTime.Kind, oneTime.Key[:], micros(oneTime.Until))
		if connection.ViolatesNotNull(err) {
			return fmt.Errorf("%w: %w: what carries a one-time value ended before the time up to which used values were removed",
				store.ErrUnavailable, store.ErrClock)
		}
		if err != nil {
			return conflict(err, &store.ReplayedError{Kind: oneTime.Kind})
		}
	}
	return nil
}
