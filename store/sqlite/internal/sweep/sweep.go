// Package sweep finds what has ended in a table of SQLite without an index on the time at which things end.
//
// Such an index would cost an insertion and a removal for each record. Each purge looks at a part of the table in the order of
// its key: at the beginning, where the oldest records are when keys grow, and where the last one stopped. What it looks at is
// some times what it may remove, and its caller goes on as long as it removes that much; so what has ended is never much more
// than one in factor records.
package sweep

import (
	"strings"
	"sync"
	"time"

	"countersign/store/sqlite/internal/connection"
)

const (
	// factor is how many records are looked at for each that may be removed.
	factor = 8
	// least is how many are looked at in any case.
	least = 1000
)

// Table is a table of which a sweep removes records.
type Table struct {
	Name string
	// Key is the columns in whose order the table is stored.
	Key []string
	// Ends is the column of the time at which a record ends.
	Ends string
	// Keep is how long after that it stays.
	Keep time.Duration
	// Before makes a statement that is run before records are removed, from the condition on them. Its arguments are the time now, in
	// microseconds, and those of the condition. It is nil for none.
	Before func(condition string) string
}

// Sweeps remember how far the sweep of each table went. The zero value begins at the beginning.
type Sweeps struct {
	mu sync.Mutex
	at map[string]Position
}

// Of returns how far the sweep of a table went.
func (s *Sweeps) Of(table string) Position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[table]
}

// Set remembers how far the sweep of a table went.
func (s *Sweeps) Set(table string, at Position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string]Position{}
	}
	s.at[table] = at
}

// Position is a record's key; nil is before the first record or, as the end of a [Stretch], after the last one.
type Position []any

// Stretch is a part of a table in which something has ended, as far as could be seen: after from, and up to and with to.
type Stretch struct {
	Table
	from, to Position
	// before is the time by which what goes has ended, in microseconds.
	before int64
}

func (t Table) columns() string { return strings.Join(t.Key, ", ") }

// bound is a condition on a key, or nothing at the end of a table.
func (t Table) bound(comparison string, at Position) string {
	if at == nil {
		return ""
	}
	return ` AND (` + t.columns() + `) ` + comparison + ` (?` + strings.Repeat(", ?", len(t.Key)-1) + `)`
}

// nth reads the key of the nth record after from, up to and with to, that satisfies condition; nil when there are fewer.
func (t Table) nth(c *connection.Conn, n int, from, to Position, condition string, arguments ...any) (Position, error) {
	found := make(Position, len(t.Key))
	fields := make([]any, len(t.Key))
	for i := range fields {
		fields[i] = &found[i]
	}
	arguments = append(append(append(arguments, from...), to...), n-1)
	exists, err := c.One(`SELECT `+t.columns()+` FROM `+t.Name+` WHERE `+condition+t.bound(">", from)+t.bound("<=", to)+
		` ORDER BY `+t.columns()+` LIMIT 1 OFFSET ?`, arguments, fields...)
	if err != nil || !exists {
		return nil, err
	}
	return found, nil
}

// find looks for at most limit records that have ended before a time, and returns where they are, how many, and where to go on:
// nil at the table's end.
func (t Table) find(c *connection.Conn, from Position, before int64, limit int) (found Stretch, ended int, next Position, err error) {
	found = Stretch{Table: t, from: from, before: before}
	if found.to, err = t.nth(c, max(least, factor*limit), from, nil, "true"); err != nil {
		return found, 0, nil, err
	}
	arguments := append(append([]any{before}, from...), found.to...)
	if _, err = c.One(`SELECT count(*) FROM `+t.Name+` WHERE `+t.Ends+` <= ?`+t.bound(">", from)+t.bound("<=", found.to),
		arguments, &ended); err != nil || ended <= limit {
		return found, ended, found.to, err
	}
	found.to, err = t.nth(c, limit, from, found.to, t.Ends+` <= ?`, before)
	return found, limit, found.to, err
}

// Find looks at the beginning of the table and, unless there is enough, where the sweep is. The caller remembers next once what
// was found is removed.
func (t Table) Find(c *connection.Conn, at Position, before int64, limit int) (found []Stretch, next Position, err error) {
	next = at
	if limit <= 0 {
		return nil, next, nil
	}
	oldest, ended, end, err := t.find(c, nil, before, limit)
	if err != nil {
		return nil, next, err
	}
	if ended > 0 {
		found = append(found, oldest)
	}
	if end == nil || ended == limit {
		return found, next, nil
	}
	if at == nil {
		at = end
	}
	part, more, next, err := t.find(c, at, before, limit-ended)
	if more > 0 {
		found = append(found, part)
	}
	return found, next, err
}

// Remove removes what has ended in a stretch, and returns how much.
func (s Stretch) Remove(c *connection.Conn) (int, error) {
	arguments := append(append([]any{s.before}, s.from...), s.to...)
	these := s.Ends + ` <= ?` + s.bound(">", s.from) + s.bound("<=", s.to)
	if s.Before != nil {
		now := s.before + s.Keep.Microseconds()
		if _, err := c.Exec(s.Before(these), append([]any{now}, arguments...)...); err != nil {
			return 0, err
		}
	}
	removed, err := c.Exec(`DELETE FROM `+s.Name+` WHERE `+these, arguments...)
	return int(removed), err
}
