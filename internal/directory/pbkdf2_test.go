package directory

import (
	"errors"
	"strings"
	"testing"
	"time"

	"countersign/internal/fips/fipstest"
)

// pythonHash is PBKDF2-HMAC-SHA-256 of "correct horse battery staple", made with Python's hashlib.pbkdf2_hmac.
const pythonHash = "$pbkdf2-sha256$i=600000$AAECAwQFBgcICQoLDA0ODw$7xdxRO7JQgy8EJPSqLNEqSvFBtDU7JwCjdGfgyTYweY"

// Covers: NM-113. TestNM113Passwords: where FIPS 140-3 is enforced, passwords are hashed with PBKDF2, and Argon2id signs nobody in.
func TestNM113Passwords(t *testing.T) {
	const argon = "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$F5Hn9WLTpZWNNEJ4fTtyASKRPCxDr3vHcTKZBTLqq2Q"
	t.Run("accepts a new password where it is enforced", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		phc, err := HashPassword(rightPassword)
		if err != nil || !strings.HasPrefix(phc, "$pbkdf2-sha256$i=600000$") || CheckHash(phc) != nil {
			t.Fatalf("%q, %v, %v", phc, err, CheckHash(phc))
		}
		for password, want := range map[string]bool{rightPassword: true, rightPassword + " ": false, "": false} {
			if got, err := signsIn(t, phc, password); err != nil || got != want {
				t.Errorf("%q: %v, %v; want %v", password, got, err, want)
			}
		}
		code, err := HashUserCode("482913")
		if err != nil {
			t.Fatal(err)
		}
		if fits, _, err := NewUserCodes(time.Now).Compare(t.Context(), "alice", code, "482913"); err != nil || !fits {
			t.Errorf("the user code: %v, %v", fits, err)
		}
	})
	t.Run("accepts a hash of that mode out of it, so that one can go back", func(t *testing.T) {
		for password, want := range map[string]bool{"correct horse battery staple": true, "correct horse": false} {
			if got, err := signsIn(t, pythonHash, password); err != nil || got != want {
				t.Errorf("%q: %v, %v", password, got, err)
			}
		}
	})
	t.Run("refuses Argon2id where it is enforced, and the audit log says why", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		d, _, _ := newDirectoryOf(t, argon)
		_, err := d.authenticate(t.Context(), "alice", "password")
		known, ok := errors.AsType[refusal](err)
		if !errors.Is(err, ErrRefused) || !ok || known.Reason() != reasonHash {
			t.Errorf("%v", err)
		}
		if err := CheckHash(argon); !errors.Is(err, errNotApproved) {
			t.Errorf("an import: %v", err)
		}
		if fits, _, err := NewUserCodes(time.Now).Compare(t.Context(), "alice", argon, "password"); err != nil || fits {
			t.Errorf("a user code: %v, %v", fits, err)
		}
	})
	t.Run("refuses hashes that are cheap, short or written otherwise", func(t *testing.T) {
		salt, tag := strings.Repeat("A", 22), strings.Repeat("A", 43)
		for name, phc := range map[string]string{
			"cheap":          "$pbkdf2-sha256$i=599999$" + salt + "$" + tag,
			"too dear":       "$pbkdf2-sha256$i=10000001$" + salt + "$" + tag,
			"a short salt":   "$pbkdf2-sha256$i=600000$AAAAAAAAAAA$" + tag,
			"a short tag":    "$pbkdf2-sha256$i=600000$" + salt + "$AAAAAAAAAAA",
			"another digest": "$pbkdf2-sha512$i=600000$" + salt + "$" + tag,
			"a part more":    "$pbkdf2-sha256$i=600000$" + salt + "$" + tag + "$",
			"leading zero":   "$pbkdf2-sha256$i=0600000$" + salt + "$" + tag,
			"passlib's":      "$pbkdf2-sha256$600000$" + salt + "$" + tag,
		} {
			if err := CheckHash(phc); err == nil {
				t.Errorf("%s is accepted", name)
			}
		}
	})
}
