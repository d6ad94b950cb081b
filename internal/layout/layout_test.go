package layout_test

import (
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"countersign/internal/layout"
)

// service is a layout below a folder of the test, for a user that exists: nobody's where root runs the test.
func service(t *testing.T) layout.Layout {
	t.Helper()
	current, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	l := layout.Layout{
		System: true, Folder: filepath.Join(folder, "etc"), State: filepath.Join(folder, "lib"), Owner: current.Username, Root: current.Username,
	}
	if os.Geteuid() == 0 {
		l.Owner, l.Root = "nobody", ""
	}
	return l
}

// Covers: NM-106.
func TestNM106Layout(t *testing.T) {
	t.Run("accepts a service's, with owners and modes, and says each", func(t *testing.T) {
		l := service(t)
		made, err := l.Make([]byte("# configuration\n"))
		if err != nil {
			t.Fatal(err)
		}
		said := strings.Join(made.Lines, "\n")
		owner, err := user.Lookup(l.Owner)
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string]struct {
			mode os.FileMode
			own  bool
		}{
			l.Folder: {0o750, false}, filepath.Join(l.Folder, "tls"): {0o750, false}, l.State: {0o700, true}, made.File: {0o640, false},
		} {
			info, err := os.Stat(name)
			if err != nil {
				t.Fatal(err)
			}
			system := info.Sys().(*syscall.Stat_t)
			if info.Mode().Perm() != want.mode || strconv.Itoa(int(system.Gid)) != owner.Gid {
				t.Errorf("%s has mode %04o and group %d", name, info.Mode().Perm(), system.Gid)
			}
			if own := strconv.Itoa(int(system.Uid)) == owner.Uid; os.Geteuid() == 0 && own != want.own {
				t.Errorf("%s belongs to %d", name, system.Uid)
			}
			if !strings.Contains(said, " "+name+" (") {
				t.Errorf("%s is not in\n%s", name, said)
			}
		}
	})
	t.Run("accepts to be repeated: content stays, mode comes back", func(t *testing.T) {
		l := service(t)
		made, err := l.Make([]byte("first"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(made.File, 0o666); err != nil {
			t.Fatal(err)
		}
		again, err := l.Make([]byte("second"))
		if err != nil || !strings.Contains(strings.Join(again.Lines, "\n"), "kept "+made.File) {
			t.Fatalf("%v, %q", err, again.Lines)
		}
		text, err := os.ReadFile(made.File)
		info, statErr := os.Stat(made.File)
		if err != nil || statErr != nil || string(text) != "first" || info.Mode().Perm() != 0o640 {
			t.Errorf("%q, %v, %v, %v", text, info, err, statErr)
		}
	})
	t.Run("refuses a user that does not exist, and says how to make it", func(t *testing.T) {
		l := service(t)
		l.Owner = "no-such-user"
		_, err := l.Make(nil)
		if err == nil || !strings.Contains(err.Error(), "there is no user no-such-user") || !strings.Contains(err.Error(), "useradd --system") {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(l.Folder); !os.IsNotExist(err) {
			t.Errorf("something was made: %v", err)
		}
	})
	t.Run("refuses a link in the place of a folder", func(t *testing.T) {
		l := service(t)
		if err := os.Symlink(t.TempDir(), l.State); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Make(nil); err == nil || !strings.Contains(err.Error(), "is no folder") {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses to write over a configuration that is not a service's", func(t *testing.T) {
		l := layout.Layout{Folder: t.TempDir()}
		if _, err := l.Make([]byte("first")); err != nil {
			t.Fatal(err)
		}
		if _, err := l.Make([]byte("second")); err == nil || !strings.Contains(err.Error(), "already") {
			t.Errorf("%v", err)
		}
	})
}

// Covers: NM-200. A further issuer of a service has a configuration beside the service's, and a folder of its own in the state folder,
// which nobody else reads.
func TestNM200Issuer(t *testing.T) {
	t.Run("refuses one before the service's own", func(t *testing.T) {
		l := service(t)
		l.Issuer = "brand"
		if made, err := l.Make([]byte("brand")); err == nil || !strings.Contains(err.Error(), "needs the service's own configuration first") {
			t.Errorf("%v, %q", err, made.Lines)
		}
	})
	t.Run("accepts it, may be repeated, and leaves the service's as it is", func(t *testing.T) {
		l := service(t)
		main, err := l.Make([]byte("main"))
		if err != nil {
			t.Fatal(err)
		}
		l.Issuer = "brand"
		var made layout.Made
		for range 2 {
			if made, err = l.Make([]byte("brand")); err != nil {
				t.Fatal(err)
			}
		}
		if made.File != filepath.Join(l.Folder, "brand.toml") {
			t.Error(made.File)
		}
		for name, want := range map[string]string{main.File: "main", made.File: "brand"} {
			if text, err := os.ReadFile(name); err != nil || string(text) != want {
				t.Errorf("%s: %q, %v", name, text, err)
			}
		}
		folder, err := os.Stat(filepath.Join(l.State, "brand"))
		if err != nil || folder.Mode().Perm() != 0o700 {
			t.Errorf("%v, %v", folder, err)
		}
	})
}
