//go:build cgo && !nopkcs11

package pkcs11_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// recoveryRounds is how often each kind of outage is repaired. The outages last for 0, 100, 200 ms and so on.
const recoveryRounds = 24

// outage is something that ends well: away breaks the HSM and back mends it.
type outage struct{ away, back func(b *testing.B) }

// BenchmarkRecovery measures, under load, the time from the moment when the module is well again to the first good
// signature of a call that began after it: p50, p99 and the longest, in milliseconds. It is for
//
//	go test -run '^$' -bench Recovery ./signer/pkcs11
//
// What the signatures are worth is tested elsewhere; a wrong one fails here too.
func BenchmarkRecovery(b *testing.B) {
	library := buildFaulty(b)
	for _, kind := range []string{
		"worker killed", "token away", "C_Sign flip", "C_Sign 0x30", "C_Sign 0xb3", "C_Sign segv", "C_Sign hang",
		"C_Login 0x30", "C_Initialize segv", "C_Initialize hang",
	} {
		b.Run(kind, func(b *testing.B) {
			folder := b.TempDir()
			m := newFaulty(b, library, newToken(b, folder))
			backend := open(b, m.config)
			key := pinned(b, generate(b, backend, signer.ES256), backend)
			o := outageOf(kind, folder, m, backend)
			var took []time.Duration
			for b.Loop() {
				for round := range recoveryRounds {
					took = append(took, timeRecovery(b, key, o, time.Duration(round)*100*time.Millisecond))
				}
			}
			reportTimes(b, took)
		})
	}
}

// outageOf gives what breaks and mends the HSM.
func outageOf(kind, folder string, m *faultyModule, backend *pkcs11.Backend) outage {
	here, elsewhere := filepath.Join(folder, "tokens"), filepath.Join(folder, "away")
	switch kind {
	case "worker killed":
		return outage{away: func(*testing.B) {}, back: func(b *testing.B) { killWorker(b, backend) }}
	case "token away":
		return outage{
			away: func(b *testing.B) {
				must(b, os.Rename(here, elsewhere))
				must(b, os.Mkdir(here, 0o700))
			},
			back: func(b *testing.B) {
				must(b, os.RemoveAll(here)) // SoftHSM2 may have left something in it
				must(b, os.Rename(elsewhere, here))
			},
		}
	}
	return outage{
		away: func(b *testing.B) {
			m.fails(kind)
			if !strings.HasPrefix(kind, "C_Sign ") {
				killWorker(b, backend) // what goes wrong at the start shows at the next one
			}
		},
		back: func(*testing.B) { m.fails("") },
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// timeRecovery breaks the HSM for a time under load and tells how long it took to sign after it was mended.
func timeRecovery(b *testing.B, key signer.Key, o outage, lasts time.Duration) time.Duration {
	var mended, first atomic.Int64 // moments, in nanoseconds since began
	began := time.Now()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for first.Load() == 0 && time.Since(began) < time.Minute {
				asked := int64(time.Since(began))
				if signOnce(b, key, "m") != nil {
					time.Sleep(5 * time.Millisecond) // a caller comes again
					continue
				}
				if at := mended.Load(); at > 0 && asked >= at {
					first.CompareAndSwap(0, int64(time.Since(began)))
				}
			}
		})
	}
	o.away(b)
	time.Sleep(lasts)
	o.back(b)
	mended.Store(int64(time.Since(began)))
	wait.Wait()
	if first.Load() == 0 {
		b.Fatal("a minute after the module was mended nothing was signed")
	}
	return time.Duration(first.Load() - mended.Load())
}

// reportTimes reports quantiles in milliseconds in place of the time for a run.
func reportTimes(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	quantile := func(q float64) float64 {
		return float64(took[min(int(q*float64(len(took))), len(took)-1)]) / float64(time.Millisecond)
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(quantile(0.5), "p50-ms")
	b.ReportMetric(quantile(0.99), "p99-ms")
	b.ReportMetric(float64(len(took)), "rounds")
}
