package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// proxied puts a go command first in PATH that serves one version of the database, or none, and counts how often it makes one.
func proxied(t *testing.T, version string) (made func() int) {
	t.Helper()
	folder := t.TempDir()
	script := `#!/bin/sh
case "$*" in
"mod download -json golang.org/x/vulndb@latest")
	[ -n "` + version + `" ] || { echo "dial tcp: connection refused" >&2; exit 1; }
	echo '{"Version": "` + version + `", "Dir": "/module"}' ;;
"run golang.org/x/vulndb/cmd/indexdb@` + version + ` -vulns /module/data/osv -out "*)
	echo made >> ` + folder + `/count
	for out; do :; done
	mkdir "$out/index" ;;
*) echo "go $*: not expected" >&2; exit 1 ;;
esac
`
	if err := os.WriteFile(filepath.Join(folder, "go"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", folder+string(os.PathListSeparator)+os.Getenv("PATH"))
	return func() int {
		text, err := os.ReadFile(filepath.Join(folder, "count"))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return strings.Count(string(text), "made")
	}
}

// Covers: FD-120.
func TestDatabase(t *testing.T) {
	const older, newer = "v0.0.0-20261105234957-e22db6528018", "v0.0.0-20261130000000-000000000000"
	var out strings.Builder
	c := check{cache: filepath.Join(t.TempDir(), "cache"), out: &out}
	t.Run("refuses without a proxy and without an older database", func(t *testing.T) {
		proxied(t, "")
		if _, err := c.database(t.Context()); err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts what is served, and makes it once", func(t *testing.T) {
		made := proxied(t, older)
		for range 2 {
			if folder, err := c.database(t.Context()); err != nil || folder != filepath.Join(c.cache, older) {
				t.Errorf("%s, %v", folder, err)
			}
		}
		if count := made(); count != 1 {
			t.Errorf("it was made %d times", count)
		}
	})
	t.Run("accepts an older one without a proxy, and says so", func(t *testing.T) {
		proxied(t, "")
		out.Reset()
		if folder, err := c.database(t.Context()); err != nil || folder != filepath.Join(c.cache, older) {
			t.Errorf("%s, %v", folder, err)
		}
		if !strings.Contains(out.String(), "an older one is used") {
			t.Errorf("said %q", out.String())
		}
	})
	t.Run("accepts a newer one in place of it", func(t *testing.T) {
		proxied(t, newer)
		if _, err := c.database(t.Context()); err != nil {
			t.Error(err)
		}
		if left, err := filepath.Glob(filepath.Join(c.cache, "*")); err != nil || len(left) != 1 || filepath.Base(left[0]) != newer {
			t.Errorf("left: %q, %v", left, err)
		}
	})
}
