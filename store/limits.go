package store

import (
	"context"
	"time"
)

// Rate is an allowance that all nodes share: a burst, and then one event in each interval (the generic cell rate
// algorithm). The same key has the same interval and burst on all nodes; where a configuration changed, what was taken
// before counts as it did.
type Rate struct {
	// Key is the digest of what is counted: of a kind, and of an address, a name, a client. What it is made of is not
	// stored.
	Key Digest
	// Interval is after what time one event more is allowed, a microsecond at least.
	Interval time.Duration
	// Burst is how many events may come at once, 1 at least.
	Burst int
}

// Tolerance is how far ahead of now the time may be at which the allowance will be whole again, for one more event.
func (r Rate) Tolerance() time.Duration { return r.Interval * time.Duration(r.Burst-1) }

// Limits are the verbs of allowances. Alone among the verbs they go by the clock of the database, where it has one that
// nodes share: a node whose clock is wrong neither widens a limit nor locks anybody out. An allowance that is whole again
// is forgotten by Purge. A crash of the database, of all the store's records, may forget the last events counted here.
type Limits interface {
	// Allow takes one event of each allowance when all of them have one, and otherwise takes none. waits has, for each rate
	// in their order, how long it is until there will be an event again: all are 0 when the events were taken. The keys of
	// one call are different ones.
	Allow(ctx context.Context, rates ...Rate) (waits []time.Duration, err error)
	// Refund gives back one event that was taken of each allowance, and makes those of the keys in whole whole again.
	Refund(ctx context.Context, rates []Rate, whole ...Digest) error
	// Taken returns, for each rate in their order, how many events are taken now: 0 when the allowance is whole, and
	// Burst when it is exhausted. It changes nothing.
	Taken(ctx context.Context, rates ...Rate) ([]int, error)
}
