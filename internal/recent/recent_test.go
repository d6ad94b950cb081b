package recent_test

import (
	"strconv"
	"testing"

	"countersign/internal/recent"
)

// TestNames: the last 8192 names at least are remembered, and what is older than twice as many is forgotten.
func TestNames(t *testing.T) {
	const most = 8192
	var names recent.Names
	if names.Has("0") {
		t.Error("a name is remembered that nobody added")
	}
	for i := range 3 * most {
		names.Add(strconv.Itoa(i))
		if first := max(0, i-most+1); !names.Has(strconv.Itoa(first)) || !names.Has(strconv.Itoa(i)) {
			t.Fatalf("after %d names, %d or %d is forgotten", i+1, first, i)
		}
	}
	if names.Has("0") || names.Has(strconv.Itoa(most-1)) {
		t.Error("old names are remembered for ever")
	}
}
