package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
)

// Covers: NM-107. TestNM107Hardening: systemd rates the unit 2.0 or better, and a unit that is open is not.
func TestNM107Hardening(t *testing.T) {
	unit, err := os.ReadFile("../../deploy/systemd/countersign.service")
	if err != nil {
		t.Fatal(err)
	}
	rate := func(t *testing.T, unit []byte, dropIn string) (float64, string) {
		t.Helper()
		folder := t.TempDir()
		file := filepath.Join(folder, "countersign.service")
		if err := os.WriteFile(file, unit, 0o644); err != nil {
			t.Fatal(err)
		}
		if dropIn != "" {
			text, err := os.ReadFile(dropIn)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file+".d", 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(file+".d", "more.conf"), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		output, err := exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", file).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, output)
		}
		found := regexp.MustCompile(`Overall exposure level for countersign.service: ([0-9.]+) `).FindSubmatch(output)
		if found == nil {
			t.Fatalf("%s", output)
		}
		exposure, err := strconv.ParseFloat(string(found[1]), 64)
		if err != nil {
			t.Fatal(err)
		}
		return exposure, string(output)
	}
	var plain float64
	t.Run("accepts the unit", func(t *testing.T) {
		var report string
		if plain, report = rate(t, unit, ""); plain > 2.0 {
			t.Errorf("%.1f\n%s", plain, report)
		}
	})
	dropIns, err := filepath.Glob("../../deploy/systemd/*.conf")
	if err != nil || len(dropIns) < 5 {
		t.Fatalf("%q, %v", dropIns, err)
	}
	for _, dropIn := range dropIns {
		t.Run("accepts "+filepath.Base(dropIn), func(t *testing.T) {
			exposure, report := rate(t, unit, dropIn)
			if exposure > 2.0 || exposure <= plain {
				t.Errorf("%.1f, without it %.1f\n%s", exposure, plain, report)
			}
		})
	}
	t.Run("refuses a unit that is open", func(t *testing.T) {
		open := regexp.MustCompile(`(?m)^(Protect|Private|Restrict|SystemCall|Capability|NoNew|Memory|Lock).*$`).ReplaceAll(unit, nil)
		if exposure, _ := rate(t, open, ""); exposure <= 2.0 {
			t.Errorf("%.1f", exposure)
		}
	})
	t.Run("accepts directives that systemd knows", func(t *testing.T) {
		output, err := exec.Command("systemd-analyze", "verify", "../../deploy/systemd/countersign.service").CombinedOutput()
		if regexp.MustCompile(`Unknown|Failed to parse|ignoring`).Match(output) {
			t.Errorf("%v: %s", err, output)
		}
	})
}
