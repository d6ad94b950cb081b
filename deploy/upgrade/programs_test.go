// Package upgrade replaces the nodes of a running installation by those of another release, and back, while third parties go
// through flows by way of a load balancer.
package upgrade

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// root is that of the module.
const root = "../.."

// thisRelease builds the program as it is.
func thisRelease(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "countersign")
	build(t, root, program)
	return program
}

// previousRelease builds the program of the commit in PREVIOUS from the history, once: later runs find it in the cache.
func previousRelease(t *testing.T) string {
	t.Helper()
	commit := previous(t)
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(cache, "countersign", "releases", commit, "countersign")
	if _, err := os.Stat(program); err == nil {
		return program
	}
	source := t.TempDir()
	archive := filepath.Join(source, "source.tar")
	if output, err := exec.Command("git", "-C", root, "archive", "--format=tar", "--output="+archive, commit).CombinedOutput(); err != nil {
		t.Fatalf("the history has to hold commit %s (git fetch --unshallow): %v\n%s", commit, err, output)
	}
	if output, err := exec.Command("tar", "-C", source, "-xf", archive).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	if err := os.MkdirAll(filepath.Dir(program), 0o700); err != nil {
		t.Fatal(err)
	}
	made := fmt.Sprintf("%s.%d", program, os.Getpid())
	build(t, source, made)
	if err := os.Rename(made, program); err != nil {
		t.Fatal(err)
	}
	return program
}

// previous reads PREVIOUS.
func previous(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("PREVIOUS")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			return line
		}
	}
	t.Fatal("PREVIOUS names no commit")
	return ""
}

func build(t *testing.T, source, program string) {
	t.Helper()
	file, err := filepath.Abs(program)
	if err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "build", "-buildvcs=false", "-o", file, "./cmd/countersign")
	command.Dir = source
	command.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", source, err, output)
	}
}
