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

// previousRelease builds the program of the commit in PREVIOUS from the history, once: later runs find it in the cache. Where the sources
// came without their history, as from a tarball or a shallow clone, it is this release, and the log says so.
func previousRelease(t *testing.T) string {
	t.Helper()
	commit := previous(t)
	if !history(t, commit) {
		t.Logf("NOT FROM THE RELEASE BEFORE: the history that holds %s is not here (git fetch --unshallow); from this release to itself", commit)
		return thisRelease(t)
	}
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
	if output, err := git("archive", "--format=tar", "--output="+archive, commit); err != nil {
		t.Fatalf("%v\n%s", err, output)
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

// history reports whether there is a history, and demands that a whole one holds the commit.
func history(t *testing.T, commit string) bool {
	t.Helper()
	if _, err := git("cat-file", "-e", commit+"^{commit}"); err == nil {
		return true
	}
	if shallow, err := git("rev-parse", "--is-shallow-repository"); err == nil && strings.TrimSpace(string(shallow)) == "false" {
		t.Fatalf("the history does not hold the commit %s that PREVIOUS names", commit)
	}
	return false
}

// git runs git on this module, whoever owns its folder.
func git(arguments ...string) ([]byte, error) {
	return exec.Command("git", append([]string{"-C", root, "-c", "safe.directory=*"}, arguments...)...).CombinedOutput()
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
