package clock

import (
	"errors"
	"testing"
	"time"

	"countersign/store"
)

// TestMovedBetweenReadings: a test's clock that is moved between the readings of a node's time and of the database's is no difference
// of two clocks; one that stays is.
func TestMovedBetweenReadings(t *testing.T) {
	begin := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, step := range map[string]time.Duration{"not at all": 0, "by a minute": time.Minute, "back": -time.Hour} {
		t.Run("accepts one that is moved "+name, func(t *testing.T) {
			now := begin
			read := func() time.Time {
				defer func() { now = now.Add(step) }()
				return now
			}
			c := Clock{Own: read, Database: read}
			for range 5 {
				if err := c.Err(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	t.Run("refuses one that is half a minute off, or was moved by less meanwhile", func(t *testing.T) {
		now := begin
		c := Clock{Database: func() time.Time { now = now.Add(time.Second); return now }}
		for _, off := range []time.Duration{store.MaxClockDifference, -store.MaxClockDifference, time.Hour} {
			c.Own = func() time.Time { return now.Add(off) }
			if off == store.MaxClockDifference {
				c.Own = func() time.Time { return now.Add(off + time.Second) }
			} else if off < 0 {
				c.Own = func() time.Time { return now.Add(off - time.Second) }
			}
			var wrong *store.ClockError
			if err := c.Err(); !errors.As(err, &wrong) {
				t.Errorf("%s: %v", off, err)
			}
		}
	})
}
