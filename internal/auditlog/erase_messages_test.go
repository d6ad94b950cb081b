package auditlog_test

import (
	"database/sql"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// signed records a message that a key has signed, of which nobody knows whom it is about, and returns its name in the log.
func (w *world) signed(chain, subject string, claims map[string]any) (reference string) {
	w.t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	w.must(err)
	compact, err := jose.Sign(w.t.Context(), key.SigningKey(), "oauth-authz-req+jwt", claims)
	w.must(err)
	message, err := audit.NewMessage(compact)
	w.must(err)
	reference = audit.ReferenceOf(compact)
	body, err := json.Marshal(audit.Event{
		Kind: audit.RequestObject, ClientID: "client-1", Key: key.Key().Thumbprint(), JWK: key.PublicJWK(), Message: message, Subject: subject, Reference: reference,
	})
	w.must(err)
	w.must(w.store.Record(w.t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
	return reference
}

// decides records that a subject took up a message.
func (w *world) decides(chain, subject, reference string) {
	w.t.Helper()
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "consent_decided", "subject": subject, "message": reference}})
	w.must(err)
	w.must(w.store.Record(w.t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
}

// Covers: KY-20, KY-21, KY-22. A signed message is beside its line, proves itself there, and goes with the user whose it is: the one whom it
// is about, or who took it up. The chain stays, and says of what is gone that it was erased.
func TestKY20EraseMessages(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	taken := w.signed("a", "", map[string]any{"login_hint": "alice@bank.example", "creditor": "Doctor Example"})
	w.signed("a", "alice", map[string]any{"sub": "pairwise of alice"})
	other := w.signed("a", "", map[string]any{"login_hint": "bob@bank.example"})
	w.signed("a", "", map[string]any{"login_hint": "nobody@bank.example"})
	w.decides("b", "alice", taken)
	w.decides("b", "bob", other)
	w.must(w.sealer("a").Seal(t.Context()))
	w.must(w.sealer("b").Seal(t.Context()))
	t.Run("accepts them beside their lines, where they prove themselves", func(t *testing.T) {
		w.wantFindings(t, 0)
		found := 0
		w.must(auditlog.Each(t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
			if strings.Contains(line.Text, `"jws"`) {
				t.Errorf("in the chain: %s", line.Text)
			}
			entry, err := audit.ParseEntry(auditlog.Shown(line))
			if err == nil && entry.Kind == audit.RequestObject && entry.Message.JWS != "" && !entry.Erased() {
				found++
			}
			return err
		}))
		if found != 4 {
			t.Errorf("%d messages", found)
		}
	})
	t.Run("accepts to erase those of one user: by whom they are about, and by who took them up", func(t *testing.T) {
		of := auditlog.Erasure{Subject: "alice"}
		if would, _ := w.erase(of, true); would != 3 {
			t.Errorf("would erase %d", would)
		}
		if erased, pending := w.erase(of, false); erased != 3 || pending != 0 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
		w.wantFindings(t, 3)
		w.must(w.sealer("a").Seal(t.Context()))
		w.must(w.sealer("b").Seal(t.Context()))
		w.wantFindings(t, 3)
		gone, left := 0, 0
		w.must(auditlog.Each(t.Context(), w.store, auditlog.Position{}, func(line store.AuditLine) error {
			entry, err := audit.ParseEntry(auditlog.Shown(line))
			switch {
			case err != nil || entry.Kind != audit.RequestObject:
			case entry.Erased():
				if gone++; !entry.Message.Apart || entry.ClientID != "client-1" || entry.Key == "" {
					t.Errorf("left is %s", line.Text)
				}
			default:
				left++
			}
			return err
		}))
		if gone != 2 || left != 2 {
			t.Errorf("%d gone, %d left", gone, left)
		}
		file, _ := w.exported("whole", time.Time{})
		report, err := auditlog.VerifyFiles([]string{file}, w.options())
		if err != nil || len(report.Findings) != 0 || report.Erased != 3 {
			t.Errorf("%+v, %v", report, err)
		}
	})
	t.Run("accepts to erase all by age, also those that nobody took up", func(t *testing.T) {
		w.advance(time.Hour)
		if erased, _ := w.erase(auditlog.Erasure{Before: w.Now()}, false); erased != 3 {
			t.Errorf("erased %d", erased)
		}
		w.must(w.sealer("a").Seal(t.Context()))
		w.wantFindings(t, 6)
		if exported, _ := w.text(); strings.Contains(exported, `"jws"`) {
			t.Errorf("left is %s", exported)
		}
	})
	t.Run("refuses to call erased what somebody took away, and to take another message for one", func(t *testing.T) {
		w.signed("c", "carol", map[string]any{"sub": "carol"})
		w.signed("c", "dave", map[string]any{"sub": "dave"})
		w.must(w.sealer("c").Seal(t.Context()))
		db, err := sql.Open("sqlite3", w.file)
		w.must(err)
		defer db.Close()
		_, err = db.Exec(`UPDATE audit_log SET personal = (SELECT personal FROM audit_log WHERE chain = 'c' AND personal LIKE '%dave%') WHERE chain = 'c' AND personal LIKE '%carol%'`)
		w.must(err)
		w.wantFindings(t, 6, "unproven", "changed")
		_, err = db.Exec(`UPDATE audit_log SET personal = NULL WHERE chain = 'c'`)
		w.must(err)
		w.wantFindings(t, 6, "incomplete", "incomplete")
	})
	t.Run("accepts what older releases wrote into the chain", func(t *testing.T) {
		older := newWorld(t, signer.UseEvidence)
		older.wantFindings(t, 0)
		entry, err := audit.ParseEntry([]byte(`{"node":"a","sequence":1,"previous":"","at":"2026-01-01T00:00:00Z","kind":"request_object","message":{"jws":"a.b.c"}}`))
		if err != nil || entry.Message.JWS != "a.b.c" || entry.Erased() {
			t.Errorf("%+v, %v", entry, err)
		}
	})
	t.Run("refuses an entry whose message is apart twice, or not there", func(t *testing.T) {
		for _, personal := range []string{`{"salt":"x"}`, `{"salt":"x","message":{"apart":true}}`, `{"salt":"x","message":{}}`} {
			line := `{"node":"a","sequence":1,"previous":"","at":"2026-01-01T00:00:00Z","kind":"request_object","message":{"apart":true},"personal_sha-256":"x","personal":` + personal + `}`
			if entry, err := audit.ParseEntry([]byte(line)); err == nil {
				t.Errorf("%s: %+v", personal, entry)
			}
		}
	})
}

// Covers: KY-23. What is not in a chain yet is said, messages too.
func TestKY23PendingMessages(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	taken := w.signed("a", "", map[string]any{"login_hint": "alice"})
	w.decides("a", "alice", taken)
	w.signed("a", "bob", map[string]any{"sub": "bob"})
	t.Run("refuses to call them erased", func(t *testing.T) {
		if erased, pending := w.erase(auditlog.Erasure{Subject: "alice"}, false); erased != 0 || pending != 2 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
	})
	t.Run("accepts it when they are in a chain", func(t *testing.T) {
		w.must(w.sealer("a").Seal(t.Context()))
		if erased, pending := w.erase(auditlog.Erasure{Subject: "alice"}, false); erased != 2 || pending != 0 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
	})
}
