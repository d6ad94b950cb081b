//go:build cgo && !nopkcs11

package main

import (
	"os"
	"strings"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	os.Exit(m.Run())
}

// TestRun has every variant sign, in slices too short to say anything of speed.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), &out, everyAlgorithm(), 1, 10*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"C loop", "in process", "worker", "worker, verified", "crypto11", "beside crypto11: in process", "the worker adds"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing:\n%s", want, out.String())
		}
	}
	if got := strings.Count(out.String(), "not offered"); got != 3 {
		t.Errorf("%d rows are not offered, want crypto11's three of EdDSA:\n%s", got, out.String())
	}
}

func TestGoal(t *testing.T) {
	for _, test := range []struct {
		name    string
		alg     signer.Algorithm
		callers int
		ratio   float64
		want    string
	}{
		{"worker", signer.PS256, 32, 0.92, "0.92 reached"}, {"worker", signer.PS256, 32, 0.91, "0.92 missed"}, {"worker", signer.PS256, 8, 0.1, ""},
		{"in process", signer.EdDSA, 8, 0.94, "0.93 reached"}, {"in process", signer.EdDSA, 1, 0.1, ""}, {"crypto11", signer.ES256, 32, 2, ""},
	} {
		if got := goal(test.name, test.alg, test.callers, test.ratio); got != test.want {
			t.Errorf("%s %s with %d callers at %v: %q, want %q", test.name, test.alg, test.callers, test.ratio, got, test.want)
		}
	}
}
