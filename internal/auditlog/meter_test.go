package auditlog_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"countersign/internal/audit"
	"countersign/signer"
	"countersign/store"
)

// told is what a meter was told.
type told []string

func (m *told) Appended(kind audit.Kind, event, allowed string) {
	*m = append(*m, fmt.Sprint(kind, " ", event, " ", allowed))
}

func (m *told) Sealed(at time.Time) { *m = append(*m, "sealed "+at.Format(time.TimeOnly)) }

// Covers: NM-06. The meter is told of each entry once, and of each checkpoint; not of evidence that could not be appended.
func TestMeter(t *testing.T) {
	w, m := newWorld(t, signer.UseEvidence), &told{}
	sealer := w.sealer("a")
	sealer.Meter = m
	for _, detail := range []map[string]string{{"event": "consent_decided", "allowed": "true"}, {"event": "signed_in", "subject": "alice"}} {
		body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: detail})
		w.must(err)
		w.must(w.store.Record(t.Context(), store.Evidence{Chain: "a", At: w.Now(), Body: body}))
	}
	w.must(w.store.Record(t.Context(), store.Evidence{Chain: "a", At: w.Now(), Body: json.RawMessage(`{"kind": 7}`)})) // tampered with
	t.Run("accepts what was appended and sealed", func(t *testing.T) {
		w.must(sealer.Seal(t.Context()))
		w.must(sealer.Seal(t.Context()))
		if want := []string{"event consent_decided true", "event signed_in ", "sealed 12:00:00"}; !slices.Equal(*m, want) {
			t.Errorf("told %q, want %q", *m, want)
		}
	})
	t.Run("refuses what another process has appended", func(t *testing.T) {
		*m = nil
		w.signIns("a", "bob")
		other := w.sealer("a")
		w.must(other.Step(t.Context()))
		w.must(sealer.Step(t.Context()))
		if len(*m) != 0 {
			t.Errorf("told %q", *m)
		}
	})
}
