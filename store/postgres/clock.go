package postgres

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"countersign/store"
)

const (
	// measureEvery is how often this node's clock is compared with the database's.
	measureEvery = time.Second
	// maxTrip is how long the database may take to tell its time for that to be worth something.
	maxTrip = 4 * time.Second
)

// clock is the time of the database, as this node knows it: what the database said last, and what went by since by a clock
// that nobody sets. So a node's own clock decides nothing, whatever happens to it.
type clock struct {
	// own is the node's clock. database is a test's clock in place of the database's; nil otherwise.
	own, database func() time.Time

	mu sync.Mutex
	// theirs is what the database's clock showed when own showed ours, give or take uncertain. ours is zero before the first time.
	theirs, ours time.Time
	uncertain    time.Duration
}

// measured takes what the database said between two moments of the node's clock.
func (c *clock) measured(before, theirs, after time.Time) {
	trip := after.Sub(before)
	if trip < 0 || trip > maxTrip {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs, c.ours, c.uncertain = theirs.UTC(), before.Add(trip/2), trip/2
}

// due reports whether it is time to ask the database again.
func (c *clock) due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ours.IsZero() || c.own().Sub(c.ours) >= measureEvery
}

// now is the database's time.
func (c *clock) now() time.Time {
	if c.database != nil {
		return c.database()
	}
	now, _, _ := c.read()
	return now
}

// read returns the database's time, the node's own, and by how much the first may be wrong. What the node's clock was set by
// since the database was asked is not in the first: the difference of two times of [time.Now] is monotonic.
func (c *clock) read() (theirs, own time.Time, uncertain time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	own = c.own()
	if c.database != nil {
		return c.database(), own, 0
	}
	if c.ours.IsZero() {
		return own.Round(0), own, 0
	}
	return c.theirs.Add(own.Sub(c.ours)), own, c.uncertain
}

// test is a time of a test's clock, for statements that ask the database otherwise; nil outside of tests.
func (c *clock) test(now time.Time) *time.Time {
	if c.database == nil {
		return nil
	}
	return &now
}

// err is a [*store.ClockError] while the two clocks differ by too much.
func (c *clock) err() error {
	theirs, own, uncertain := c.read()
	ahead := own.Round(0).Sub(theirs.Round(0))
	if ahead.Abs()-uncertain >= store.MaxClockDifference {
		return &store.ClockError{Ahead: ahead}
	}
	return nil
}

// timeless are the verbs that are done whatever time it is: they read or change what does not expire, or end something. An
// operator needs them to put things right.
func timeless(verb string) bool {
	switch verb {
	case "Ping", "Seed", "Client", "Clients", "PutClient", "DeleteClient", "InitialTokens", "DeleteInitialToken", "User", "UserByName",
		"Users", "Passkeys", "Devices", "Subscriptions", "PutUser", "Keys", "DestroyedKeys", "SetKeyURIs", "ListGrants", "ListConsents", "RevokeGrant", "EndSession", "EndSessions",
		"UserData", "EraseUser", "RemoveSubscription", "PingDone", "PingFailed", "Record", "AuditHeads", "AuditLines":
		return true
	}
	return false
}

// askTime compares the clocks by way of a connection, which it shows to be alive.
func (s *Store) askTime(ctx context.Context, c *pgx.Conn) error {
	before := s.clock.own()
	var theirs time.Time
	if err := c.QueryRow(ctx, "SELECT clock_timestamp()").Scan(&theirs); err != nil {
		return err
	}
	s.clock.measured(before, theirs, s.clock.own())
	return nil
}

// databaseTime asks for the database's time, and refuses it while this node's clock does not agree.
func (s *Store) databaseTime(ctx context.Context, c *pgx.Conn) (time.Time, error) {
	if err := s.askTime(ctx, c); err != nil {
		return time.Time{}, err
	}
	return s.moment(), s.clock.err()
}

// keepTime compares the clocks until ctx ends, when nothing else does.
func (s *Store) keepTime(ctx context.Context) {
	ticker := time.NewTicker(measureEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		if s.clock.due() {
			_ = s.pool.Once(ctx, s.askTime) // the verbs report what is wrong
		}
	}
}
