package auditlog_test

import (
	"encoding/json"
	"testing"

	"countersign/internal/audit"
	"countersign/signer"
	"countersign/store"
)

// BenchmarkEvidence is the whole way of an event: it is stored in its transaction, and appended to the chain.
func BenchmarkEvidence(b *testing.B) {
	w := newWorld(b, signer.UseEvidence)
	body, err := json.Marshal(audit.Event{
		Kind: audit.SecurityEvent, ClientID: "client", CorrelationID: "6f1c1f60-8d2f-4a49-9a43-0c7f1d9a3f55",
		Detail: map[string]string{
			"event": "grant_refreshed", "subject": "7KQ2ABCDEFGHIJKLMNOPQRSTUV", "address": "192.0.2.7", "scope": "openid accounts payments",
			"grant": "0193a1f6-7a2c-7000-8000-0c7f1d9a3f55",
		},
	})
	w.must(err)
	sealer, of64 := w.sealer("a"), make([]store.Evidence, 64)
	for i := range of64 {
		of64[i] = store.Evidence{Chain: "a", At: w.Now(), Body: body}
	}
	b.ReportAllocs()
	for b.Loop() {
		w.must(w.store.Record(b.Context(), of64...))
		w.must(sealer.Step(b.Context()))
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N*len(of64)), "µs/event")
}
