package figures

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

// OneTimeUsed reports whether a one-time value is remembered as consumed, in any of the ten minutes for which it is.
func (f Figures) OneTimeUsed(ctx context.Context, value store.OneTime) (used bool, err error) {
	err = f.Read(ctx, "OneTimeUsed", func(ctx context.Context, c *pgx.Conn) error {
		return c.QueryRow(ctx, `SELECT EXISTS (SELECT 1 FROM uses WHERE kind = $1 AND key = $2)`, value.Kind, value.Key[:]).Scan(&used)
	})
	return used, err
}

// KnownSeed returns the value stored under a name.
func (f Figures) KnownSeed(ctx context.Context, name string) (seed []byte, err error) {
	err = f.Read(ctx, "KnownSeed", func(ctx context.Context, c *pgx.Conn) error {
		err := c.QueryRow(ctx, `SELECT value FROM seeds WHERE name = $1`, name).Scan(&seed)
		if errors.Is(err, pgx.ErrNoRows) {
			return store.ErrNotFound
		}
		return err
	})
	return seed, err
}
