package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Setting reads a setting of a connection that verbs use.
func (s *Store) Setting(ctx context.Context, name string) (value string, err error) {
	err = s.read(ctx, "Setting", func(ctx context.Context, c *pgx.Conn) error {
		_, err := one(ctx, c, `SELECT current_setting($1)`, []any{name}, &value)
		return err
	})
	return value, err
}

// Gathered are how many transactions of verbs that write are led, and how many such verbs wait for them.
func (s *Store) Gathered() (leading, waiting int) { return s.pool.Gathered() }
