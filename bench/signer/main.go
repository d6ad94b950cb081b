//go:build cgo && !nopkcs11

// Command signer measures the signing path against a loop in C that does nothing but C_SignInit and C_Sign, on one
// SoftHSM2 token. The variants take turns in short slices of one run, so that all meet the same machine; what counts is
// the median, over the rounds, of the ratio to the loop of the same round.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	rounds := flag.Int("rounds", 9, "how often each variant is measured")
	slice := flag.Duration("slice", 150*time.Millisecond, "how long one measurement takes")
	only := flag.String("only", "", "one algorithm instead of all")
	flag.Parse()
	algorithms := everyAlgorithm()
	if *only != "" {
		algorithms = []signer.Algorithm{signer.Algorithm(*only)}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	if err := run(ctx, os.Stdout, algorithms, *rounds, *slice); err != nil {
		fmt.Fprintln(os.Stderr, "bench/signer:", err)
		os.Exit(1)
	}
}

func everyAlgorithm() []signer.Algorithm {
	return []signer.Algorithm{signer.PS256, signer.ES256, signer.EdDSA}
}

// variant makes signatures with some number of callers for some time, and tells how many a second.
type variant struct {
	name    string
	measure func(alg signer.Algorithm, callers int, slice time.Duration) (rate float64, err error)
	// processes are those that the variant uses.
	processes func() []int
}

// figures are what one slice of a variant gave: signatures a second, and a second of processor time.
type figures struct{ rate, perCPU float64 }

const (
	yardstick = "C loop"
	// verified is what a token costs: each signature is verified with the published key before it leaves.
	verified = "worker, verified"
)

func run(ctx context.Context, out io.Writer, algorithms []signer.Algorithm, rounds int, slice time.Duration) error {
	folder, err := os.MkdirTemp("", "countersign-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	token, err := softhsm.Create(ctx, folder, "bench", pkcs11.InitialiseToken)
	if err != nil {
		return err
	}
	config := pkcs11.Config{Module: token.Module, Token: token.URI, PINFile: token.PINFile, Environment: token.Environment, Sessions: 8}
	worker, err := pkcs11.Open(ctx, config)
	if err != nil {
		return err
	}
	defer worker.Close()
	keys := map[signer.Algorithm]signer.Record{}
	for _, alg := range everyAlgorithm() {
		if keys[alg], err = worker.Generate(ctx, alg); err != nil {
			return err
		}
	}
	loop, err := startLoop(ctx, folder, token, keys)
	if err != nil {
		return err
	}
	// As many sessions as callers, as crypto11 takes: threads that wait for a session wake each other for nothing.
	config.Sessions = 32
	within, err := pkcs11.OpenInProcess(config)
	if err != nil {
		return err
	}
	baseline, err := openBaseline(folder, token, keys)
	if err != nil {
		return err
	}
	own := os.Getpid()
	variants := []variant{
		{yardstick, loop.measure, func() []int { return []int{loop.pid} }},
		{"in process", signing(func(alg signer.Algorithm) error { return signed(within.Sign(ctx, keys[alg], message)) }), func() []int { return []int{own} }},
		{"worker", signing(func(alg signer.Algorithm) error { return signed(worker.Sign(ctx, keys[alg], message)) }), func() []int { return []int{own, worker.WorkerPID()} }},
		{verified, signing(func(alg signer.Algorithm) error { return signed(signer.Sign(ctx, worker, keys[alg], message)) }), func() []int { return []int{own, worker.WorkerPID()} }},
		{"crypto11", signing(baseline), func() []int { return []int{own} }},
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	var beside []string
	fmt.Fprintln(table, "alg\tcallers\tvariant\tsignatures/s\tratio to the C loop\tand by processor time\tgoal")
	for _, alg := range algorithms {
		for _, callers := range []int{1, 8, 32} {
			fmt.Fprintf(os.Stderr, "%s with %d callers\n", alg, callers)
			taken, err := measure(variants, alg, callers, rounds, slice)
			if err != nil {
				return err
			}
			for _, v := range variants {
				fmt.Fprintf(table, "%s\t%d\t%s\t%s\n", alg, callers, v.name, row(v.name, alg, callers, taken))
			}
			if alg == signer.ES256 && callers > 1 {
				beside = append(beside, besideBaseline(callers, taken))
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, line := range beside {
		fmt.Fprintln(out, line)
	}
	added, err := latency(func() error { return signed(within.Sign(ctx, keys[signer.ES256], message)) },
		func() error { return signed(worker.Sign(ctx, keys[signer.ES256], message)) })
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "\nthe worker adds %s to the median ES256 signature with one caller (goal: 80µs)\n", added.Round(time.Microsecond))
	return nil
}

var message = []byte("a message as long as the signing input of a small token would be, more or less; the rest does not matter")

func signed(_ []byte, err error) error { return err }

// measure measures every variant in every round, in turns.
func measure(variants []variant, alg signer.Algorithm, callers, rounds int, slice time.Duration) (map[string][]figures, error) {
	taken := map[string][]figures{}
	for round := range rounds {
		order := slices.Concat(variants[round%len(variants):], variants[:round%len(variants)])
		if round%2 == 1 {
			slices.Reverse(order) // nobody always comes after the same neighbour
		}
		for _, v := range order {
			before, err := processorTime(v.processes())
			if err != nil {
				return nil, err
			}
			rate, err := v.measure(alg, callers, slice)
			if errors.Is(err, errNotOffered) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s %s: %w", v.name, alg, err)
			}
			after, err := processorTime(v.processes())
			if err != nil {
				return nil, err
			}
			// The slice is as long for all, so that signatures by rate will do.
			taken[v.name] = append(taken[v.name], figures{rate, rate * slice.Seconds() / (after - before).Seconds()})
		}
	}
	return taken, nil
}

// row says what was taken of one variant.
func row(name string, alg signer.Algorithm, callers int, taken map[string][]figures) string {
	if len(taken[name]) == 0 {
		return "not offered\t\t\t"
	}
	var rates []float64
	for _, f := range taken[name] {
		rates = append(rates, f.rate)
	}
	ratio, perCPU := ratios(taken[name], taken[yardstick])
	return fmt.Sprintf("%.0f\t%.2f\t%.2f\t%s", median(rates), ratio, perCPU, goal(name, alg, callers, ratio))
}

// ratios are the medians, over the rounds, of what one variant makes for each signature of another.
func ratios(of, to []figures) (rate, perCPU float64) {
	var rates, perCPUs []float64
	for i := range of {
		rates, perCPUs = append(rates, of[i].rate/to[i].rate), append(perCPUs, of[i].perCPU/to[i].perCPU)
	}
	return median(rates), median(perCPUs)
}

// besideBaseline compares with crypto11.
func besideBaseline(callers int, taken map[string][]figures) string {
	rate, perCPU := ratios(taken["in process"], taken["crypto11"])
	workerRate, workerPerCPU := ratios(taken["worker"], taken["crypto11"])
	return fmt.Sprintf("\nES256, %d callers, beside crypto11: in process %.2f, by processor time %.2f; worker %.2f, by processor time %.2f (goal: 1.15)",
		callers, rate, perCPU, workerRate, workerPerCPU)
}

// processorTime is what processes have used so far, by their clocks (clock_getcpuclockid(3)).
func processorTime(pids []int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		var used unix.Timespec
		if err := unix.ClockGettime(int32(^pid<<3|2), &used); err != nil {
			return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
		}
		sum += time.Duration(used.Nano())
	}
	return sum, nil
}

// goal reports whether a ratio is what was aimed at.
func goal(name string, alg signer.Algorithm, callers int, ratio float64) string {
	goals := map[string]map[signer.Algorithm]float64{
		"in process": {signer.PS256: 0.95, signer.ES256: 0.88, signer.EdDSA: 0.93},
		"worker":     {signer.PS256: 0.92, signer.ES256: 0.80, signer.EdDSA: 0.80},
	}
	least, ok := goals[name][alg]
	switch {
	case !ok || name == "in process" && callers < 8 || name == "worker" && callers < 32:
		return ""
	case ratio >= least:
		return fmt.Sprintf("%.2f reached", least)
	}
	return fmt.Sprintf("%.2f missed", least)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// signing measures a function with callers side by side.
func signing(sign func(signer.Algorithm) error) func(signer.Algorithm, int, time.Duration) (float64, error) {
	return func(alg signer.Algorithm, callers int, slice time.Duration) (float64, error) {
		var (
			made    atomic.Int64
			all     sync.WaitGroup
			mu      sync.Mutex
			problem error
		)
		began := time.Now()
		for range callers {
			all.Go(func() {
				for time.Since(began) < slice {
					if err := sign(alg); err != nil {
						mu.Lock()
						problem = err
						mu.Unlock()
						return
					}
					made.Add(1)
				}
			})
		}
		all.Wait()
		return float64(made.Load()) / time.Since(began).Seconds(), problem
	}
}

// latency is by how much the median of one call is above that of another, measured in turns.
func latency(without, with func() error) (time.Duration, error) {
	var base, more []float64
	for range 3000 {
		for _, one := range []struct {
			do   func() error
			took *[]float64
		}{{without, &base}, {with, &more}} {
			began := time.Now()
			if err := one.do(); err != nil {
				return 0, err
			}
			*one.took = append(*one.took, float64(time.Since(began)))
		}
	}
	return time.Duration(median(more) - median(base)), nil
}
