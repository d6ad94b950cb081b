package auditlog_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/store"
)

// signIns records a sign-in of each subject; an empty one is a failed sign-in of somebody unknown.
func (w *world) signIns(chain string, subjects ...string) {
	w.t.Helper()
	for i, subject := range subjects {
		detail := map[string]string{"event": "signed_in", "address": fmt.Sprint("192.0.2.", i), "number": fmt.Sprint(i)}
		if subject != "" {
			detail["subject"] = subject
		}
		body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: detail})
		w.must(err)
		w.must(w.store.Record(w.t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
	}
}

// text is the whole log as it is exported, and what the store has of it.
func (w *world) text() (exported, kept string) {
	w.t.Helper()
	w.must(auditlog.Each(w.t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
		exported += string(auditlog.Shown(line)) + "\n"
		kept += line.Text + line.Personal + "\n"
		return nil
	}))
	return exported, kept
}

func (w *world) erase(what auditlog.Erasure, dry bool) (erased, pending int) {
	w.t.Helper()
	what.By = "operator@test"
	erased, pending, err := auditlog.Erase(w.t.Context(), w.store, what, w.Now(), dry)
	w.must(err)
	return erased, pending
}

// wantFindings verifies the log, which has so many entries without what was about a person.
func (w *world) wantFindings(t *testing.T, erased int, findings ...string) {
	t.Helper()
	report, _, err := auditlog.Verify(t.Context(), w.store, w.options(), w.Now())
	w.must(err)
	var got []string
	for _, finding := range report.Findings {
		got = append(got, finding.String())
	}
	if report.Erased != erased || len(got) != len(findings) {
		t.Fatalf("%d erased, want %d; found %q", report.Erased, erased, got)
	}
	for i, finding := range findings {
		if !strings.Contains(got[i], finding) {
			t.Errorf("found %q, want %q", got[i], finding)
		}
	}
}

// Covers: KA-08, KA-09. What the log has about one person is erased, and nothing else; verify proves the rest, before and after what
// says so is in a chain, and in a file.
func TestEraseOfOnePerson(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.signIns("a", "alice", "bob", "", "alice")
	w.signIns("b", "alice")
	w.must(w.sealer("a").Seal(t.Context()))
	w.must(w.sealer("b").Seal(t.Context()))
	of := auditlog.Erasure{Subject: "alice"}
	before, _ := w.text()
	t.Run("accepts a dry run, which changes nothing", func(t *testing.T) {
		if erased, _ := w.erase(of, true); erased != 3 {
			t.Errorf("would erase %d", erased)
		}
		if after, _ := w.text(); after != before {
			t.Error("it is another log")
		}
	})
	t.Run("accepts the erasure", func(t *testing.T) {
		if erased, pending := w.erase(of, false); erased != 3 || pending != 0 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
		exported, kept := w.text()
		if strings.Contains(kept, "alice") || strings.Contains(kept, "192.0.2.3") || !strings.Contains(exported, `"subject":"bob"`) || !strings.Contains(exported, "192.0.2.2") {
			t.Errorf("left is %s", exported)
		}
		if again, _ := w.erase(of, false); again != 0 {
			t.Errorf("erased %d again", again)
		}
		w.wantFindings(t, 3) // what says so waits
	})
	t.Run("accepts it when the log says so", func(t *testing.T) {
		w.must(w.sealer("b").Seal(t.Context()))
		w.wantFindings(t, 3)
		exported, _ := w.text()
		if !strings.Contains(exported, `"entries":"1 4","event":"audit_erased","node":"a"`) || strings.Contains(exported, "alice") {
			t.Errorf("the log says %s", exported)
		}
		file, _ := w.exported("whole", time.Time{})
		report, err := auditlog.VerifyFiles([]string{file}, w.options())
		if err != nil || len(report.Findings) != 0 || report.Erased != 3 {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("accepts to drop a file whose entries were erased", func(t *testing.T) {
		w.advance(time.Hour)
		file, ends := w.exported("old", w.Now().Add(-time.Minute))
		if _, err := auditlog.Drop(t.Context(), w.store, file, ends, "operator@test", w.Now()); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses what somebody took away", func(t *testing.T) {
		w.signIns("c", "carol", "dave") // after two entries of the drop
		w.must(w.sealer("c").Seal(t.Context()))
		db, err := sql.Open("sqlite3", w.file)
		w.must(err)
		defer db.Close()
		_, err = db.Exec("UPDATE audit_log SET personal = NULL WHERE chain = 'c' AND personal LIKE '%carol%'")
		w.must(err)
		w.wantFindings(t, 0, `node "c", entry 3: incomplete: what it had about a person is missing`)
		_, err = db.Exec("UPDATE audit_log SET personal = replace(personal, 'dave', 'mall') WHERE chain = 'c'")
		w.must(err)
		w.wantFindings(t, 0, `node "c", entry 4: changed: what it has about a person is not what was written`, `node "c", entry 3: incomplete`)
	})
}

// Covers: KA-08. What is not in a chain yet is not erased, and is said; more than one transaction is erased whole.
func TestEraseOfMany(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	many := make([]string, 1203)
	for i := range many {
		many[i] = "alice"
	}
	w.signIns("a", many...)
	w.must(w.sealer("a").Seal(t.Context()))
	w.signIns("a", "alice", "bob")
	t.Run("accepts all of them, and says what waits", func(t *testing.T) {
		if erased, pending := w.erase(auditlog.Erasure{Subject: "alice"}, false); erased != 1203 || pending != 1 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
		w.wantFindings(t, 1203)
		w.must(w.sealer("a").Seal(t.Context()))
		if erased, pending := w.erase(auditlog.Erasure{Subject: "alice"}, false); erased != 1 || pending != 0 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
		w.must(w.sealer("a").Seal(t.Context()))
		w.wantFindings(t, 1204)
	})
	t.Run("accepts all before a day", func(t *testing.T) {
		w.advance(48 * time.Hour)
		w.signIns("a", "erin")
		w.must(w.sealer("a").Seal(t.Context()))
		if erased, _ := w.erase(auditlog.Erasure{Before: w.Now().Add(-24 * time.Hour)}, false); erased != 1 { // bob
			t.Errorf("erased %d", erased)
		}
		if _, kept := w.text(); strings.Contains(kept, `"subject":"bob"`) || !strings.Contains(kept, `"subject":"erin"`) {
			t.Error("erased another")
		}
		w.wantFindings(t, 1205)
	})
}

// TestExportedPersonalPart: a line of a file is one JSON object with all of it, and changing it is found.
func TestExportedPersonalPart(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	w.signIns("a", "alice")
	w.must(w.sealer("a").Seal(t.Context()))
	file, _ := w.exported("whole", time.Time{})
	raw, err := os.ReadFile(file)
	w.must(err)
	var entry struct {
		Personal map[string]string `json:"personal"`
	}
	first, _, _ := bytes.Cut(raw, []byte("\n"))
	if err := json.Unmarshal(first, &entry); err != nil || entry.Personal["subject"] != "alice" || entry.Personal["address"] != "192.0.2.0" {
		t.Errorf("%s, %v", first, err)
	}
	changed := filepath.Join(t.TempDir(), "changed")
	w.must(os.WriteFile(changed, bytes.Replace(raw, []byte("alice"), []byte("mally"), 1), 0o600))
	report, err := auditlog.VerifyFiles([]string{changed}, w.options())
	if err != nil || len(report.Findings) != 1 || report.Findings[0].Fault != audit.Changed {
		t.Errorf("%+v, %v", report, err)
	}
}
