package random

import (
	"regexp"
	"testing"
)

// TestUUID: version 4, variant 10 (RFC 9562 §5.4), and no two alike.
func TestUUID(t *testing.T) {
	form := regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	seen := map[string]bool{}
	for range 1000 {
		made := UUID()
		if !form.MatchString(made) || seen[made] {
			t.Fatalf("%q", made)
		}
		seen[made] = true
	}
}
