package store

import (
	"errors"
	"fmt"
	"time"
)

// MaxClockDifference is from which difference on a node whose clock is not its database's does nothing that depends on time.
// What is kept of one-time values is kept for four times as long after their end.
const MaxClockDifference = 30 * time.Second

// ErrClock: the clock of this node is not that of its database, or was set back. Nothing was done. Every [ClockError] is one,
// and an [ErrUnavailable] too.
var ErrClock = errors.New("store: the clock of this node is wrong")

// ClockError is an [ErrClock].
type ClockError struct {
	// Ahead is by how much the node's clock is ahead of the database's; negative when it is behind.
	Ahead time.Duration
	// SetBack reports that the clock is behind what it was before, when the store removed what had expired then.
	SetBack bool
}

// Error says what is wrong with which clock, and what to do.
func (e *ClockError) Error() string {
	if e.SetBack {
		return fmt.Sprintf("the clock of this machine is %s behind the time at which used values were removed: it was wrong then, or is now; "+
			"set it right. Nothing that depends on time is served until it has caught up, a day at most", (-e.Ahead).Round(time.Second))
	}
	ahead, direction := e.Ahead, "ahead of"
	if ahead < 0 {
		ahead, direction = -ahead, "behind"
	}
	return fmt.Sprintf("the clock of this machine is %s %s the database's; set both by NTP. Nothing that depends on time is served until they agree",
		ahead.Round(time.Second), direction)
}

// Is reports whether target is [ErrClock] or [ErrUnavailable].
func (e *ClockError) Is(target error) bool { return target == ErrClock || target == ErrUnavailable }

// Condition is what a node knows of its connection to the store without asking it.
type Condition struct {
	// Clock is a [*ClockError] while nothing that depends on time is done; nil otherwise.
	Clock error
	// Notifications is why this node polls for what other nodes change, instead of being notified; nil while it is notified,
	// or need not be.
	Notifications error
	// Address is why the address of the database could not be read again, so that the one before is used; nil otherwise.
	Address error
	// Advice is what an operator should change about the database, or empty.
	Advice string
}

// Conditioned is a store that knows its condition.
type Conditioned interface {
	// Condition returns at once.
	Condition() Condition
}
