package release_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"countersign/internal/release"
)

// at is the version that the tests make: a pre-release, which the changelog need not name.
const at = "v0.9.0-test.1"

// place is a repository with what is here now as its one commit, and a key.
type place struct{ source, key string }

// git runs git in a folder.
func git(t testing.TB, folder string, arguments ...string) {
	t.Helper()
	command := exec.Command("git", arguments...)
	command.Dir = folder
	command.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_AUTHOR_DATE=2026-01-02T03:04:05Z",
		"GIT_COMMITTER_NAME=test", "GIT_COMMITTER_EMAIL=test@example.com", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("git %q: %v: %s", arguments, err, output)
	}
}

// newPlace copies what a release is made of, whether or not it is committed here.
func newPlace(t testing.TB, folder string) place {
	t.Helper()
	p := place{source: filepath.Join(folder, "source"), key: filepath.Join(folder, "key")}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"CHANGELOG.md", "LICENSE", "README.md", "SECURITY.md", "go.mod", "go.sum", "ciba", "cmd", "deploy", "docs", "dpop", "fapi", "internal", "jar",
		"mtls", "rp", "rs", "signer", "softhsm", "store",
	} {
		if err := copied(filepath.Join(root, name), filepath.Join(p.source, name)); err != nil {
			t.Fatal(err)
		}
	}
	git(t, p.source, "init", "--quiet")
	git(t, p.source, "add", "--all", "--force")
	git(t, p.source, "commit", "--quiet", "--message", "a commit")
	git(t, p.source, "tag", at)
	newKey(t, p.key)
	return p
}

// copied copies a file, or a folder without what tests made in it.
func copied(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && slices.Contains([]string{"node_modules", "testdata", ".cache"}, entry.Name()) {
			return filepath.SkipDir
		}
		if entry.IsDir() || strings.HasSuffix(path, "_test.go") || !entry.Type().IsRegular() {
			return nil
		}
		below, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, below)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return os.WriteFile(target, text, info.Mode().Perm())
	})
}

func newKey(t testing.TB, name string) {
	t.Helper()
	if output, err := exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// shared is a release that tests read, made once.
var shared struct {
	once sync.Once
	place
	out    string
	failed error
}

// made is a release of the ordinary variant.
func made(t *testing.T) (place, string) {
	t.Helper()
	shared.once.Do(func() {
		folder, err := os.MkdirTemp("", "countersign-release")
		if err != nil {
			t.Fatal(err)
		}
		folders = append(folders, folder)
		shared.place, shared.out = newPlace(t, folder), filepath.Join(folder, "dist")
		shared.failed = release.Make(t.Context(), shared.options())
	})
	if shared.failed != nil || shared.out == "" {
		t.Fatal(shared.failed)
	}
	return shared.place, shared.out
}

func (p place) options() release.Options {
	return release.Options{Source: p.source, Out: filepath.Join(filepath.Dir(p.source), "dist"), Key: p.key, Variants: release.Variants()[:1]}
}

// folders are removed at the end.
var folders []string

func TestMain(m *testing.M) {
	code := m.Run()
	for _, folder := range folders {
		_ = os.RemoveAll(folder)
	}
	os.Exit(code)
}

// entries are the files of a tarball.
func entries(t *testing.T, file string) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := gzip.NewReader(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string][]byte{}
	for reader := tar.NewReader(plain); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		if found[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

// Covers: NM-101. TestNM101Again: the same commit gives the same bytes in another folder; what is no commit gives nothing.
func TestNM101Again(t *testing.T) {
	p, _ := made(t)
	t.Run("accepts a clone elsewhere, byte for byte", func(t *testing.T) {
		options := p.options()
		options.Cache = os.Getenv("GOCACHE")
		if options.Cache == "" {
			cache, err := exec.Command("go", "env", "GOCACHE").Output()
			if err != nil {
				t.Fatal(err)
			}
			options.Cache = strings.TrimSpace(string(cache))
		}
		if err := release.Again(t.Context(), options); err != nil {
			t.Error(err)
		}
	})
	t.Run("accepts the version of the tag", func(t *testing.T) {
		_, out := made(t)
		text := entries(t, filepath.Join(out, "countersign-"+at+"-linux-amd64.tar.gz"))["countersign-"+at+"-linux-amd64/bin/countersign"]
		binary := filepath.Join(t.TempDir(), "countersign")
		if err := os.WriteFile(binary, text, 0o755); err != nil {
			t.Fatal(err)
		}
		output, err := exec.Command(binary, "version", "--json").Output()
		var build release.Build
		if err != nil || json.Unmarshal(output, &build) != nil || build.Version != at || build.Modified || build.Date.Format("2006-01-02") != "2026-01-02" {
			t.Errorf("%s, %v", output, err)
		}
		if regexp.MustCompile(regexp.QuoteMeta(p.source)).Match(text) {
			t.Error("the folder of the build is in the binary")
		}
	})
	t.Run("refuses a checkout with changes", func(t *testing.T) {
		folder := t.TempDir()
		git(t, folder, "clone", "--quiet", p.source, "source")
		changed := place{filepath.Join(folder, "source"), p.key}
		if err := os.WriteFile(filepath.Join(changed.source, "ciba", "more.go"), []byte("package ciba\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := release.Make(t.Context(), changed.options()); !errors.Is(err, release.ErrUnclean) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a folder that is no checkout", func(t *testing.T) {
		nowhere := place{filepath.Join(t.TempDir(), "source"), p.key}
		if err := os.Mkdir(nowhere.source, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := release.Make(t.Context(), nowhere.options()); !errors.Is(err, release.ErrUnclean) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a folder that is not empty", func(t *testing.T) {
		if err := release.Make(t.Context(), p.options()); err == nil || !strings.Contains(err.Error(), "is not empty") {
			t.Errorf("%v", err)
		}
	})
}

// Covers: NM-102. TestNM102Signed: the digests are signed, an operator verifies them with ordinary tools, and what was changed is refused.
func TestNM102Signed(t *testing.T) {
	p, out := made(t)
	altered := func(t *testing.T, change func(folder string)) error {
		t.Helper()
		folder := filepath.Join(t.TempDir(), "dist")
		if err := copied(out, folder); err != nil {
			t.Fatal(err)
		}
		change(folder)
		return release.Verify(t.Context(), folder)
	}
	write := func(t *testing.T, name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(name, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("accepts what docs/releases.md has an operator do", func(t *testing.T) {
		page, err := os.ReadFile("../../docs/releases.md")
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"Good \"countersign-release\" signature for release@countersign", "countersign_" + release.DebianVersion(at) + "_amd64.deb: OK"} {
			found := false
			for _, line := range regexp.MustCompile(`(?m)^\$ ((?:ssh-keygen -Y verify|sha256sum) .*)$`).FindAllStringSubmatch(string(page), -1) {
				command := exec.Command("sh", "-c", line[1])
				command.Dir = out
				output, err := command.CombinedOutput()
				if err != nil {
					t.Errorf("%s: %v: %s", line[1], err, output)
				}
				found = found || strings.Contains(string(output), want)
			}
			if !found {
				t.Errorf("no command says %s", want)
			}
		}
	})
	t.Run("accepts it unchanged", func(t *testing.T) {
		if err := altered(t, func(string) {}); err != nil {
			t.Error(err)
		}
	})
	t.Run("accepts a public key whose other half an agent has", func(t *testing.T) {
		key := filepath.Join(t.TempDir(), "key")
		newKey(t, key)
		command := exec.Command("ssh-agent", "sh", "-c", `ssh-add -q "$1" && mv "$1" "$1.away" && ssh-keygen -Y sign -q -f "$1.pub" -n countersign-release "$2"`, "sh", key, filepath.Join(out, "..", "trial"))
		write(t, filepath.Join(out, "..", "trial"), []byte("trial"))
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%v: %s", err, output)
		}
	})
	t.Run("refuses a file with one byte changed", func(t *testing.T) {
		err := altered(t, func(folder string) {
			name := filepath.Join(folder, "countersign_"+release.DebianVersion(at)+"_amd64.deb")
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			text[len(text)/2] ^= 1
			write(t, name, text)
		})
		if !errors.Is(err, release.ErrAltered) {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses a file that was added, and one that is missing", func(t *testing.T) {
		if err := altered(t, func(folder string) { write(t, filepath.Join(folder, "install.sh"), []byte("#!/bin/sh\n")) }); !errors.Is(err, release.ErrAltered) {
			t.Errorf("added: %v", err)
		}
		if err := altered(t, func(folder string) {
			if err := os.Remove(filepath.Join(folder, "countersign-"+at+"-linux-amd64.cdx.json")); err != nil {
				t.Fatal(err)
			}
		}); !errors.Is(err, release.ErrAltered) {
			t.Errorf("missing: %v", err)
		}
	})
	t.Run("refuses digests that were written again, or signed by somebody else or for something else", func(t *testing.T) {
		if err := altered(t, func(folder string) { write(t, filepath.Join(folder, "SHA256SUMS"), nil) }); !errors.Is(err, release.ErrUnsigned) {
			t.Errorf("written again: %v", err)
		}
		other := filepath.Join(t.TempDir(), "other")
		newKey(t, other)
		for name, how := range map[string][]string{"somebody else": {other, "countersign-release"}, "something else": {p.key, "file"}} {
			if err := altered(t, func(folder string) {
				digests := filepath.Join(folder, "SHA256SUMS")
				if err := os.Remove(digests + ".sig"); err != nil {
					t.Fatal(err)
				}
				if output, err := exec.Command("ssh-keygen", "-Y", "sign", "-q", "-f", how[0], "-n", how[1], digests).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, output)
				}
			}); !errors.Is(err, release.ErrUnsigned) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
	t.Run("refuses to make anything without a key that signs", func(t *testing.T) {
		for _, key := range []string{"", filepath.Join(t.TempDir(), "none")} {
			folder := t.TempDir()
			options := place{filepath.Join(folder, "source"), key}.options()
			if err := release.Make(t.Context(), options); err == nil || !strings.Contains(err.Error(), "key") {
				t.Errorf("%q: %v", key, err)
			}
		}
	})
}

// Covers: NM-103. TestNM103Components: the list of components is that of the binary.
func TestNM103Components(t *testing.T) {
	_, out := made(t)
	list := filepath.Join(out, "countersign-"+at+"-linux-amd64.cdx.json")
	binary := filepath.Join(t.TempDir(), "countersign")
	text := entries(t, filepath.Join(out, "countersign-"+at+"-linux-amd64.tar.gz"))["countersign-"+at+"-linux-amd64/bin/countersign"]
	if err := os.WriteFile(binary, text, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the one that was made", func(t *testing.T) {
		if err := release.CheckComponents(list, binary); err != nil {
			t.Error(err)
		}
	})
	whole, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"another version of a module": {`"version": "v5.12.0"`, `"version": "v5.11.9"`},
		"another format":              {`"bomFormat": "CycloneDX"`, `"bomFormat": "SPDX"`},
		"another product's version":   {`"version": "` + at + `"`, `"version": "v0.8.0"`},
		"text that is no JSON":        {"{", "["},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			changed := strings.Replace(string(whole), change[0], change[1], 1)
			if changed == string(whole) {
				t.Fatalf("%s is not in it", change[0])
			}
			file := filepath.Join(t.TempDir(), "list.json")
			if err := os.WriteFile(file, []byte(changed), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := release.CheckComponents(file, binary); !errors.Is(err, release.ErrComponents) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses the list of another binary", func(t *testing.T) {
		if err := release.CheckComponents(list, os.Args[0]); !errors.Is(err, release.ErrComponents) {
			t.Errorf("%v", err)
		}
	})
}

// Covers: NM-104. TestNM104Changelog: a release has a section in the changelog, and its packages are in the order of versions.
func TestNM104Changelog(t *testing.T) {
	t.Run("accepts what CHANGELOG.md is: Keep a Changelog", func(t *testing.T) {
		text, err := os.ReadFile("../../CHANGELOG.md")
		if err != nil {
			t.Fatal(err)
		}
		headings := regexp.MustCompile(`(?m)^##+ .*$`).FindAllString(string(text), -1)
		if len(headings) < 2 || headings[0] != "## [Unreleased]" {
			t.Fatalf("%q", headings)
		}
		for _, heading := range headings[1:] {
			if !regexp.MustCompile(`^(## \[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d|### (Added|Changed|Deprecated|Removed|Fixed|Security))$`).MatchString(heading) {
				t.Errorf("%q", heading)
			}
		}
	})
	t.Run("accepts a version that has a section, and a pre-release", func(t *testing.T) {
		folder := t.TempDir()
		if err := os.WriteFile(filepath.Join(folder, "CHANGELOG.md"), []byte("# Changelog\n\n## [1.2.3] - 2026-01-31\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		for version, want := range map[string]bool{"v1.2.3": true, "v1.2.4-rc.1": true, "v0.0.0-20261130195015-ef38fbd7abcd": true, "v1.2.4": false, "v11.2.3": false} {
			if err := release.Changelog(folder, version); (err == nil) != want {
				t.Errorf("%s: %v", version, err)
			}
		}
	})
	t.Run("refuses an order that is not Debian's", func(t *testing.T) {
		ordered := []string{"v0.9.0-rc.1", "v0.9.0-rc.2", "v0.9.0", "v0.9.1-0.20261130195015-ef38fbd7abcd", "v0.9.1", "v0.10.0"}
		for i, earlier := range ordered[:len(ordered)-1] {
			later := ordered[i+1]
			if err := exec.Command("dpkg", "--compare-versions", release.DebianVersion(earlier), "lt", release.DebianVersion(later)).Run(); err != nil {
				t.Errorf("%s is not before %s: %v", release.DebianVersion(earlier), release.DebianVersion(later), err)
			}
			if err := exec.Command("dpkg", "--compare-versions", release.DebianVersion(later), "lt", release.DebianVersion(earlier)).Run(); err == nil {
				t.Errorf("%s is before %s", release.DebianVersion(later), release.DebianVersion(earlier))
			}
		}
	})
}
