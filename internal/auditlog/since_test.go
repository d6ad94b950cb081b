package auditlog_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/store"
)

// counted counts the lines that are read.
type counted struct {
	store.Store
	lines int
}

// AuditLines implements [store.Audit].
func (c *counted) AuditLines(ctx context.Context, chain string, after uint64, limit int) ([]store.AuditLine, error) {
	lines, err := c.Store.AuditLines(ctx, chain, after, limit)
	c.lines += len(lines)
	return lines, err
}

// Covers: KX-15. From a checkpoint that was kept elsewhere on, the log is verified without reading what is older.
func TestKX15SinceCheckpoint(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	sealer := w.sealer("a")
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": "signed_in", "subject": "alice"}})
	w.must(err)
	written := func(n int) {
		t.Helper()
		for n > 0 {
			some := make([]store.Evidence, min(n, 500))
			for i := range some {
				some[i] = store.Evidence{Chain: "a", At: w.Now(), Body: body}
			}
			w.must(w.store.Record(t.Context(), some...))
			w.must(sealer.Step(t.Context()))
			n -= len(some)
		}
		w.advance(2 * time.Minute) // a checkpoint is due
		w.must(sealer.Step(t.Context()))
	}
	keys, err := auditlog.Keys(t.Context(), w.store)
	w.must(err)
	verify := func(since map[string]audit.Checkpoint) (audit.Report, int) {
		t.Helper()
		s := &counted{Store: w.store}
		report, _, err := auditlog.Verify(t.Context(), s, audit.Options{Keys: keys, Since: since}, w.Now())
		w.must(err)
		return report, s.lines
	}
	var read []int
	for _, older := range []int{100, 4000} {
		written(older)
		whole, all := verify(nil)
		if len(whole.Findings) > 0 || all < older {
			t.Fatalf("read %d, found %v", all, whole.Findings)
		}
		written(50)
		report, lines := verify(whole.Last)
		if len(report.Findings) > 0 || report.Last["a"].Sequence <= whole.Last["a"].Sequence {
			t.Errorf("found %v, last %v", report.Findings, report.Last)
		}
		read = append(read, lines)
	}
	t.Run("accepts a log of forty times the age by as many lines", func(t *testing.T) {
		if read[0] != read[1] || read[0] > 60 {
			t.Errorf("read %v lines", read)
		}
	})
	whole, _ := verify(nil)
	t.Run("refuses a checkpoint of another entry", func(t *testing.T) {
		other := whole.Last["a"]
		other.Hash = audit.Hash([]byte("another"))
		if report, _ := verify(map[string]audit.Checkpoint{"a": other}); len(report.Findings) == 0 {
			t.Error("nothing is found")
		}
	})
	t.Run("refuses a log that ends before it", func(t *testing.T) {
		later := whole.Last["a"]
		later.Sequence += 1000
		s := &counted{Store: w.store}
		report, _, err := auditlog.Verify(t.Context(), s, audit.Options{Keys: keys, Since: map[string]audit.Checkpoint{"a": later}, Anchors: []audit.Checkpoint{later}}, w.Now())
		if err != nil || len(report.Findings) == 0 || report.Findings[0].Fault != audit.Truncated {
			t.Errorf("found %v, %v", report.Findings, err)
		}
	})
}
