package sqlite_test

import (
	"context"
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/sqlite"
	"countersign/store/storetest"
)

// TestContract runs the contract of every backend, and then looks how SQLite does each of its statements: none may read a whole
// table that grows with what the server does. The exceptions are named, with why they are bounded.
func TestContract(t *testing.T) {
	seen := map[string]bool{}
	storetest.Run(t, func(t *testing.T, now func() time.Time) store.Store {
		s, ok := backend.New(t, now).(*sqlite.Store)
		if !ok {
			t.Fatal("not a store of this package")
		}
		t.Cleanup(func() {
			for _, statement := range s.Statements(context.Background()) {
				seen[statement] = true
			}
		})
		return s
	})
	// Some of the contract's tests alone do not do everything.
	whole := !strings.Contains(flag.Lookup("test.run").Value.String(), "/")
	if whole && len(seen) < 100 {
		t.Fatalf("only %d statements were seen", len(seen))
	}
	s := open(t)
	may, used := mayRead(), map[string]bool{}
	for query := range seen {
		if strings.HasPrefix(query, "PRAGMA") || slices.Contains([]string{"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"}, query) || strings.Contains(query, "verb") {
			continue
		}
		plan, err := s.Plan(t.Context(), query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
		}
		for _, line := range plan {
			if !strings.HasPrefix(line, "SCAN ") && !strings.HasPrefix(line, "MATERIALIZE ") && !strings.Contains(line, "AUTOMATIC") {
				continue
			}
			found := line + " in " + strings.Join(strings.Fields(query), " ")
			allowed := slices.IndexFunc(may, func(prefix string) bool { return strings.HasPrefix(found, prefix) })
			if allowed < 0 {
				t.Errorf("%s\n\tplan: %q", found, plan)
				continue
			}
			used[may[allowed]] = true
		}
	}
	for _, prefix := range may {
		if whole && !used[prefix] {
			t.Errorf("nothing does %q any more", prefix)
		}
	}
}

// mayRead is what may read a whole table.
func mayRead() []string {
	may := []string{
		"SCAN CONSTANT ROW in ",         // no table
		"SCAN json_each VIRTUAL TABLE ", // the argument
		// Few by their nature, and listed as a whole.
		"SCAN keys in ",
		"SCAN clients USING INDEX sqlite_autoindex_clients_1 in ",
		"SCAN users USING INDEX sqlite_autoindex_users_2 in ",
		"SCAN initial_tokens in DELETE ",
		"SCAN initial_tokens USING INDEX sqlite_autoindex_initial_tokens_2 in ",
		"SCAN chains in WITH RECURSIVE ",
		"SCAN (subquery-1) in SELECT count(*), min(",                                                    // no more than store.MostBacklog, by an index
		"SCAN refusals in DELETE FROM refusals WHERE id IN (SELECT id FROM refusals ORDER BY id LIMIT ", // the first ones, by their key
		// What one user gave, found by an index.
		"SCAN given in ",
		"SCAN one in ",
		// In the order of an index, and no further than the limit.
		"SCAN g USING INDEX grants_by_date in ",
		"SCAN g USING INDEX consents_by_date in ",
		// Within what a sweep has just found to be few.
		"SCAN codes in SELECT id FROM codes WHERE expires_at <= ? ORDER BY id LIMIT 1 OFFSET ?",
		"SCAN interactions in SELECT id FROM interactions WHERE expires_at <= ? ORDER BY id LIMIT 1 OFFSET ?",
		"SCAN requests in SELECT rowid FROM requests WHERE purge_at <= ? ORDER BY rowid LIMIT 1 OFFSET ?",
		"SCAN codes in UPDATE grants SET expires_at = min(expires_at, ?) WHERE id IN (SELECT grant_id FROM codes WHERE spent_at IS NULL AND expires_at <= ?",
		// What waits for its chain is taken every few seconds.
		"SCAN audit_waiting in ",
	}
	// A sweep reads as many records as it may, and a whole table only when it has no more.
	for _, swept := range sqlite.Swept() {
		table, key, ends := swept[0], swept[1], swept[2]
		may = append(may, fmt.Sprintf("SCAN %s in SELECT %s FROM %s WHERE true ORDER BY %s LIMIT 1 OFFSET ?", table, key, table, key),
			fmt.Sprintf("SCAN %s in SELECT count(*) FROM %s WHERE %s <= ?", table, table, ends),
			fmt.Sprintf("SCAN %s in DELETE FROM %s WHERE %s <= ?", table, table, ends))
	}
	return may
}
