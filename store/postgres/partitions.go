package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store/postgres/internal/partition"
	"countersign/store/postgres/internal/purge"
)

// partitioned are the tables that are kept in partitions.
func partitioned() []partition.Table {
	return []partition.Table{
		{Name: "uses", Column: "until", Key: "kind, key", Width: oneTimeBucket, Ahead: 3 * oneTimeBucket, Keep: oneTimeKeep, EmptyDefault: true},
		{Name: "access_tokens", Column: "expires_at", Key: "id", Width: time.Hour, Ahead: time.Hour, Keep: 2 * oneTimeMargin},
		{Name: "interactions", Column: "expires_at", Key: "id", Width: time.Hour, Ahead: time.Hour, Keep: keepFor},
		{Name: "codes", Column: "expires_at", Key: "id", Width: time.Hour, Ahead: time.Hour, Keep: keepFor, Before: purge.Unclaimed},
		{Name: "requests", Column: "expires_at", Key: "id", Width: time.Hour, Ahead: time.Hour, Keep: keepFor, Needed: "purge_at > $1"},
	}
}

// maintain creates the partitions of the time to come and drops those that are no longer needed, by the database's clock, and
// only where this node's agrees: a database whose clock is wrong drops nothing either.
func (s *Store) maintain(ctx context.Context) error {
	return s.run(ctx, "Partition", func(ctx context.Context, c *pgx.Conn) error {
		now, err := s.databaseTime(ctx, c)
		if err != nil {
			return err
		}
		return partition.Maintain(ctx, c, partitioned(), now, oneTimeMargin)
	})
}
