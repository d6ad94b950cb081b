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
	if p.Beats(start) {
		t.Error("nothing was written yet")
	}
	p.Note("Purge", start, nil)
	p.Note("ClaimPings", start, nil)
	if p.Beats(start) {
		t.Error("verbs that may have written nothing count")
	}
	p.Note("Push", start, nil)
	if !p.Beats(start) || !p.Beats(start.Add(pulseAge-1)) || p.Beats(start.Add(pulseAge)) || p.Beats(start.Add(-1)) {
		t.Error("a write does not count for a second")
	}
	p.Note("Push", start, store.ErrReplayed)
	if !p.Beats(start) {
		t.Error("an answer counts as a failure")
	}
	for _, failure := range []error{store.ErrUnavailable, fmt.Errorf("%w: locked", store.ErrOverloaded), errors.New("the disk is on fire")} {
		p = Pulse{}
		p.Note("Push", start, nil)
		p.Note("Purge", start, failure)
		if p.Beats(start) && failure != nil {
			t.Errorf("a write counts beside %v", failure)
		}
		p.Note("Push", start.Add(2*pulseAge), nil)
		if !p.Beats(start.Add(2 * pulseAge)) {
			t.Errorf("a write long after %v does not count", failure)
		}
	}
}
