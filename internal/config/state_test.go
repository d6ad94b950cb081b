package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestStateFolder: what the signer remembers is in the folder that is named, or in one that the server and the commands both
// find; one that does not exist is refused.
//
// Covers: FD-91.
func TestStateFolder(t *testing.T) {
	folder := t.TempDir()
	for name, test := range map[string]struct{ store, signer, systemd, want string }{
		"accepts the one that is named":         {`file = "db/c.db"`, `state_dir = "state"`, "/run/s", "state"},
		"accepts that of the embedded database": {`file = "db/c.db"`, "", "/run/s", "db"},
		"accepts systemd's":                     {"driver = \"postgres\"\nurl_file = \"url\"", "", "/run/s:/run/t", "/run/s"},
		"accepts that of the PIN":               {"driver = \"postgres\"\nurl_file = \"url\"", "", "", "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("STATE_DIRECTORY", test.systemd)
			file := filepath.Join(folder, "c.toml")
			text := "issuer = \"https://id.example\"\n[store]\n" + test.store + "\n[signer]\nmodule = \"m.so\"\ntoken = \"t\"\npin_file = \"secret/pin\"\n" + test.signer +
				"\n[listen]\ncertificate_file = \"a\"\nkey_file = \"b\"\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, err := LoadValues(file)
			if err != nil {
				t.Fatal(err)
			}
			want := test.want
			if !filepath.IsAbs(want) {
				want = filepath.Join(folder, want)
			}
			if got := c.Signer.StateFolder.Path(); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	if err := checkFile("signer.state_dir", File(filepath.Join(folder, "nowhere"))); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("refuses one that does not exist: %v", err)
	}
	if err := checkFile("signer.state_dir", File(folder)); err != nil {
		t.Errorf("accepts one that does: %v", err)
	}
}
