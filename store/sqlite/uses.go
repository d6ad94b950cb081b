package sqlite

import (
	"context"

	"countersign/store"
)

// Use claims all uses or none.
func (s *Store) Use(ctx context.Context, uses ...store.Use) error {
	statements := several
	if len(uses) == 1 {
		statements = single
	}
	return s.write(ctx, "Use", statements, func(c *connection) error { return claim(c, uses) })
}

// claim records uses; the caller's transaction is rolled back when it fails.
func claim(c *connection, uses []store.Use) error {
	for _, use := range uses {
		if _, err := c.exec(`INSERT INTO uses (kind, key, until) VALUES (?, ?, ?)`,
			use.Kind, use.Key[:], micros(use.Until)); err != nil {
			return conflict(err, store.ErrReplayed)
		}
	}
	return nil
}
