package pkcs11

import (
	"errors"
	"testing"
	"time"

	"countersign/signer"
)

// TestStartsArePaced: ten workers may start at once; then one more each quarter of a second, until five seconds have
// gone by without a crowd.
func TestStartsArePaced(t *testing.T) {
	began := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	b := &Backend{}
	for _, step := range []struct {
		at     time.Duration
		starts int // how many of twenty are let through
	}{
		{0, mostStarts},
		{startsPause - 1, 0},
		{startsPause, 1},
		{2*startsPause - 1, 0},
		{2 * startsPause, 1},
		{startsPeriod - 1, 1},
		{startsPeriod, mostStarts - 3},
		{startsPeriod + startsPause, 1},
		{3 * startsPeriod, mostStarts},
	} {
		starts := 0
		for range 20 {
			switch err := b.noteStart(began.Add(step.at)); {
			case err == nil:
				starts++
			case !errors.Is(err, signer.ErrUnavailable):
				t.Errorf("at %s: %v", step.at, err)
			}
		}
		if starts != step.starts {
			t.Errorf("at %s %d starts were let through, want %d", step.at, starts, step.starts)
		}
	}
}
