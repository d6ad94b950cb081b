package consents_test

import (
	"encoding/json"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/random"
	"countersign/store"
)

// Covers: KA-15. What is signed at a consent API is erased with the user who decided about the consent, on both stores, and the chain holds.
func TestKA15ErasedWithTheUser(t *testing.T) {
	t.Parallel()
	for name, open := range map[string]func(t *testing.T) *fapitest.World{
		"SQLite": func(t *testing.T) *fapitest.World { return newWorld(t, fapitest.WithAuditChain) },
		"PostgreSQL": func(t *testing.T) *fapitest.World {
			w, _ := fapitest.NewPostgresWorld(t, nil, offer, fapitest.WithAuditChain)
			return w
		},
	} {
		w := open(t)
		pay := register(t, w, "pay", ofBrazil, "openid payments")
		create := func() string {
			t.Helper()
			r := pay.call("POST", payments, pay.message(payments, payBody, nil), keyed(random.UUID()))
			if r.Status != 201 {
				t.Fatalf("%d %s", r.Status, r.Raw)
			}
			said := fapitest.UnverifiedClaims(t, r.Raw)
			data, _ := said["data"].(map[string]any)
			id, _ := data["consentId"].(string)
			if id == "" {
				t.Fatalf("created is %v", said)
			}
			return id
		}
		decided := func(event, subject, id string) {
			t.Helper()
			body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": event, "subject": subject, "consent": id}})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Store.Record(t.Context(), store.Evidence{Chain: w.Config.AuditChain, At: w.Clock.Now(), Body: body}); err != nil {
				t.Fatal(err)
			}
		}
		messages := func() (left int) {
			t.Helper()
			if err := w.Sealer(t).Seal(t.Context()); err != nil {
				t.Fatal(err)
			}
			report, all := w.Audited(t)
			if len(report.Findings) != 0 {
				t.Fatalf("found %v", report.Findings)
			}
			for text := range strings.Lines(all) {
				entry, err := audit.ParseEntry([]byte(strings.TrimSpace(text)))
				if err != nil {
					t.Fatal(err)
				}
				if entry.Message != nil && !entry.Erased() {
					left++
				}
			}
			return left
		}
		erase := func(subject string) {
			t.Helper()
			if _, _, err := auditlog.Erase(t.Context(), w.Store, auditlog.Erasure{Subject: subject, By: "test"}, w.Clock.Now(), false); err != nil {
				t.Fatal(err)
			}
		}
		mine, others := create(), create()
		if read := pay.call("GET", below(payments, mine), "", nil); read.Status != 200 {
			t.Fatalf("%d %s", read.Status, read.Raw)
		}
		decided("consent_authorised", "sub-alice", mine)
		decided("consent_of_another_user", "sub-alice", others)
		decided("consent_rejected", "sub-bob", others)
		before := messages()
		t.Run("accepts the request, its answer and what was read, "+name, func(t *testing.T) {
			if before != 5 {
				t.Fatalf("%d messages", before)
			}
			erase("sub-alice")
			if left := messages(); left != 2 {
				t.Errorf("%d messages are left of %d", left, before)
			}
		})
		t.Run("refuses to erase those of nobody that is there, "+name, func(t *testing.T) {
			erase("sub-carol")
			if left := messages(); left != 2 {
				t.Errorf("%d messages are left", left)
			}
		})
	}
}
