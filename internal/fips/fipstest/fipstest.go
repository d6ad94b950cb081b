// Package fipstest runs a test in the mode in which Go's FIPS 140-3 module refuses what is not approved.
package fipstest

import (
	"crypto/fips140"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// Environment is what has a program refuse what is not approved.
const Environment = "GODEBUG=fips140=only"

// Enforced reports whether this process is in that mode. If not, it runs the calling test, and no other, in a process that is, and
// fails it when it fails there; the caller then returns.
func Enforced(t *testing.T) bool {
	t.Helper()
	if fips140.Enforced() {
		return true
	}
	command := exec.Command(os.Args[0], "-test.run=^"+pattern(t.Name())+"$", "-test.v")
	command.Env = append(os.Environ(), Environment)
	output, err := command.CombinedOutput()
	if err != nil {
		t.Errorf("with %s: %v\n%s", Environment, err, output)
	}
	return false
}

// pattern is the name of a test or a subtest for -test.run, which is matched part by part.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, part := range parts {
		parts[i] = regexp.QuoteMeta(part)
	}
	return strings.Join(parts, "$/^")
}
