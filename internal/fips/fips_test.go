package fips_test

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"

	"countersign/internal/fips"
	"countersign/internal/fips/fipstest"
)

// Covers: NM-112.
func TestNM112Mode(t *testing.T) {
	t.Run("accepts the mode that the program was started with", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		if got := fips.Read(); got.Mode != fips.Only || got.Module == "" || !strings.HasPrefix(got.String(), "only, module ") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("accepts a frozen module", func(t *testing.T) {
		if got := fips.ModuleOf([]debug.BuildSetting{{Key: "CGO_ENABLED", Value: "1"}, {Key: "GOFIPS140", Value: "v1.0.0-c2097c7c"}}); got != "v1.0.0-c2097c7c" {
			t.Errorf("%q", got)
		}
	})
	t.Run("refuses to call Go's own a frozen one", func(t *testing.T) {
		for _, settings := range [][]debug.BuildSetting{nil, {{Key: "GOFIPS140", Value: "off"}}, {{Key: "GOFIPS140", Value: "latest"}}} {
			if got := fips.ModuleOf(settings); got != "latest" {
				t.Errorf("%v is %q", settings, got)
			}
		}
	})
	t.Run("refuses nothing that docs/fips.md does not name", func(t *testing.T) {
		page, err := os.ReadFile("../../docs/fips.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, each := range fips.Refused() {
			if row := "| " + each.What + " | " + each.Instead + " |"; !strings.Contains(strings.ReplaceAll(string(page), "`", ""), row) {
				t.Errorf("the page has no row %s", row)
			}
		}
	})
}
