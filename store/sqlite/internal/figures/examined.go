package figures

import (
	"context"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// OneTimeUsed reports whether a one-time value is remembered as consumed.
func (f Figures) OneTimeUsed(ctx context.Context, value store.OneTime) (used bool, err error) {
	err = f.Read(ctx, "OneTimeUsed", func(c *connection.Conn) error {
		return c.Get(`SELECT EXISTS (SELECT 1 FROM uses WHERE kind = ? AND key = ?)`, []any{value.Kind, value.Key[:]}, &used)
	})
	return used, err
}

// KnownSeed returns the value stored under a name.
func (f Figures) KnownSeed(ctx context.Context, name string) (seed []byte, err error) {
	err = f.Read(ctx, "KnownSeed", func(c *connection.Conn) error {
		return c.Get(`SELECT value FROM seeds WHERE name = ?`, []any{name}, &seed)
	})
	return seed, err
}
