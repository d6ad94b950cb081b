package postgres_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"countersign/store/postgres"
)

// TestRefusesPlainText: nothing is sent to another machine unless TLS verifies its name; on this one it may.
func TestRefusesPlainText(t *testing.T) {
	const refusal = "would not be protected: add sslmode=verify-full"
	for url, refused := range map[string]bool{
		"postgres://u:secret@db.invalid/c":                                                  true,
		"postgres://u:secret@db.invalid/c?sslmode=disable":                                  true,
		"postgres://u:secret@db.invalid/c?sslmode=allow":                                    true,
		"postgres://u:secret@db.invalid/c?sslmode=prefer":                                   true,
		"postgres://u:secret@db.invalid/c?sslmode=require":                                  true,
		"postgres://u:secret@192.0.2.1/c?sslmode=verify-ca":                                 true,
		"postgres://u:secret@127.0.0.1:1,db.invalid:1/c?sslmode=prefer":                     true,
		"host=db.invalid user=u password=secret sslmode=disable":                            true,
		"postgres://u:secret@db.invalid/c?sslmode=verify-full":                              false,
		"postgres://u:secret@a.invalid,b.invalid/c?sslmode=verify-full":                     false,
		"postgres://u:secret@127.0.0.1:1/c?sslmode=disable":                                 false,
		"postgres://u:secret@[::1]:1/c":                                                     false,
		"postgres://u:secret@localhost:1/c?sslmode=disable":                                 false,
		"postgres:///c?host=/nowhere&user=u&sslmode=disable":                                false,
		"postgres://u:secret@localhost:1/c?sslmode=disable&target_session_attrs=read-write": false,
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		_, openErr := postgres.Open(ctx, postgres.Config{URL: url})
		_, migrateErr := postgres.Migrate(ctx, postgres.Config{URL: url})
		cancel()
		for name, err := range map[string]error{"open": openErr, "migrate": migrateErr} {
			if err == nil || strings.Contains(err.Error(), refusal) != refused {
				t.Errorf("%s %s: %v; refused for want of protection: want %v", name, url, err, refused)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%s %s: the error shows the password: %v", name, url, err)
			}
		}
	}
}
