package sqlite

import (
	"strings"
	"sync"
	"time"

	"countersign/store/sqlite/internal/connection"
)

// A sweep finds what has ended in a table without an index on the time at which things end: that would cost an insertion and a
// removal for each record. Each [Store.Purge] looks at a part of the table in the order of its key: at the beginning, where the
// oldest records are when keys grow, and where the last Purge stopped. What it looks at is some times what it may remove, and its
// caller goes on as long as it removes that much; so what has ended is never much more than one in sweepFactor records.
const (
	// sweepFactor is how many records are looked at for each that may be removed.
	sweepFactor = 8
	// sweepLeast is how many are looked at in any case.
	sweepLeast = 1000
)

// swept is a table of which a sweep removes records.
type swept struct {
	table string
	// key is the columns in whose order the table is stored.
	key []string
	// ends is the column of the time at which a record ends.
	ends string
	// keep is how long after that it stays.
	keep time.Duration
}

// sweptTables are those to which every flow adds. Grants stay for keepGrants after their end.
func sweptTables(keepGrants time.Duration) []swept {
	return []swept{
		{"uses", []string{"kind", "key"}, "until", keepUses},
		{"requests", []string{"rowid"}, "purge_at", 0},
		{"interactions", []string{"id"}, "expires_at", keepFor},
		{"codes", []string{"id"}, "expires_at", keepFor},
		{"access_tokens", []string{"id"}, "expires_at", 0},
		{"refresh_tokens", []string{"id"}, "expires_at", 0},
		{"grants", []string{"rowid"}, "expires_at", keepGrants},
	}
}

// sweeps remembers how far the sweep of each table went. The zero value begins at the beginning.
type sweeps struct {
	mu sync.Mutex
	at map[string]position
}

func (s *sweeps) get(table string) position {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at[table]
}

func (s *sweeps) set(table string, at position) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = map[string]position{}
	}
	s.at[table] = at
}

// position is a record's key; nil is before the first record or, as the end of a [stretch], after the last one.
type position []any

// stretch is a part of a table in which something has ended, as far as could be seen: after from, and up to and with to.
type stretch struct {
	swept
	from, to position
	// before is the time by which what goes has ended, in microseconds.
	before int64
}

func (t swept) columns() string { return strings.Join(t.key, ", ") }

// bound is a condition on a key, or nothing at the end of a table.
func (t swept) bound(comparison string, at position) string {
	if at == nil {
		return ""
	}
	return ` AND (` + t.columns() + `) ` + comparison + ` (?` + strings.Repeat(", ?", len(t.key)-1) + `)`
}

// nth reads the key of the nth record after from, up to and with to, that satisfies condition; nil when there are fewer.
func (t swept) nth(c *connection.Conn, n int, from, to position, condition string, arguments ...any) (position, error) {
	found := make(position, len(t.key))
	fields := make([]any, len(t.key))
	for i := range fields {
		fields[i] = &found[i]
	}
	arguments = append(append(append(arguments, from...), to...), n-1)
	exists, err := c.One(`SELECT `+t.columns()+` FROM `+t.table+` WHERE `+condition+t.bound(">", from)+t.bound("<=", to)+
		` ORDER BY `+t.columns()+` LIMIT 1 OFFSET ?`, arguments, fields...)
	if err != nil || !exists {
		return nil, err
	}
	return found, nil
}

// find looks for at most limit records that have ended before a time, and returns where they are, how many, and where to go on:
// nil at the table's end.
func (t swept) find(c *connection.Conn, from position, before int64, limit int) (found stretch, ended int, next position, err error) {
	found = stretch{swept: t, from: from, before: before}
	if found.to, err = t.nth(c, max(sweepLeast, sweepFactor*limit), from, nil, "true"); err != nil {
		return found, 0, nil, err
	}
	arguments := append(append([]any{before}, from...), found.to...)
	if _, err = c.One(`SELECT count(*) FROM `+t.table+` WHERE `+t.ends+` <= ?`+t.bound(">", from)+t.bound("<=", found.to),
		arguments, &ended); err != nil || ended <= limit {
		return found, ended, found.to, err
	}
	found.to, err = t.nth(c, limit, from, found.to, t.ends+` <= ?`, before)
	return found, limit, found.to, err
}

// findAll looks at the beginning of the table and, unless there is enough, where the sweep is. The caller remembers next once what
// was found is removed.
func (t swept) findAll(c *connection.Conn, at position, before int64, limit int) (found []stretch, next position, err error) {
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

// remove removes what has ended in a stretch, and returns how much.
func (s stretch) remove(c *connection.Conn) (int, error) {
	arguments := append(append([]any{s.before}, s.from...), s.to...)
	removed, err := c.Exec(`DELETE FROM `+s.table+` WHERE `+s.ends+` <= ?`+s.bound(">", s.from)+s.bound("<=", s.to), arguments...)
	return int(removed), err
}
