package audit_test

import (
	"testing"

	"countersign/internal/audit"
	"countersign/internal/jose"
)

// FuzzVerify: no log, however damaged, makes the verifier panic, and none verifies without a key.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"node":"a","sequence":1,"previous":"","at":"2026-03-01T12:00:00Z","kind":"request_object","message":{"jws":"x"}}`),
		[]byte(`{"node":"a","sequence":3,"previous":"x","at":"2026-03-01T12:00:00Z","kind":"checkpoint","checkpoint":"a.b.c"}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		report := verify([][]byte{first, second}, audit.Options{Keys: jose.NewKeySet(), Every: 1})
		if len(report.Last) != 0 {
			t.Errorf("a checkpoint was accepted without a key: %+v", report.Last)
		}
		if len(report.Findings) == 0 && report.Entries > 1 && report.Unsealed > 1 && oneNode(first, second) {
			t.Error("two entries of a node without a checkpoint pass where one is due after each")
		}
	})
}

func oneNode(first, second []byte) bool {
	a, errA := audit.ParseEntry(first)
	b, errB := audit.ParseEntry(second)
	return errA == nil && errB == nil && a.Node == b.Node
}
