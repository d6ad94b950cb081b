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

func TestIsUUID(t *testing.T) {
	for text, want := range map[string]bool{
		"c770aef3-6784-41f7-8e0e-ff5f97bddb3a":      true,
		"C770AEF3-6784-41F7-8E0E-FF5F97BDDB3A":      true,
		"00000000-0000-0000-0000-000000000000":      true,
		"":                                          false,
		"c770aef3-6784-41f7-8e0e-ff5f97bddb3":       false,
		"c770aef3-6784-41f7-8e0e-ff5f97bddb3a0":     false,
		"c770aef3-6784-41f7-8e0e-ff5f97bddb3a\n":    false,
		"c770aef3-6784-41f7-8e0e_ff5f97bddb3a":      false,
		"c770aef-36784-41f7-8e0e-ff5f97bddb3a":      false,
		"g770aef3-6784-41f7-8e0e-ff5f97bddb3a":      false,
		"c770aef3-6784-41f7-8e0e-ff5f97bddb3\u00e9": false,
		"------------------------------------":      false,
	} {
		if got := IsUUID(text); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}
