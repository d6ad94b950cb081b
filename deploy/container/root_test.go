// Package container holds the image to what it should be: its root here, and as root the image itself, built by buildah and run as a
// cluster would, as a user without rights, on a root that is read-only.
package container

import (
	"debug/elf"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Covers: NM-120. The root that is laid out holds each library that something in it needs, and refuses what it cannot account for.
func TestNM120Root(t *testing.T) {
	program, err := exec.LookPath("softhsm2-util")
	if err != nil {
		t.Fatal("softhsm2-util is missing: apt-get install softhsm2")
	}
	lay := func(arguments ...string) (string, error) {
		output, err := exec.Command("sh", append([]string{"root.sh"}, arguments...)...).CombinedOutput()
		return string(output), err
	}
	folder := filepath.Join(t.TempDir(), "root")
	if output, err := lay(folder, program); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	t.Run("accepts a root with all libraries", func(t *testing.T) {
		var files, needed []string
		err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() {
				return err
			}
			files = append(files, entry.Name())
			file, err := elf.Open(path)
			if err != nil {
				return nil // it is no program
			}
			libraries, err := file.ImportedLibraries()
			needed = append(needed, libraries...)
			return errors.Join(err, file.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, library := range needed {
			if !slices.Contains(files, library) {
				t.Errorf("%s is missing", library)
			}
		}
		for _, wanted := range []string{"libsofthsm2.so", "p11-kit-client.so", "ca-certificates.crt", "countersign"} {
			if !slices.Contains(files, wanted) {
				t.Errorf("%s is missing", wanted)
			}
		}
		if len(needed) < 5 {
			t.Errorf("%d libraries are needed", len(needed))
		}
	})
	for what, test := range map[string]struct {
		arguments []string
		want      string
	}{
		"a folder that is there":        {[]string{folder, program}, "is there already"},
		"a module that is no package's": {[]string{filepath.Join(t.TempDir(), "root"), program, own(t)}, "no package of Debian has"},
		"a module that is not there":    {[]string{filepath.Join(t.TempDir(), "root"), program, "/usr/lib/vendor/none.so"}, "none.so"},
		"a program that is not there":   {[]string{filepath.Join(t.TempDir(), "root"), "/usr/lib/vendor/none"}, "none"},
	} {
		t.Run("refuses "+what, func(t *testing.T) {
			if output, err := lay(test.arguments...); err == nil || !strings.Contains(output, test.want) {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
}

// own is a file that no package has.
func own(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "nobodys-module.so")
	if err := os.WriteFile(file, []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
