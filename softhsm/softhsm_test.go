package softhsm

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// pretend stands for the PKCS#11 worker: it leaves a file where a token would be, after a look at what it was given.
func pretend(t *testing.T, calls *int) Initialise {
	return func(_ context.Context, module string, environment map[string]string, label, soPINFile, pinFile string) error {
		*calls++
		if _, err := os.Stat(module); err != nil {
			t.Error(err)
		}
		for _, file := range []string{soPINFile, pinFile} {
			pin, err := os.ReadFile(file)
			if err != nil || len(strings.TrimSpace(string(pin))) != 16 {
				t.Errorf("PIN file %s: %d bytes, %v", file, len(pin), err)
			}
		}
		folder := tokenFolder(t, environment)
		return os.WriteFile(filepath.Join(folder, label), nil, 0o600)
	}
}

// tokenFolder reads the folder of the tokens from the configuration that the environment names.
func tokenFolder(t *testing.T, environment map[string]string) string {
	t.Helper()
	text, err := os.ReadFile(environment["SOFTHSM2_CONF"])
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(text), "\n")
	folder, ok := strings.CutPrefix(first, "directories.tokendir = ")
	if !ok {
		t.Fatalf("the configuration begins with %q", first)
	}
	return folder
}

// TestCreate makes a token once, keeps others from its files, and finds it again.
func TestCreate(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "hsm")
	var calls int
	token, err := Create(t.Context(), folder, "test", pretend(t, &calls))
	if err != nil {
		t.Fatal(err)
	}
	if token.URI != "pkcs11:token=test" {
		t.Errorf("address %s", token.URI)
	}
	if got := tokenFolder(t, token.Environment); got != filepath.Join(folder, "tokens") {
		t.Errorf("the configuration names %s", got)
	}
	for file, want := range map[string]os.FileMode{
		folder: 0o700, filepath.Join(folder, "tokens"): 0o700, token.PINFile: 0o600, token.SOPINFile: 0o600,
		token.Environment["SOFTHSM2_CONF"]: 0o600,
	} {
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want %v", file, info.Mode(), err, want)
		}
	}
	pin, soPIN := read(t, token.PINFile), read(t, token.SOPINFile)
	if pin == soPIN {
		t.Error("both PINs are the same")
	}
	again, err := Create(t.Context(), folder, "test", pretend(t, &calls))
	if err != nil || calls != 1 {
		t.Errorf("the second time: %v, %d tokens made", err, calls)
	}
	if diff := cmp.Diff(token, again); diff != "" {
		t.Error(diff)
	}
	if read(t, token.PINFile) != pin || read(t, token.SOPINFile) != soPIN {
		t.Error("a PIN changed")
	}
	files, err := os.ReadDir(folder)
	if err != nil || len(files) != 4 {
		t.Errorf("%v, %v; want tokens, two PINs and a configuration", files, err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestInterrupted: what an interrupted Create leaves is no token, and the next one succeeds.
func TestInterrupted(t *testing.T) {
	folder := t.TempDir()
	var calls int
	power := errors.New("the power failed")
	_, err := Create(t.Context(), folder, "test", func(ctx context.Context, module string, environment map[string]string, label, soPINFile, pinFile string) error {
		if err := pretend(t, &calls)(ctx, module, environment, label, soPINFile, pinFile); err != nil {
			return err
		}
		return power
	})
	if !errors.Is(err, power) {
		t.Fatalf("error %v", err)
	}
	if err := os.Truncate(filepath.Join(folder, "so-pin"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(t.Context(), folder, "test", pretend(t, &calls)); err != nil || calls != 2 {
		t.Errorf("the second time: %v, %d tokens begun", err, calls)
	}
}

func TestLabels(t *testing.T) {
	for _, label := range []string{"", "a b", "a;b", "a/b", "ü", strings.Repeat("a", 33)} {
		if _, err := Create(t.Context(), t.TempDir(), label, nil); err == nil || !strings.Contains(err.Error(), "label") {
			t.Errorf("%q: %v", label, err)
		}
	}
}

// TestDamaged: an object of no bytes is found, whichever it is; whole ones and other modules are none.
//
// Covers: FD-99.
func TestDamaged(t *testing.T) {
	folder := t.TempDir()
	token := filepath.Join(folder, "tokens", "0001")
	configuration := filepath.Join(folder, "softhsm2.conf")
	environment := map[string]string{"SOFTHSM2_CONF": configuration}
	if err := errors.Join(os.MkdirAll(token, 0o700),
		os.WriteFile(configuration, []byte("objectstore.backend = file\ndirectories.tokendir = "+filepath.Join(folder, "tokens")+"\n"), 0o600),
		os.WriteFile(filepath.Join(token, "token.object"), []byte("x"), 0o600), os.WriteFile(filepath.Join(token, "token.lock"), nil, 0o600),
		os.WriteFile(filepath.Join(token, "generation"), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a whole token", func(t *testing.T) {
		if found, err := Damaged(environment); err != nil || len(found) > 0 {
			t.Errorf("%v, %v", found, err)
		}
	})
	key := filepath.Join(token, "11b0.object")
	for _, file := range []string{key, filepath.Join(token, "token.object")} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run("refuses an empty "+filepath.Base(file), func(t *testing.T) {
			if found, err := Damaged(environment); err != nil || !cmp.Equal(found, []string{file}) {
				t.Errorf("%v, %v", found, err)
			}
		})
		if err := os.WriteFile(file, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if found, err := Damaged(map[string]string{"OTHER": "x"}); err != nil || len(found) > 0 {
		t.Errorf("accepts another module: %v, %v", found, err)
	}
	if _, err := Damaged(map[string]string{"SOFTHSM2_CONF": "/nowhere"}); err == nil {
		t.Error("refuses: a configuration that is not there is no problem")
	}
}
