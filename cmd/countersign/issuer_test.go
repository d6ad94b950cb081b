package main

import (
	"strings"
	"testing"

	"countersign/internal/devsetup/setuptest"
)

// TestIssuerFlag: commands work on the issuer that is named, and on no other.
//
// Covers: NM-82.
func TestIssuerFlag(t *testing.T) {
	var made setuptest.Templates
	t.Cleanup(func() { _ = made.Close() })
	there := made.NewSeveral(t, nil, "b")
	command := func(arguments ...string) (code int, output, problems string) {
		var out, errors strings.Builder
		code = run(append(arguments, "--config="+there.File), strings.NewReader(""), &out, &errors)
		return code, out.String(), errors.String()
	}
	if code, _, problems := command("clients", "remove", "demo-dpop", "--yes", "--issuer=b"); code != 0 {
		t.Fatal(problems)
	}
	t.Run("accepts the issuer that is named", func(t *testing.T) {
		for arguments, want := range map[string]string{
			"clients list --issuer=b": "demo-mtls", "config print --issuer=b": "issuer = \"https://b.localhost:", "users list --issuer=main": "alice",
			"migrate status --issuer=b": "initial", "keys list --issuer=b": "PS256",
		} {
			code, output, problems := command(strings.Fields(arguments)...)
			if code != 0 || !strings.Contains(output, want) || strings.Contains(output, "demo-dpop") {
				t.Errorf("%s: %d %s %s", arguments, code, output, problems)
			}
		}
		if code, output, problems := command("clients", "list"); code != 0 || !strings.Contains(output, "demo-dpop") {
			t.Errorf("%d %s %s", code, output, problems)
		}
		_, main, _ := command("keys", "list")
		if _, b, _ := command("keys", "list", "--issuer=b"); main == b || main == "" {
			t.Errorf("main and b have the keys %s", b)
		}
	})
	t.Run("refuses an issuer that there is not", func(t *testing.T) {
		code, _, problems := command("clients", "list", "--issuer=c")
		if code != exitUsage || !strings.Contains(problems, `there is no issuer of this name: "c"; the configuration has main, b`) {
			t.Errorf("%d %s", code, problems)
		}
	})
	t.Run("refuses to serve one alone", func(t *testing.T) {
		if code, _, problems := command("serve", "--issuer=b"); code != exitUsage || !strings.Contains(problems, "unknown flag --issuer") {
			t.Errorf("%d %s", code, problems)
		}
	})
}
