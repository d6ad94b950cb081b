//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/signer"
)

// TestOneFaultyReplica has eight callers sign with two replicas while one of them does wrong in every way there is: no
// signature fails, and none that leaves is wrong.
func TestOneFaultyReplica(t *testing.T) {
	library := buildFaulty(t)
	faults := moduleFaults()
	faults["flips a bit now and then"] = moduleFault{fault: "C_Sign flip 7"}
	faults["reports an error now and then"] = moduleFault{fault: "C_Sign 0x30 7"}
	faults["crashes now and then"] = moduleFault{fault: "C_Sign segv 50"}
	faults["is slow once"] = moduleFault{fault: "C_Sign slow once"}
	for name, test := range faults {
		t.Run(name, func(t *testing.T) {
			// A token of its own: a worker that reads one while another process logs in may find it without a label.
			token := newToken(t, t.TempDir())
			bad, good := newFaulty(t, library, token), newFaulty(t, library, token)
			one := open(t, bad.config)
			record := generate(t, one, signer.ES256)
			other := open(t, good.config) // it reads the token when the key is there
			key := pinned(t, record, one, other)
			var stop atomic.Bool
			var signed, whileFaulty atomic.Int64
			var wait sync.WaitGroup
			for caller := range 8 {
				wait.Go(func() {
					for i := 0; !stop.Load(); i++ {
						if err := signOnce(t, key, fmt.Sprintf("caller %d, message %d", caller, i)); err != nil {
							t.Error(err)
						}
						signed.Add(1)
					}
				})
			}
			until(t, "both sign", func() bool { return signed.Load() > 50 })
			bad.fails(test.fault)
			if test.atStart {
				killWorker(t, one)
			}
			before := signed.Load()
			until(t, "one does wrong", func() bool { return bad.faults() > 0 })
			until(t, "the other goes on", func() bool { return signed.Load() > before+1000 })
			whileFaulty.Store(signed.Load() - before)
			bad.fails("")
			after := signed.Load()
			until(t, "both go on", func() bool { return signed.Load() > after+50 })
			stop.Store(true)
			wait.Wait()
			t.Logf("%d signatures, %d of them with %d faults", signed.Load(), whileFaulty.Load(), bad.faults())
		})
	}
}

// until waits for something that others do, and fails the test when they do not.
func until(t testing.TB, what string, happened func() bool) {
	t.Helper()
	for began := time.Now(); !happened(); time.Sleep(time.Millisecond) {
		if time.Since(began) > 20*time.Second {
			t.Fatalf("20 s, and never: %s", what)
		}
	}
}
