package backend

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"countersign/store"
)

// TestPulse: a write of the last second counts, unless something failed since or just before; answers are no failures, and a
// verb that may have written nothing is no write.
//
// Covers: FD-102.
func TestPulse(t *testing.T) {
	start := time.Unix(1000, 0)
	var p Pulse
	t.Run("refuses what has written nothing", func(t *testing.T) {
		if p.Beats(start) {
			t.Error("nothing was written yet")
		}
		p.Note("Purge", start, nil)
		p.Note("ClaimPings", start, nil)
		if p.Beats(start) {
			t.Error("verbs that may have written nothing count")
		}
	})
	p.Note("Push", start, nil)
	t.Run("accepts a write for a second", func(t *testing.T) {
		if !p.Beats(start) || !p.Beats(start.Add(pulseAge-1)) {
			t.Error("it does not count")
		}
	})
	t.Run("refuses a write of another time", func(t *testing.T) {
		if p.Beats(start.Add(pulseAge)) || p.Beats(start.Add(-1)) {
			t.Error("it counts")
		}
	})
	t.Run("accepts a write beside an answer", func(t *testing.T) {
		p.Note("Push", start, store.ErrReplayed)
		if !p.Beats(start) {
			t.Error("an answer counts as a failure")
		}
	})
	for _, failure := range []error{store.ErrUnavailable, fmt.Errorf("%w: locked", store.ErrOverloaded), errors.New("the disk is on fire")} {
		p = Pulse{}
		p.Note("Push", start, nil)
		p.Note("Purge", start, failure)
		t.Run("refuses a write beside "+failure.Error(), func(t *testing.T) {
			if p.Beats(start) {
				t.Error("it counts")
			}
		})
		p.Note("Push", start.Add(2*pulseAge), nil)
		t.Run("accepts a write long after "+failure.Error(), func(t *testing.T) {
			if !p.Beats(start.Add(2 * pulseAge)) {
				t.Error("it does not count")
			}
		})
	}
}
