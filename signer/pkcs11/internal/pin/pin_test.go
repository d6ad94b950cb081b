package pin

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPINFileMode(t *testing.T) {
	const user, other = 1000, 1001
	for _, test := range []struct {
		mode fs.FileMode
		uid  uint32
		want string
	}{
		{0o600, user, ""},
		{0o400, user, ""},
		{0o600, 0, ""},
		{0o440, 0, ""}, // a systemd credential
		{0o440, user, "others can read it"},
		{0o620, 0, "others can read it"},
		{0o444, 0, "others can read it"},
		{0o604, user, "others can read it"},
		{0o600, other, "belongs to another user"},
		{0o600 | fs.ModeDir, user, "is not a regular file"},
		{0o600 | fs.ModeNamedPipe, user, "is not a regular file"},
	} {
		got := loose("pin", test.mode, test.uid, user)
		if test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%v of user %d: %q, want %q", test.mode, test.uid, got, test.want)
		}
	}
}

func TestReadPIN(t *testing.T) {
	for content, want := range map[string]string{
		"1234": "1234", "1234\n": "1234", "1234\r\n": "1234", " 12 34 ": " 12 34 ",
		strings.Repeat("9", Max) + "\r\n": strings.Repeat("9", Max),
		"":                                "", "\n": "", "1234\n5678\n": "", "12\x0034": "", strings.Repeat("9", Max+1): "",
		strings.Repeat("9", 1000): "",
	} {
		file := filepath.Join(t.TempDir(), "pin")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(file)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q was read as %q, %v", content, got, err)
		}
		if secret := strings.TrimSpace(content); err != nil && secret != "" && bytes.Contains([]byte(err.Error()), []byte(secret)) {
			t.Errorf("the error shows the PIN: %v", err)
		}
	}
}
