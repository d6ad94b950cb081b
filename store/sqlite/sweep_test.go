package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"countersign/store/sqlite"
)

// TestSweep: what has ended among much that has not is removed by a few calls, wherever it is; nothing else is; and no call
// removes more of one kind than it may.
func TestSweep(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	config := sqlite.Config{File: filepath.Join(t.TempDir(), "store.db"), Now: func() time.Time { return now }}
	if _, err := sqlite.Migrate(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	s, err := sqlite.Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	const records, limit = 9000, 100
	ended, alive := now.Add(-2*time.Hour).UnixMicro(), now.Add(time.Hour).UnixMicro()
	filled := `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) INSERT INTO %s SELECT %s FROM n`
	ends := fmt.Sprintf("iif(i %% %d = 0, %d, %d)", 1000, ended, alive) // nine of each
	for into, values := range map[string]string{
		"uses (kind, key, until)":                                      "'dpop', randomblob(32), " + ends,
		"access_tokens (id, grant_id, expires_at)":                     "randomblob(32), 'grant', " + ends,
		"grants (id, client_id, subject, acr, created_at, expires_at)": "hex(randomblob(16)), 'client', 'subject', '', 1, " + ends,
	} {
		execute(t, config.File, fmt.Sprintf(filled, records, into, values))
	}
	left := func(condition string) (left int) {
		t.Helper()
		for _, column := range []string{"uses WHERE until", "access_tokens WHERE expires_at", "grants WHERE expires_at"} {
			count, err := s.Count(t.Context(), column+condition)
			if err != nil {
				t.Fatal(err)
			}
			left += count
		}
		return left
	}
	if got := left("<= 0"); got != 0 {
		t.Fatalf("%d records", got)
	}
	// Once through the table: a call looks at a thousand records at its beginning and at a thousand after where the last one was.
	for range records/1000 + 1 {
		if _, err := s.Purge(t.Context(), limit); err != nil {
			t.Fatal(err)
		}
	}
	if got := left(fmt.Sprint(" = ", ended)); got != 0 {
		t.Errorf("%d that have ended are left", got)
	}
	if got, want := left(fmt.Sprint(" = ", alive)), 3*(records-records/1000); got != want {
		t.Errorf("%d that have not ended are left, want %d", got, want)
	}
	now = now.Add(4 * time.Hour)
	for calls := 0; ; calls++ {
		removed, err := s.Purge(t.Context(), limit)
		if err != nil {
			t.Fatal(err)
		}
		if removed > 3*limit {
			t.Fatalf("%d of three kinds were removed at once, with a limit of %d", removed, limit)
		}
		if removed == 0 {
			break
		}
		if calls > records/limit {
			t.Fatal("there is no end of it")
		}
	}
	if got := left("> 0"); got != 0 {
		t.Errorf("%d are left when all have ended", got)
	}
}
