package wholefile

import (
	"os"
	"path/filepath"
	"testing"
)

// TestWrite: a file is made and replaced with its mode, and nothing else is left in its folder, also when it cannot be replaced.
func TestWrite(t *testing.T) {
	folder := t.TempDir()
	file, taken := filepath.Join(folder, "file"), filepath.Join(folder, "taken")
	if err := os.Mkdir(taken, 0o700); err != nil {
		t.Fatal(err)
	}
	for content, mode := range map[string]os.FileMode{"one": 0o600, "another": 0o644} {
		if err := Write(file, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v", info, err)
		}
		if text, err := os.ReadFile(file); err != nil || string(text) != content {
			t.Errorf("%q, %v", text, err)
		}
	}
	if err := Write(taken, nil, 0o600); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 2 {
		t.Errorf("%v, %v", left, err)
	}
}
