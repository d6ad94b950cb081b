package sqlite

import (
	"sync/atomic"
	"time"

	"countersign/store"
	"countersign/store/sqlite/internal/connection"
)

// clock knows whether the clock of this machine was set back behind what was removed by it.
type clock struct {
	// purged is the time up to which used values were removed, in microseconds, as far as this process knows.
	purged atomic.Int64
}

// read looks what another process has removed.
func (c *clock) read(conn *connection.Conn) error {
	var purged int64
	err := conn.Get(`SELECT purged FROM clock WHERE id = 1`, nil, &purged)
	c.purged.Store(purged)
	return err
}

// err is a [*store.ClockError] while the clock shows a time before that.
func (c *clock) err(now time.Time) error {
	if behind := now.UnixMicro() - c.purged.Load(); behind < 0 {
		return &store.ClockError{Ahead: time.Duration(behind) * time.Microsecond, SetBack: true}
	}
	return nil
}

// Condition returns what this process knows of its clock.
func (s *Store) Condition() store.Condition { return store.Condition{Clock: s.clock.err(s.moment())} }
