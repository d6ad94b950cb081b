package database_test

import (
	"strings"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/database"
	"countersign/internal/fips/fipstest"
)

// Covers: NM-221. TestNM221SCRAM: SCRAM-SHA-256 computes PBKDF2 and HMAC, by a salt of 16 octets and 4096 rounds or more as PostgreSQL
// has them: what FIPS 140-3 approves, whatever the length of the password.
func TestNM221SCRAM(t *testing.T) {
	for what, password := range map[string]string{"a password": "a password of some length", "a password of one character": "x", "a password that is not ASCII": "pässwörd"} {
		t.Run("accepts "+what, func(t *testing.T) {
			if !fipstest.Enforced(t) {
				return
			}
			r := newRotating(t)
			r.rotate(password)
			s := r.open(config.Store{URL: config.Secret(r.write("url", r.as("rotating"), 0o600)), PasswordFile: config.Secret(r.write("password", password, 0o600))})
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("refuses another password", func(t *testing.T) {
		if !fipstest.Enforced(t) {
			return
		}
		r := newRotating(t)
		d, err := database.New(&config.Config{Store: config.Store{
			Driver: "postgres", MaxConnections: 4, URL: config.Secret(r.write("url", r.as("rotating"), 0o600)), PasswordFile: config.Secret(r.write("password", "wrong", 0o600)),
		}}, time.Now, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open(t.Context()); err == nil || !strings.Contains(err.Error(), "password authentication failed") {
			t.Errorf("%v", err)
		}
	})
}
