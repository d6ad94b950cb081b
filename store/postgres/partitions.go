package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// partitioned is a table whose rows expire soon. It is kept in partitions by the time at which they do.
type partitioned struct {
	table, column string
	// key is the primary key of each partition.
	key string
	// width is the time of one partition. Those of so much time ahead are made.
	width, ahead time.Duration
	// keep is how long rows stay after their time; more than the clocks of two nodes can differ.
	keep time.Duration
	// needed is a condition on rows that keep a partition beyond that, or empty; $1 is now.
	needed string
}

func partitionedTables() []partitioned {
	return []partitioned{
		{"uses", "until", "kind, key", oneTimeBucket, 3 * oneTimeBucket, 2 * oneTimeMargin, ""},
		{"access_tokens", "expires_at", "id", time.Hour, time.Hour, 2 * oneTimeMargin, ""},
		{"interactions", "expires_at", "id", time.Hour, time.Hour, keepFor, ""},
		{"codes", "expires_at", "id", time.Hour, time.Hour, keepFor, ""},
		{"requests", "expires_at", "id", time.Hour, time.Hour, keepFor, "purge_at > $1"},
	}
}

// ddlTimeout is how long a change of partitions may wait for a table's lock before it gives up until the next time.
const ddlTimeout = "300ms"

// partitionName is the partition that begins at start.
func (p partitioned) partitionName(start time.Time) string {
	return p.table + "_" + start.UTC().Format(partitionTime)
}

const partitionTime = "200601021504"

// start returns when a partition begins, from its name; false for the default one and the one from before
// there were partitions.
func (p partitioned) start(name string) (time.Time, bool) {
	suffix, _ := strings.CutPrefix(name, p.table+"_")
	start, err := time.Parse(partitionTime, suffix)
	return start, err == nil
}

// maintain creates the partitions of the time to come and drops those that are no longer needed. Of several nodes
// one does it, and no request waits for longer than ddlTimeout. What it could not do it does the next time: until then
// rows go into the default partition, and stay a while longer.
func (s *Store) maintain(ctx context.Context) error {
	now := s.moment()
	return s.run(ctx, "Partition", func(ctx context.Context, c *pgx.Conn) error {
		existing, err := partitionsOf(ctx, c)
		if err != nil {
			return err
		}
		for _, p := range partitionedTables() {
			for start := now.Add(-oneTimeMargin).Truncate(p.width); !start.After(now.Add(p.ahead)); start = start.Add(p.width) {
				if !existing[p.partitionName(start)] {
					if err := s.alter(ctx, c, p.create(start)); err != nil {
						return err
					}
				}
			}
			for name := range existing {
				if !strings.HasPrefix(name, p.table+"_") {
					continue
				}
				if err := s.drop(ctx, c, p, name, now); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

func partitionsOf(ctx context.Context, c *pgx.Conn) (map[string]bool, error) {
	var tables []string
	for _, p := range partitionedTables() {
		tables = append(tables, p.table)
	}
	rows, err := c.Query(ctx, `SELECT child.relname FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
		WHERE i.inhparent = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS t (name))`, tables)
	if err != nil {
		return nil, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	existing := map[string]bool{}
	for _, name := range names {
		existing[name] = true
	}
	return existing, err
}

// create makes a partition beside the table and attaches it: that lets statements on the table go on. Its statistics stay
// those of a table that was never analyzed, for which plans use the key: a plan made while it was empty is used when it
// is full.
func (p partitioned) create(start time.Time) string {
	name, form := p.partitionName(start), "2006-01-02 15:04:05-07"
	return fmt.Sprintf(`CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS, PRIMARY KEY (%[3]s)) WITH (autovacuum_enabled = off);
		ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[4]s') TO ('%[5]s')`,
		name, p.table, p.key, start.UTC().Format(form), start.Add(p.width).UTC().Format(form))
}

// drop drops a partition whose time is over. The default one of uses is emptied when nothing in it is needed: single
// values are never deleted.
func (s *Store) drop(ctx context.Context, c *pgx.Conn, p partitioned, name string, now time.Time) error {
	start, dated := p.start(name)
	isDefault := name == p.table+"_default"
	if dated && start.Add(p.width+p.keep).After(now) || isDefault && p.table != "uses" {
		return nil
	}
	condition, arguments := p.needed, []any{now}
	if !dated {
		condition, arguments = p.column+" > $1", []any{now.Add(-p.keep)}
		if p.needed != "" {
			condition, arguments = condition+" OR "+strings.ReplaceAll(p.needed, "$1", "$2"), append(arguments, now)
		}
	}
	if condition != "" {
		var needed bool
		if _, err := one(ctx, c, `SELECT EXISTS (SELECT FROM `+name+` WHERE `+condition+`)`, arguments, &needed); err != nil || needed {
			return err
		}
	}
	if !isDefault {
		return s.alter(ctx, c, fmt.Sprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE; DROP TABLE %s", p.table, name))
	}
	var some bool
	if _, err := one(ctx, c, `SELECT EXISTS (SELECT FROM `+name+`)`, nil, &some); err != nil || !some {
		return err
	}
	// A row may have been written since: the second check holds the lock.
	return s.alter(ctx, c, fmt.Sprintf(`LOCK TABLE %[1]s IN ACCESS EXCLUSIVE MODE;
		DO $$ BEGIN IF NOT EXISTS (SELECT FROM %[1]s WHERE %[2]s > '%[3]s') THEN TRUNCATE %[1]s; END IF; END $$`,
		name, p.column, now.Add(-p.keep).Format(time.RFC3339Nano)))
}

// alter runs statements in one transaction, unless another node is at it.
func (s *Store) alter(ctx context.Context, c *pgx.Conn, statements string) error {
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		var ours bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('countersign partitions ' || current_schema(), 0))`).Scan(&ours); err != nil || !ours {
			return err
		}
		// Several statements without arguments: all names and times in them are our own.
		_, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+ddlTimeout+"'; "+statements, pgx.QueryExecModeSimpleProtocol)
		return err
	})
	switch code(err) {
	case "42P07", // another node has just made it
		"42P17",                   // the rows from before there were partitions are in that time
		"23514",                   // the default partition has rows of that time: they are deleted there
		"42P01",                   // another node has just dropped it
		"42501",                   // the role may not: everything stays in the default partition
		lockNotAvailable, "40P01": // another session holds the lock for longer
		return nil
	}
	return err
}
