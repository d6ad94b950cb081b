package storage_test

import (
	"os"
	"path/filepath"
	"testing"

	"countersign/internal/config/storage"
	"countersign/internal/config/value"
)

// Covers: NM-91. The password comes from one place, which is there.
func TestProblems(t *testing.T) {
	program := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(program, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]storage.Store{
		"a URL with the password in it": {Driver: "postgres"},
		"SQLite without one":            {Driver: "sqlite"},
		"a file":                        {Driver: "postgres", PasswordFile: "password"},
		"a program with arguments":      {Driver: "postgres", PasswordCommand: program + " --region eu"},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			if problems := s.Problems(); len(problems) > 0 {
				t.Error(problems)
			}
		})
	}
	for name, test := range map[string]struct {
		storage.Store
		key string
	}{
		"a file for SQLite":                {storage.Store{Driver: "sqlite", PasswordFile: "password"}, "password_file"},
		"a program for SQLite":             {storage.Store{Driver: "sqlite", PasswordCommand: program}, "password_command"},
		"both":                             {storage.Store{Driver: "postgres", PasswordCommand: program, PasswordFile: value.Secret(program)}, "password_command"},
		"a program without its folder":     {storage.Store{Driver: "postgres", PasswordCommand: "token"}, "password_command"},
		"blanks":                           {storage.Store{Driver: "postgres", PasswordCommand: " "}, "password_command"},
		"a program that is not there":      {storage.Store{Driver: "postgres", PasswordCommand: program + "s"}, "password_command"},
		"a folder in place of a program":   {storage.Store{Driver: "postgres", PasswordCommand: filepath.Dir(program)}, "password_command"},
		"a file that nobody may run":       {storage.Store{Driver: "postgres", PasswordCommand: "/etc/passwd"}, "password_command"},
		"a script of a shell in its place": {storage.Store{Driver: "postgres", PasswordCommand: "cat /run/token | head -1"}, "password_command"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if problems := test.Problems(); len(problems) != 1 || problems[0].Key != test.key {
				t.Error(problems)
			}
		})
	}
}
