// Package toolchain_test is about use.sh, fetch.sh and toolchain.sum, with which machines get the Go that go.mod names.
package toolchain_test

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

// TestPinned: there is a digest of the Go that go.mod names, for the systems that we support.
func TestPinned(t *testing.T) {
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^toolchain (go1\.\d+\.\d+)$`).FindSubmatch(module)
	if named == nil {
		t.Fatal("go.mod names no toolchain")
	}
	digests, err := os.ReadFile("toolchain.sum")
	if err != nil {
		t.Fatal(err)
	}
	for _, system := range []string{"linux-amd64", "linux-arm64"} {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(string(named[1])) + `\.` + system + ` h1:[A-Za-z0-9+/]{43}=$`)
		if !line.Match(digests) {
			t.Errorf("toolchain.sum has no digest of %s for %s", named[1], system)
		}
	}
}

// TestFetch: what has the digest is put in its place, ready to run; what has another, or none, is not.
func TestFetch(t *testing.T) {
	system := runtime.GOOS + "-" + runtime.GOARCH
	proxy, digest := served(t, "go1.99.1", system)
	for name, test := range map[string]struct {
		digests string
		says    string
	}{
		"accepts the digest":          {"go1.99.1." + system + " " + digest, ""},
		"refuses another digest":      {"go1.99.1." + system + " h1:" + strings.Repeat("A", 43) + "=", "not taken"},
		"refuses without a digest":    {"go1.99.2." + system + " " + digest, "has no digest of go1.99.1"},
		"refuses without for us":      {"go1.99.1.plan9-mips " + digest, "has no digest of go1.99.1"},
		"refuses without any digests": {"", "has no digest of go1.99.1"},
	} {
		t.Run(name, func(t *testing.T) {
			place := t.TempDir()
			digests := filepath.Join(t.TempDir(), "toolchain.sum")
			if err := os.WriteFile(digests, []byte(test.digests+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			output, err := fetch(proxy, filepath.Join(place, "cache", "go1.99.1"), digests)
			if test.says != "" {
				if err == nil || !strings.Contains(output, test.says) {
					t.Errorf("%v: %s", err, output)
				}
				if left, err := filepath.Glob(filepath.Join(place, "cache", "*")); err != nil || len(left) > 0 {
					t.Errorf("it left %s: %v", left, err)
				}
				return
			}
			if err != nil {
				t.Fatalf("%v: %s", err, output)
			}
			for _, program := range []string{"bin/go", "pkg/tool/" + strings.ReplaceAll(system, "-", "_") + "/compile"} {
				if said, err := exec.Command(filepath.Join(place, "cache", "go1.99.1", program)).Output(); err != nil || string(said) != "it runs\n" {
					t.Errorf("%s: %q, %v", program, said, err)
				}
			}
			if _, err := os.Stat(filepath.Join(place, "cache", "go1.99.1", "src", "go.mod")); err != nil {
				t.Error(err)
			}
			if left, err := filepath.Glob(filepath.Join(place, "cache", "*")); err != nil || len(left) != 1 {
				t.Errorf("it left %s: %v", left, err)
			}
		})
	}
}

// Covers: FD-121. The go command becomes the Go that is pinned by itself, and only one with the digest is used; which one a
// go.mod asks for in the folder where it is called makes no difference.
func TestUse(t *testing.T) {
	system := runtime.GOOS + "-" + runtime.GOARCH
	proxy, digest := served(t, "go1.99.1", system)
	for name, test := range map[string]struct {
		version, digests string
		says             string
		code             int
	}{
		"accepts the digest":                 {"go1.99.1", "go1.99.1." + system + " " + digest, "fetch go1.99.1", 0},
		"refuses another digest":             {"go1.99.1", "go1.99.1." + system + " h1:" + strings.Repeat("A", 43) + "=", "not taken", 2},
		"refuses without a digest":           {"go1.99.1", "go1.99.2." + system + " " + digest, "not taken", 2},
		"refuses a Go that nobody serves":    {"go1.99.3", "go1.99.3." + system + " " + digest, "go1.99.3", 1},
		"accepts the Go that is there as is": {runtime.Version(), "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			digests := filepath.Join(t.TempDir(), "toolchain.sum")
			if err := os.WriteFile(digests, []byte(test.digests+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.Command("sh", "use.sh", test.version, digests)
			command.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(proxy),
				"GONOSUMDB=*", "GOSUMDB=off", "GOMODCACHE="+t.TempDir(), "GOFLAGS=-modcacherw")
			output, err := command.CombinedOutput()
			if code := command.ProcessState.ExitCode(); code != test.code || !strings.Contains(string(output), test.says) {
				t.Errorf("%d %v: %s", code, err, output)
			}
		})
	}
}

func fetch(proxy, folder, digests string) (string, error) {
	command := exec.Command("sh", "fetch.sh", "go1.99.1", folder, digests)
	command.Env = append(os.Environ(), "GO=go", "GOPROXY=file://"+filepath.ToSlash(proxy), "GONOSUMDB=*", "GOSUMDB=off")
	output, err := command.CombinedOutput()
	return string(output), err
}

// served makes a folder that the go command takes for a proxy, with a toolchain in it, and returns the toolchain's digest too.
func served(t *testing.T, version, system string) (proxy, digest string) {
	t.Helper()
	proxy = t.TempDir()
	folder := filepath.Join(proxy, "golang.org", "toolchain", "@v")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	release := "v0.0.1-" + version + "." + system
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, text := range map[string]string{
		"bin/go": "#!/bin/sh\n[ \"$*\" = \"env GOVERSION\" ] && echo " + version + " || echo it runs\n", "pkg/tool/" + strings.ReplaceAll(system, "-", "_") + "/compile": "#!/bin/sh\necho it runs\n",
		"src/_go.mod": "module std\n", "lib/time/README": "nothing\n", "bin/gofmt": "#!/bin/sh\n",
	} {
		file, err := w.Create("golang.org/toolchain@" + release + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := file.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	for end, content := range map[string]string{".zip": archive.String(), ".mod": "module golang.org/toolchain\n", ".info": `{"Version": "` + release + `"}`} {
		if err := os.WriteFile(filepath.Join(folder, release+end), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The go command itself tells the digest.
	modules := t.TempDir()
	command := exec.Command("go", "mod", "download", "golang.org/toolchain@"+release)
	command.Dir = t.TempDir()
	command.Env = append(os.Environ(), "GOPROXY=file://"+filepath.ToSlash(proxy), "GOSUMDB=off", "GONOSUMDB=*", "GOMODCACHE="+modules, "GOFLAGS=-modcacherw")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	hash, err := os.ReadFile(filepath.Join(modules, "cache", "download", "golang.org", "toolchain", "@v", release+".ziphash"))
	if err != nil {
		t.Fatal(err)
	}
	return proxy, string(hash)
}
