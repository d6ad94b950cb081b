package value

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestCredential(t *testing.T) {
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "pin"), []byte("4711\r\n"), 0o440); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", folder)
	if got, err := Secret("credential:pin").Read(); err != nil || string(got) != "4711" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, name := range []Secret{"credential:", "credential:../pin", "credential:..", "credential:absent"} {
		if got, err := name.Read(); err == nil {
			t.Errorf("%s gave %q", name, got)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	if got, err := Secret("credential:pin").Read(); err == nil {
		t.Errorf("outside of a service, got %q", got)
	}
}

func TestSecretSize(t *testing.T) {
	folder := t.TempDir()
	for name, size := range map[string]int{"empty": 0, "large": maxSecret + 1} {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Secret(file).Read(); err == nil {
			t.Errorf("the %s secret was read", name)
		}
	}
}

func TestDuration(t *testing.T) {
	tests := map[string]time.Duration{
		"90d": 90 * 24 * time.Hour, "1h30m": 90 * time.Minute, "60s": time.Minute, "250ms": 250 * time.Millisecond,
		"0s": 0, "1d2h3m4s5ms": 26*time.Hour + 3*time.Minute + 4*time.Second + 5*time.Millisecond,
	}
	for text, want := range tests {
		got, err := ParseDuration(text)
		if err != nil || got.Std() != want {
			t.Errorf("%s: got %v, %v", text, got, err)
		}
		if again, err := ParseDuration(got.String()); err != nil || again != got {
			t.Errorf("%s is written as %s, which reads as %v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "5", "-5m", "1.5h", "5 m", "5m1h", "1y", "999999999d", "9999999999s", "5M"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
}
