package pin

import (
	"os"
	"strings"
	"testing"

	"countersign/internal/fips/fipstest"
)

// Covers: NM-115. TestNM115RefusedPIN: a refused PIN is remembered without Argon2id where FIPS 140-3 is enforced, and what was remembered
// with it counts for every PIN.
func TestNM115RefusedPIN(t *testing.T) {
	t.Run("accepts another PIN than the refused one", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		m := newMemory(t, "one 0001")
		passed := 0
		for _, pin := range []string{"2345", "3456", "4567", "5678"} { // one in 256 would be taken for it
			if err := m.Remember("1234", "CKR_PIN_INCORRECT"); err != nil {
				t.Fatal(err)
			}
			if known, err := m.Refused(pin); err == nil && known == nil {
				passed++
			}
		}
		if passed < 2 {
			t.Errorf("%d of 4 other PINs are sent", passed)
		}
	})
	t.Run("refuses the PIN again, without Argon2id", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		m := newMemory(t, "one 0001")
		if err := m.Remember("1234", "CKR_PIN_INCORRECT"); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(m.File())
		if err != nil || !strings.Contains(string(text), `"kdf":"pbkdf2-sha256"`) {
			t.Errorf("%s, %v", text, err)
		}
		if known, err := m.Refused("1234"); err != nil || known == nil {
			t.Errorf("%+v, %v", known, err)
		}
	})
	t.Run("refuses every PIN after one of Argon2id", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		m := newMemory(t, "one 0001")
		before := `{"token":"one 0001","refused_at":"2026-11-30T12:00:00Z","reason":"CKR_PIN_INCORRECT","salt":"AAAAAAAAAAAAAAAAAAAAAA==","tag":"AA=="}`
		if err := os.WriteFile(m.File(), []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Refused("1234"); err == nil || !strings.Contains(err.Error(), "not approved by FIPS 140-3; remove it") {
			t.Errorf("%v", err)
		}
	})
}
