package why

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"countersign/internal/oauth"
	"countersign/store"
)

// sources are the texts of the server's code, tests aside.
func sources(t *testing.T) string {
	t.Helper()
	var all strings.Builder
	for _, folder := range []string{"fapi", "dpop", "jar", "store", filepath.Join("internal", "jose")} {
		err := filepath.WalkDir(filepath.Join("..", "..", folder), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			all.Write(text)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all.String()
}

// Covers: NM-60. A refusal is explained by its rule where what was said of it tells the rule, and by its code otherwise. Each rule is
// one that the server's code has.
func TestNM60Rules(t *testing.T) {
	code := sources(t)
	for _, rule := range Rules() {
		t.Run("accepts "+rule.ID+" "+rule.Code, func(t *testing.T) {
			for part := range strings.SplitSeq(rule.Says, ": store: ") {
				if !strings.Contains(code, strings.TrimPrefix(part, "the client assertion ")) { // which is put before it
					t.Errorf("nothing says %q any more", part)
				}
			}
			if rule.Title == "" || !strings.Contains(rule.Section, "§") || !strings.HasSuffix(rule.Remedy, ".") {
				t.Errorf("%+v", rule)
			}
			if got := ExplainCause(rule.Code, rule.Code+": "+rule.Says); got != (Explanation{rule.ID, rule.Title, rule.Section, rule.Remedy}) {
				t.Errorf("explained as %+v", got)
			}
		})
	}
	t.Run("accepts a page that lists the rules", func(t *testing.T) {
		page, err := os.ReadFile(filepath.Join("..", "..", "docs", "why.md"))
		if err != nil {
			t.Fatal(err)
		}
		for _, rule := range Rules() {
			if strings.Count(string(page), "`"+rule.ID+"`") != 1 {
				t.Errorf("docs/why.md does not list %s once", rule.ID)
			}
		}
	})
	for name, test := range map[string]struct{ code, cause, rule, section string }{
		"accepts the section that a description names":   {oauth.InvalidRequest, "invalid_request: request and request_uri exclude each other (RFC 9101 §5)", "invalid_request", "RFC 9101 §5"},
		"accepts the cause of an unusable code":          {oauth.InvalidGrant, "invalid_grant: the code is not valid: unknown, expired, used before, revoked, or not this client's: store: already used", "artefact.used", "RFC 6749 §4.1.2, §10.5"},
		"refuses the rule of another code":               {oauth.AccessDenied, "access_denied: the client assertion has expired", oauth.AccessDenied, "RFC 6749 §4.1.2.1"},
		"refuses a section that is no specification's":   {oauth.AccessDenied, "access_denied: x (see RFC 1 §)", oauth.AccessDenied, "RFC 6749 §4.1.2.1"},
		"refuses to guess what is behind an unknown one": {"made_up", "made_up: x", "made_up", "docs/errors.md"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ExplainCause(test.code, test.cause); got.Rule != test.rule || got.Section != test.section || got.Title == "" {
				t.Errorf("%+v", got)
			}
		})
	}
}

// numbered is a store of refusals with IDs from 1, listed from the last.
type numbered struct {
	refusals []store.Refusal
	err      error
	reads    int
}

func (n *numbered) Refusals(_ context.Context, id string) (found []store.Refusal, err error) {
	for _, r := range n.refusals {
		if r.CorrelationID == id {
			found = append(found, r)
		}
	}
	return found, n.err
}

func (n *numbered) ListRefusals(_ context.Context, f store.RefusalFilter) (found []store.Refusal, err error) {
	n.reads++
	for i := len(n.refusals) - 1; i >= 0 && len(found) < f.Limit; i-- {
		r := n.refusals[i]
		r.ID = int64(i + 1)
		if (f.Before == 0 || r.ID < f.Before) && (f.Code == "" || f.Code == r.Code) && (f.ClientID == "" || f.ClientID == r.ClientID) {
			found = append(found, r)
		}
	}
	return found, n.err
}

// Covers: NM-60. The command line and the console look refusals up in one way: by correlation id, and in pages by client and rule, none of
// which looks at more than a part.
func TestNM60Find(t *testing.T) {
	kept := &numbered{}
	for i := range 5000 {
		r := store.Refusal{CorrelationID: fmt.Sprint(i), ClientID: fmt.Sprint("client ", i%2), Code: oauth.InvalidClient, Cause: "invalid_client: other"}
		if i%100 == 0 {
			r.Cause = "invalid_client: the client assertion has expired"
		}
		kept.refusals = append(kept.refusals, r)
	}
	t.Run("accepts a correlation id", func(t *testing.T) {
		found, err := Find(t.Context(), kept, "4900")
		if err != nil || len(found) != 1 || found[0].Rule != "assertion.expired" || found[0].ClientID != "client 0" {
			t.Errorf("%+v, %v", found, err)
		}
	})
	t.Run("refuses one that is not known", func(t *testing.T) {
		if found, err := Find(t.Context(), kept, "5000"); err != nil || len(found) != 0 {
			t.Errorf("%+v, %v", found, err)
		}
	})
	t.Run("accepts pages, each refusal once", func(t *testing.T) {
		for filter, want := range map[Filter]int{
			{}: 5000, {ClientID: "client 1"}: 2500, {Rule: oauth.InvalidClient}: 5000, {Rule: "assertion.expired"}: 50, {Rule: "assertion.expired", ClientID: "client 1"}: 0,
			{Rule: "proof.age"}: 0,
		} {
			seen, last := []string{}, int64(0)
			for before, pages := int64(0), 0; ; pages++ {
				found, next, err := List(t.Context(), kept, filter, before, 30)
				if err != nil || len(found) > 30 || pages > 200 {
					t.Fatalf("%+v: %d, %v", filter, len(found), err)
				}
				for _, one := range found {
					if last != 0 && one.ID >= last {
						t.Fatalf("%d after %d", one.ID, last)
					}
					seen, last = append(seen, one.CorrelationID), one.ID
				}
				if before = next; next == 0 {
					break
				}
			}
			slices.Sort(seen)
			if seen = slices.Compact(seen); len(seen) != want {
				t.Errorf("%+v: %d, want %d", filter, len(seen), want)
			}
		}
	})
	t.Run("refuses to look at all of it for one page", func(t *testing.T) {
		kept.reads = 0
		found, next, err := List(t.Context(), kept, Filter{Rule: "proof.age", ClientID: ""}, 0, 30)
		if err != nil || len(found) != 0 || next != 0 || kept.reads != 1 { // no refusal has its code
			t.Errorf("%d reads, %d, %v", kept.reads, next, err)
		}
		kept.reads = 0
		if _, next, _ = List(t.Context(), kept, Filter{Rule: "assertion.replayed"}, 0, 30); next == 0 || kept.reads != readMost/readAtOnce {
			t.Errorf("%d reads, %d", kept.reads, next)
		}
	})
	t.Run("refuses when the store does", func(t *testing.T) {
		away := &numbered{err: store.ErrUnavailable}
		_, findErr := Find(t.Context(), away, "x")
		_, _, listErr := List(t.Context(), away, Filter{}, 0, 1)
		if !errors.Is(findErr, store.ErrUnavailable) || !errors.Is(listErr, store.ErrUnavailable) {
			t.Errorf("%v, %v", findErr, listErr)
		}
	})
}
