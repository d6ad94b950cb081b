package main

import (
	"testing"
	"time"
)

// TestEnds: what is allowed ends at the earlier of what the server says.
func TestEnds(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	for name, test := range map[string]struct {
		asked asked
		want  int64
	}{
		"accepts a length":                 {asked{GrantLifetime: 60}, 1_800_000_060},
		"accepts a moment":                 {asked{GrantUntil: 1_800_000_030}, 1_800_000_030},
		"accepts a moment before a length": {asked{GrantLifetime: 60, GrantUntil: 1_800_000_030}, 1_800_000_030},
		"accepts a length before a moment": {asked{GrantLifetime: 60, GrantUntil: 1_800_000_090}, 1_800_000_060},
	} {
		t.Run(name, func(t *testing.T) {
			if got := test.asked.ends(now).Unix(); got != test.want {
				t.Errorf("%d, want %d", got, test.want)
			}
		})
	}
}
