package profile_test

import (
	"slices"
	"testing"

	"countersign/fapi/profile"
)

// Each name that is listed is found, and each preset by its name with its base, too.
func TestLookup(t *testing.T) {
	for _, name := range profile.Names() {
		if found, ok := profile.Lookup(name); !ok || found.Name != name {
			t.Errorf("%s: got %q, %t", name, found.Name, ok)
		}
	}
	for _, preset := range profile.Presets() {
		for _, base := range preset.Bases {
			if _, ok := profile.Lookup(preset.Name + "/" + base); !ok {
				t.Errorf("%s/%s is not found", preset.Name, base)
			}
		}
	}
	for _, name := range []string{"", "uk", "uk-openbanking/", "uk-openbanking/fapi9", "/fapi1-advanced", "fapi1-advanced/uk-openbanking"} {
		if _, ok := profile.Lookup(name); ok || slices.Contains(profile.Names(), name) {
			t.Errorf("%q is found", name)
		}
	}
}
