//go:build cgo && !nopkcs11 && hsm

package pkcs11_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"text/tabwriter"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11"
)

// How BenchmarkModules measures: so many rounds of slices in turns, by as many callers as keep eight sessions busy.
const (
	speedRounds  = 9
	speedSlice   = 150 * time.Millisecond
	speedCallers = 16
)

// BenchmarkModules measures which token makes how many signatures of which algorithm, through the worker and verified, as
// a server pays for them: each module and algorithm beside SoftHSM2 with ES256, PS256 and EdDSA of the same round. It
// prints a table of signatures a second and the ratio to SoftHSM2 with the same algorithm.
func BenchmarkModules(b *testing.B) {
	var all []*contestant
	for _, c := range []candidate{softHSM(), behindP11Kit(), kryoptic(), openCryptoki(), nss(), tpm()} {
		config, _ := c.install(b)
		config.Sessions = 8
		backend := open(b, config)
		for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA} {
			if slices.Contains(c.Has, alg) {
				all = append(all, &contestant{module: c.Name, alg: alg, backend: backend, key: generate(b, backend, alg)})
			}
		}
	}
	for b.Loop() {
		for round := range speedRounds {
			order := slices.Concat(all[round%len(all):], all[:round%len(all)])
			if round%2 == 1 {
				slices.Reverse(order) // nobody always comes after the same neighbour
			}
			for _, c := range order {
				c.sign(b)
			}
		}
	}
	printSpeeds(b, all)
}

// contestant is one module with one algorithm.
type contestant struct {
	module  string
	alg     signer.Algorithm
	backend *pkcs11.Backend
	key     signer.Record
	rates   []float64
}

// sign signs for one slice and keeps the rate.
func (c *contestant) sign(b *testing.B) {
	var made atomic.Int64
	var callers sync.WaitGroup
	began := time.Now()
	for range speedCallers {
		callers.Go(func() {
			for time.Since(began) < speedSlice {
				_, err := signer.Sign(b.Context(), c.backend, c.key, []byte("the signing input of a token"))
				if errors.Is(err, signer.ErrOverloaded) { // a slow token: these callers are more than it needs to be busy
					time.Sleep(speedSlice / 10)
					continue
				}
				if err != nil {
					b.Errorf("%s, %s: %v", c.module, c.alg, err)
					return
				}
				made.Add(1)
			}
		})
	}
	callers.Wait()
	c.rates = append(c.rates, float64(made.Load())/time.Since(began).Seconds())
}

func printSpeeds(b *testing.B, all []*contestant) {
	var text strings.Builder
	table := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	fmt.Fprintf(table, "module\talg\tsignatures/s with %d callers\tto SoftHSM2\n", speedCallers)
	for _, c := range all {
		first := all[slices.IndexFunc(all, func(o *contestant) bool { return o.alg == c.alg })] // SoftHSM2 has all
		var ratios []float64
		for i := range c.rates {
			ratios = append(ratios, c.rates[i]/first.rates[i])
		}
		fmt.Fprintf(table, "%s\t%s\t%.0f\t%.2f\n", c.module, c.alg, middle(c.rates), middle(ratios))
	}
	if err := table.Flush(); err != nil {
		b.Fatal(err)
	}
	fmt.Fprintln(os.Stdout, text.String())
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}
