// Package partition keeps tables whose rows expire soon in partitions by the time at which they do, so that what has expired is
// dropped and not deleted.
package partition

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Table is a table whose rows expire soon. It is kept in partitions by the time at which they do.
type Table struct {
	// Name is the table's, Column that with the time at which a row expires.
	Name, Column string
	// Key is the primary key of each partition.
	Key string
	// Width is the time of one partition. Those of so much time ahead are made.
	Width, Ahead time.Duration
	// Keep is how long rows stay after their time; more than the clocks of two nodes can differ.
	Keep time.Duration
	// Needed is a condition on rows that keep a partition beyond that, or empty; $1 is now.
	Needed string
	// Before prepares the drop of a partition, and returns whether it is done; nil for nothing to prepare.
	Before func(ctx context.Context, c *pgx.Conn, partition string, now time.Time) (done bool, err error)
	// EmptyDefault has the default partition emptied when nothing in it is needed: for a table whose rows are never deleted.
	EmptyDefault bool
}

// ddlTimeout is how long a change of partitions may wait for a table's lock before it gives up until the next time.
const ddlTimeout = "300ms"

// partitionName is the partition that begins at start.
func (t Table) partitionName(start time.Time) string {
	return t.Name + "_" + start.UTC().Format(partitionTime)
}

const partitionTime = "200601021504"

// start returns when a partition begins, from its name; false for the default one and the one from before
// there were partitions.
func (t Table) start(name string) (time.Time, bool) {
	suffix, _ := strings.CutPrefix(name, t.Name+"_")
	start, err := time.Parse(partitionTime, suffix)
	return start, err == nil
}

// Maintain creates the partitions of the time to come, from as long before now as the clocks of two nodes can differ, and drops
// those that are no longer needed. Of several nodes one does it, and no request waits for longer than ddlTimeout. What it could
// not do it does the next time: until then rows go into the default partition, and stay a while longer.
func Maintain(ctx context.Context, c *pgx.Conn, tables []Table, now time.Time, difference time.Duration) error {
	existing, err := partitionsOf(ctx, c, tables)
	if err != nil {
		return err
	}
	for _, t := range tables {
		for start := now.Add(-difference).Truncate(t.Width); !start.After(now.Add(t.Ahead)); start = start.Add(t.Width) {
			if !existing[t.partitionName(start)] {
				if err := alter(ctx, c, t.create(start)); err != nil {
					return err
				}
			}
		}
		for name := range existing {
			if !strings.HasPrefix(name, t.Name+"_") {
				continue
			}
			if err := t.drop(ctx, c, name, now); err != nil {
				return err
			}
		}
	}
	return nil
}

func partitionsOf(ctx context.Context, c *pgx.Conn, tables []Table) (map[string]bool, error) {
	var parents []string
	for _, t := range tables {
		parents = append(parents, t.Name)
	}
	rows, err := c.Query(ctx, `SELECT child.relname FROM pg_inherits i JOIN pg_class child ON child.oid = i.inhrelid
		WHERE i.inhparent = ANY (SELECT to_regclass(name) FROM unnest($1::text[]) AS t (name))`, parents)
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
func (t Table) create(start time.Time) string {
	name, form := t.partitionName(start), "2006-01-02 15:04:05-07"
	return fmt.Sprintf(`CREATE TABLE %[1]s (LIKE %[2]s INCLUDING DEFAULTS, PRIMARY KEY (%[3]s)) WITH (autovacuum_enabled = off);
		ALTER TABLE %[2]s ATTACH PARTITION %[1]s FOR VALUES FROM ('%[4]s') TO ('%[5]s')`,
		name, t.Name, t.Key, start.UTC().Format(form), start.Add(t.Width).UTC().Format(form))
}

// drop drops a partition whose time is over, or empties the default one when nothing in it is needed.
func (t Table) drop(ctx context.Context, c *pgx.Conn, name string, now time.Time) error {
	start, dated := t.start(name)
	isDefault := name == t.Name+"_default"
	if dated && start.Add(t.Width+t.Keep).After(now) || isDefault && !t.EmptyDefault {
		return nil
	}
	condition, arguments := t.Needed, []any{now}
	if !dated {
		condition, arguments = t.Column+" > $1", []any{now.Add(-t.Keep)}
		if t.Needed != "" {
			condition, arguments = condition+" OR "+strings.ReplaceAll(t.Needed, "$1", "$2"), append(arguments, now)
		}
	}
	if condition != "" {
		var needed bool
		query := `SELECT EXISTS (SELECT FROM ` + name + ` WHERE ` + condition + `)`
		if err := c.QueryRow(ctx, query, arguments...).Scan(&needed); err != nil || needed {
			return err
		}
	}
	if !isDefault && t.Before != nil {
		switch done, err := t.Before(ctx, c, name, now); {
		case refusedBy(err, "42P01"): // another node has just dropped it
			return nil
		case err != nil || !done:
			return err
		}
	}
	if !isDefault {
		return alter(ctx, c, fmt.Sprintf("LOCK TABLE %s IN ACCESS EXCLUSIVE MODE; DROP TABLE %s", t.Name, name))
	}
	var some bool
	if err := c.QueryRow(ctx, `SELECT EXISTS (SELECT FROM `+name+`)`).Scan(&some); err != nil || !some {
		return err
	}
	// A row may have been written since: the second check holds the lock.
	return alter(ctx, c, fmt.Sprintf(`LOCK TABLE %[1]s IN ACCESS EXCLUSIVE MODE;
		DO $$ BEGIN IF NOT EXISTS (SELECT FROM %[1]s WHERE %[2]s > '%[3]s') THEN TRUNCATE %[1]s; END IF; END $$`,
		name, t.Column, now.Add(-t.Keep).Format(time.RFC3339Nano)))
}

// alter runs statements in one transaction, unless another node is at it.
func alter(ctx context.Context, c *pgx.Conn, statements string) error {
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		var ours bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended('countersign partitions ' || current_schema(), 0))`).Scan(&ours); err != nil || !ours {
			return err
		}
		// Several statements without arguments: all names and times in them are our own.
		_, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '"+ddlTimeout+"'; "+statements, pgx.QueryExecModeSimpleProtocol)
		return err
	})
	if refusedBy(err,
		"42P07",          // another node has just made it
		"42P17",          // the rows from before there were partitions are in that time
		"23514",          // the default partition has rows of that time: they are deleted there
		"42P01",          // another node has just dropped it
		"42501",          // the role may not: everything stays in the default partition
		"55P03", "40P01", // another session holds the lock for longer
	) {
		return nil
	}
	return err
}

// refusedBy reports whether the database refused a statement with one of the codes.
func refusedBy(err error, codes ...string) bool {
	failure, ok := errors.AsType[*pgconn.PgError](err)
	return ok && slices.Contains(codes, failure.Code)
}
