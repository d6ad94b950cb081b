package serve

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/device"
	"countersign/internal/config"
)

// Covers: FD-82. What applications may claim without a word in the configuration is what package device says; nothing of it
// for a password is more than a password.
func TestFD82DefaultsAgree(t *testing.T) {
	byDefault := func(field string) string {
		found, ok := reflect.TypeFor[config.ApprovalApps]().FieldByName(field)
		if !ok {
			t.Fatal(field)
		}
		return found.Tag.Get("default")
	}
	policy := appPolicy(config.ApprovalApps{
		PasswordACR: byDefault("PasswordACR"), PasswordAMR: byDefault("PasswordAMR"),
		PasskeyACR: byDefault("PasskeyACR"), PasskeyAMR: byDefault("PasskeyAMR"),
	})
	if want := device.DefaultAppPolicy(); !reflect.DeepEqual(policy, want) {
		t.Errorf("the configuration says %v, the package %v", policy, want)
	}
	// What says more than a password does: a key in hardware, a body, several factors.
	beyond := []string{"face", "fpt", "hwk", "iris", "mca", "mfa", "retina", "sc", "vbm"}
	for _, method := range policy.ByPassword.AMR {
		if slices.Contains(beyond, method) {
			t.Errorf("a password may claim %s", method)
		}
	}
	for _, method := range strings.Fields(byDefault("PasskeyAMR")) {
		if !slices.Contains(device.Methods(), method) {
			t.Errorf("%s is not in RFC 8176", method)
		}
	}
}
