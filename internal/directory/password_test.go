package directory

import (
	"errors"
	"strings"
	"testing"
)

// signsIn reports whether a password signs in a user with a stored hash.
func signsIn(t *testing.T, phc, password string) (bool, error) {
	t.Helper()
	d, _, _ := newDirectoryOf(t, phc)
	_, err := d.authenticate(t.Context(), "alice", password)
	if errors.Is(err, ErrRefused) {
		return false, nil
	}
	return err == nil, err
}

func TestHashPassword(t *testing.T) {
	first, err := HashPassword(rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first, "$argon2id$v=19$m=19456,t=2,p=1$") {
		t.Errorf("the hash is %q", first)
	}
	second, err := HashPassword(rightPassword)
	if err != nil {
		t.Fatal(err)
	}
	if first == second {
		t.Error("two hashes of a password are equal: no salt")
	}
	for password, want := range map[string]bool{rightPassword: true, rightPassword + " ": false, "": false} {
		if got, err := signsIn(t, first, password); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", password, got, err, want)
		}
	}
	for name, password := range map[string]string{"empty": "", "too long": strings.Repeat("x", maxPassword+1), "not UTF-8": "pass\xffword"} {
		if phc, err := HashPassword(password); err == nil {
			t.Errorf("%s: hashed to %q", name, phc)
		}
	}
}

// TestNormalisation: é in one code point and in two is the same password.
func TestNormalisation(t *testing.T) {
	phc, err := HashPassword("caf\u00e9 cr\u00e8me br\u00fbl\u00e9e")
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := signsIn(t, phc, "cafe\u0301 cre\u0300me bru\u0302le\u0301e"); err != nil || !ok {
		t.Errorf("got %v, %v", ok, err)
	}
}

// TestKnownAnswers holds the implementation against hashes of the reference one (phc-winner-argon2, test.c).
func TestKnownAnswers(t *testing.T) {
	tests := []struct{ password, phc string }{
		{"password", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"},
		{"password", "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"},
		{"password", "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc"},
		{"differentpassword", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$C4TWUs9rDEvq7w3+J4umqA32aWKB1+DSiRuBfYxFj94"},
	}
	for _, test := range tests {
		if ok, err := signsIn(t, test.phc, test.password); err != nil || !ok {
			t.Errorf("%s: %v, %v", test.phc, ok, err)
		}
		if ok, err := signsIn(t, test.phc, "another"); err != nil || ok {
			t.Errorf("%s with another password: %v, %v", test.phc, ok, err)
		}
	}
}

func TestUnreadableHashes(t *testing.T) {
	const salt, tag = "c29tZXNhbHQ", "CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	for name, phc := range map[string]string{
		"plain text":       "correct horse",
		"bcrypt":           "$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy",
		"argon2i":          "$argon2i$v=19$m=256,t=2,p=1$" + salt + "$" + tag,
		"old version":      "$argon2id$v=16$m=256,t=2,p=1$" + salt + "$" + tag,
		"no version":       "$argon2id$m=256,t=2,p=1$" + salt + "$" + tag,
		"too much memory":  "$argon2id$v=19$m=262145,t=2,p=1$" + salt + "$" + tag,
		"too many passes":  "$argon2id$v=19$m=256,t=17,p=1$" + salt + "$" + tag,
		"too many lanes":   "$argon2id$v=19$m=256,t=2,p=17$" + salt + "$" + tag,
		"no memory":        "$argon2id$v=19$m=0,t=2,p=1$" + salt + "$" + tag,
		"too little":       "$argon2id$v=19$m=15,t=2,p=2$" + salt + "$" + tag,
		"no passes":        "$argon2id$v=19$m=256,t=0,p=1$" + salt + "$" + tag,
		"no lanes":         "$argon2id$v=19$m=256,t=2,p=0$" + salt + "$" + tag,
		"leading zero":     "$argon2id$v=19$m=0256,t=2,p=1$" + salt + "$" + tag,
		"sign":             "$argon2id$v=19$m=+256,t=2,p=1$" + salt + "$" + tag,
		"overflow":         "$argon2id$v=19$m=256,t=2,p=257$" + salt + "$" + tag,
		"another order":    "$argon2id$v=19$t=2,m=256,p=1$" + salt + "$" + tag,
		"one setting more": "$argon2id$v=19$m=256,t=2,p=1,x=1$" + salt + "$" + tag,
		"short salt":       "$argon2id$v=19$m=256,t=2,p=1$c29tZQ$" + tag,
		"short tag":        "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$CTFhFQ",
		"no tag":           "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$",
		"padding":          "$argon2id$v=19$m=256,t=2,p=1$" + salt + "=$" + tag,
		"line break":       "$argon2id$v=19$m=256,t=2,p=1$" + salt + "\n$" + tag,
		"trailing bits":    "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHR$" + tag,
		"one field more":   "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + tag + "$",
		"long":             "$argon2id$v=19$m=256,t=2,p=1$" + salt + "$" + strings.Repeat("A", maxHash),
	} {
		t.Run(name, func(t *testing.T) {
			ok, err := signsIn(t, phc, "password")
			if err == nil || ok {
				t.Fatalf("read %q: %v", phc, ok)
			}
			if strings.Contains(err.Error(), phc) {
				t.Errorf("the error repeats the hash: %v", err)
			}
		})
	}
}

// Covers: KB-09. A hash from elsewhere costs enough to guess at, and not too much to verify.
func TestCheckHash(t *testing.T) {
	of := func(settings string) string {
		return "$argon2id$v=19$" + settings + "$c2FsdHNhbHQ$d29ya3dvcmt3b3Jrd29yaw"
	}
	for _, settings := range []string{"m=19456,t=2,p=1", "m=47104,t=1,p=1", "m=12288,t=3,p=1", "m=7168,t=5,p=1", "m=65536,t=3,p=4"} {
		t.Run("accepts "+settings, func(t *testing.T) {
			if err := CheckHash(of(settings)); err != nil {
				t.Error(err)
			}
		})
	}
	for name, phc := range map[string]string{
		"too few passes": of("m=19456,t=1,p=1"), "too little memory": of("m=4096,t=16,p=1"), "too much memory": of("m=4194304,t=2,p=1"),
		"a short tag": "$argon2id$v=19$m=19456,t=2,p=1$c2FsdHNhbHQ$c2hvcnR0YWc", "bcrypt": "$2b$12$c2FsdHNhbHQ", "a password": "correct horse battery staple",
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if err := CheckHash(phc); err == nil || strings.Contains(err.Error(), "staple") {
				t.Error(err)
			}
		})
	}
}

// FuzzParseHash: whatever is read is bounded and has one spelling.
func FuzzParseHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc")
	f.Fuzz(func(t *testing.T, phc string) {
		h, err := parseHash(phc)
		if err != nil {
			return
		}
		if h.memory > maxMemory || h.passes < 1 || h.passes > maxPasses || h.lanes < 1 || h.lanes > maxLanes || h.memory < 8*uint32(h.lanes) ||
			len(h.salt) < minBytes || len(h.salt) > maxBytes || len(h.tag) < minBytes || len(h.tag) > maxBytes {
			t.Errorf("out of bounds: %+v", h)
		}
		if h.String() != phc {
			t.Errorf("%q was read, and is written as %q", phc, h.String())
		}
	})
}

func BenchmarkHashMatches(b *testing.B) {
	h := newHash(rightPassword)
	b.ReportAllocs()
	for b.Loop() {
		if !h.matches(rightPassword) {
			b.Fatal("does not match")
		}
	}
}
