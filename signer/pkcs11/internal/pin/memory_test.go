package pin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newMemory(t *testing.T, token string) Memory {
	return Memory{Folder: t.TempDir(), Token: token, Now: time.Now}
}

// TestMemory: the PIN that was refused is known again by everybody who looks, others are not, and another token's are not
// affected.
//
// Covers: FD-91.
func TestMemory(t *testing.T) {
	m := newMemory(t, "one 0001")
	if err := m.Remember("1234", "CKR_PIN_INCORRECT"); err != nil {
		t.Fatal(err)
	}
	known, err := Memory{Folder: m.Folder, Token: m.Token, Now: time.Now}.Refused("1234")
	if err != nil || known == nil || known.Reason != "CKR_PIN_INCORRECT" || known.Token != m.Token || time.Since(known.RefusedAt) > time.Minute {
		t.Errorf("refuses: %+v, %v", known, err)
	}
	if known, err := (Memory{Folder: m.Folder, Token: "one 0002", Now: time.Now}).Refused("1234"); err != nil || known != nil {
		t.Errorf("accepts for another token: %+v, %v", known, err)
	}
	if err := m.Forget(); err != nil {
		t.Fatal(err)
	}
	if known, err := m.Refused("1234"); err != nil || known != nil {
		t.Errorf("accepts what is forgotten: %+v, %v", known, err)
	}
	if err := m.Forget(); err != nil {
		t.Errorf("twice: %v", err)
	}
}

// TestMemoryTellsNoPIN: what is kept fits one PIN in 256, so that no search finds the one that was refused; its file is for
// this user only; and it is not the same twice.
//
// Covers: FD-91.
func TestMemoryTellsNoPIN(t *testing.T) {
	m := newMemory(t, "one 0001")
	var salts []string
	for range 2 {
		if err := m.Remember("73519264", "CKR_PIN_INCORRECT"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(m.File())
		if err != nil {
			t.Fatal(err)
		}
		var kept map[string]any
		var known Refusal
		if err := json.Unmarshal(text, &kept); err != nil || json.Unmarshal(text, &known) != nil {
			t.Fatal(err)
		}
		if len(kept) != 5 || len(known.Tag) != 1 || len(known.Salt) != 16 {
			t.Errorf("it keeps %s", text)
		}
		salts = append(salts, string(known.Salt))
	}
	if salts[0] == salts[1] {
		t.Error("the salt is the same twice")
	}
	info, err := os.Stat(m.File())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	left, err := filepath.Glob(filepath.Join(m.Folder, ".*"))
	if err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	accepted := 0
	for i := range 12 {
		known, err := m.Refused(fmt.Sprint(10000000 + i))
		if err != nil {
			t.Fatal(err)
		}
		if known == nil {
			accepted++
		}
	}
	if accepted < 10 { // each is taken for it with 1/256
		t.Errorf("%d of 12 others are accepted", accepted)
	}
}

// TestMemoryFails: where nothing can be kept that is said, and a file that cannot be read is no permission.
//
// Covers: FD-91.
func TestMemoryFails(t *testing.T) {
	if err := (Memory{Now: time.Now}).Remember("1234", "no"); err == nil {
		t.Error("refuses without a folder: it says nothing")
	}
	if err := (Memory{Folder: filepath.Join(t.TempDir(), "nowhere"), Now: time.Now}).Remember("1234", "no"); err == nil {
		t.Error("refuses without such a folder: it says nothing")
	}
	m := newMemory(t, "one 0001")
	for _, text := range []string{"", "{}", `{"salt":"AAAAAAAAAAAAAAAAAAAAAA==","tag":""}`, "\x00\x00"} {
		if err := os.WriteFile(m.File(), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Refused("1234"); err == nil {
			t.Errorf("refuses %q: it is taken for nothing", text)
		}
	}
}

// TestMemoryLock: one login at a time, and none beside one that does not end.
//
// Covers: FD-91.
func TestMemoryLock(t *testing.T) {
	m := newMemory(t, "one 0001")
	release, err := m.Lock()
	if err != nil {
		t.Fatal(err)
	}
	entered := make(chan error)
	go func() {
		release, err := m.Lock()
		if err == nil {
			release()
		}
		entered <- err
	}()
	select {
	case <-entered:
		t.Fatal("refuses: two at once")
	case <-time.After(5 * lockAgain):
	}
	release()
	if err := <-entered; err != nil {
		t.Errorf("accepts the next: %v", err)
	}
	var ahead time.Duration
	m.Now = func() time.Time { // each look takes a second
		ahead += time.Second
		return time.Unix(0, 0).Add(ahead)
	}
	if release, err = m.Lock(); err != nil {
		t.Fatal(err)
	}
	defer release()
	if _, err := m.Lock(); err == nil || ahead > 2*lockTimeout {
		t.Errorf("refuses beside one that hangs: %v", err)
	}
}
