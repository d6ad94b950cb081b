// Package clock keeps the time of a database on one of its nodes, and says when the node's own clock shows another.
package clock

import (
	"sync"
	"time"

	"countersign/store"
)

const (
	// Every is how often the node's clock is compared with the database's.
	Every = time.Second
	// maxTrip is how long the database may take to tell its time for that to be worth something.
	maxTrip = 4 * time.Second
)

// Clock is the time of the database, as this node knows it: what the database said last, and what went by since by a clock
// that nobody sets. So a node's own clock decides nothing, whatever happens to it.
type Clock struct {
	// Own is the node's clock. Database is a test's clock in place of the database's; nil otherwise.
	Own, Database func() time.Time

	mu sync.Mutex
	// theirs is what the database's clock showed when Own showed ours, give or take uncertain. ours is zero before the first time.
	theirs, ours time.Time
	uncertain    time.Duration
}

// Measured takes what the database said between two moments of the node's clock.
func (c *Clock) Measured(before, theirs, after time.Time) {
	trip := after.Sub(before)
	if trip < 0 || trip > maxTrip {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.theirs, c.ours, c.uncertain = theirs.UTC(), before.Add(trip/2), trip/2
}

// Due reports whether it is time to ask the database again.
func (c *Clock) Due() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ours.IsZero() || c.Own().Sub(c.ours) >= Every
}

// Now is the database's time.
func (c *Clock) Now() time.Time {
	if c.Database != nil {
		return c.Database()
	}
	now, _, _ := c.read()
	return now
}

// read returns the database's time, the node's own, and by how much the first may be wrong. What the node's clock was set by
// since the database was asked is not in the first: the difference of two times of [time.Now] is monotonic.
func (c *Clock) read() (theirs, own time.Time, uncertain time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.Database != nil {
		// A test moves it between two readings: by how much is what is uncertain.
		theirs, own = c.Database(), c.Own()
		return theirs, own, c.Database().Sub(theirs).Abs()
	}
	own = c.Own()
	if c.ours.IsZero() {
		return own.Round(0), own, 0
	}
	return c.theirs.Add(own.Sub(c.ours)), own, c.uncertain
}

// Test is a time of a test's clock, for statements that ask the database otherwise; nil outside of tests.
func (c *Clock) Test(now time.Time) *time.Time {
	if c.Database == nil {
		return nil
	}
	return &now
}

// Err is a [*store.ClockError] while the two clocks differ by too much.
func (c *Clock) Err() error {
	theirs, own, uncertain := c.read()
	ahead := own.Round(0).Sub(theirs.Round(0))
	if ahead.Abs()-uncertain >= store.MaxClockDifference {
		return &store.ClockError{Ahead: ahead}
	}
	return nil
}

// Timeless are the verbs that are done whatever time it is: they read or change what does not expire, or end something. An
// operator needs them to put things right.
func Timeless(verb string) bool {
	switch verb {
	case "Ping", "Seed", "Client", "Clients", "PutClient", "DeleteClient", "InitialTokens", "DeleteInitialToken", "User", "UserByName",
		"Users", "Passkeys", "Devices", "Subscriptions", "PutUser", "Keys", "DestroyedKeys", "SetKeyURIs", "ListGrants", "ListConsents", "RevokeGrant", "EndClientGrant", "EndSession", "EndSessions",
		"UserData", "EraseUser", "RemoveSubscription", "EndConsent", "ListLodgedConsents", "ConsentNoticeDone", "ConsentNoticeFailed", "PingDone", "PingFailed", "OneTimeUsed", "KnownSeed", "Record", "AuditHeads", "AuditLines":
		return true
	}
	return false
}
