//go:build cgo && !nopkcs11

// Command signer measures the signing path against a loop in C that does nothing but C_SignInit and C_Sign, on one
// SoftHSM2 token. The variants take turns in short slices of one run, so that all meet the same machine; what counts is
// the median, over the rounds, of the ratio to the loop of the same round.
package main

import (
	"bufio"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	_ "embed"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/ThalesGroup/crypto11"
	"golang.org/x/sys/unix"

	"countersign/signer"
	"countersign/signer/pkcs11"
	"countersign/softhsm"
)

//go:embed loop/loop.c
var loopSource []byte

func main() {
	if len(os.Args) > 1 && os.Args[1] == pkcs11.WorkerCommand {
		os.Exit(pkcs11.RunWorker())
	}
	rounds := flag.Int("rounds", 11, "how often each variant is measured")
	slice := flag.Duration("slice", 200*time.Millisecond, "how long one measurement takes")
	only := flag.String("only", "", "one algorithm instead of all")
	flag.Parse()
	algorithms := everyAlgorithm()
	if *only != "" {
		algorithms = []signer.Algorithm{signer.Algorithm(*only)}
	}
	if err := run(context.Background(), os.Stdout, algorithms, *rounds, *slice); err != nil {
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

const yardstick = "C loop"

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
		{"crypto11", signing(baseline), func() []int { return []int{own} }},
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "alg\tcallers\tvariant\tsignatures/s\tratio to the C loop\tand by processor time\tgoal")
	for _, alg := range algorithms {
		for _, callers := range []int{1, 8, 32} {
			fmt.Fprintf(os.Stderr, "%s with %d callers\n", alg, callers)
			if err := compare(table, variants, alg, callers, rounds, slice); err != nil {
				return err
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
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

// compare measures every variant in every round, in turns.
func compare(out io.Writer, variants []variant, alg signer.Algorithm, callers, rounds int, slice time.Duration) error {
	taken := map[string][]figures{}
	for round := range rounds {
		order := slices.Concat(variants[round%len(variants):], variants[:round%len(variants)])
		if round%2 == 1 {
			slices.Reverse(order) // nobody always comes after the same neighbour
		}
		for _, v := range order {
			before, err := processorTime(v.processes())
			if err != nil {
				return err
			}
			rate, err := v.measure(alg, callers, slice)
			if errors.Is(err, errNotOffered) {
				continue
			}
			if err != nil {
				return fmt.Errorf("%s %s: %w", v.name, alg, err)
			}
			after, err := processorTime(v.processes())
			if err != nil {
				return err
			}
			// The slice is as long for all, so that signatures by rate will do.
			taken[v.name] = append(taken[v.name], figures{rate, rate * slice.Seconds() / (after - before).Seconds()})
		}
	}
	for _, v := range variants {
		if len(taken[v.name]) == 0 {
			fmt.Fprintf(out, "%s\t%d\t%s\tnot offered\t\t\t\n", alg, callers, v.name)
			continue
		}
		var rates, ratios, ratiosCPU []float64
		for i, mine := range taken[v.name] {
			loop := taken[yardstick][i]
			rates, ratios, ratiosCPU = append(rates, mine.rate), append(ratios, mine.rate/loop.rate), append(ratiosCPU, mine.perCPU/loop.perCPU)
		}
		fmt.Fprintf(out, "%s\t%d\t%s\t%.0f\t%.2f\t%.2f\t%s\n", alg, callers, v.name, median(rates), median(ratios), median(ratiosCPU), goal(v.name, alg, callers, median(ratios)))
	}
	return nil
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

// goal tells whether a ratio is what was aimed at.
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

// cLoop is the program in C.
type cLoop struct {
	pid int
	in  io.Writer
	out *bufio.Reader
	ids map[signer.Algorithm]string
}

func startLoop(ctx context.Context, folder string, token softhsm.Token, keys map[signer.Algorithm]signer.Record) (*cLoop, error) {
	source, binary := filepath.Join(folder, "loop.c"), filepath.Join(folder, "loop")
	if err := os.WriteFile(source, loopSource, 0o600); err != nil {
		return nil, err
	}
	if output, err := exec.CommandContext(ctx, "cc", "-O2", "-o", binary, source, "-lpthread", "-ldl").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("cc: %w: %s", err, output)
	}
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		return nil, err
	}
	command := exec.CommandContext(ctx, binary)
	command.Stderr = os.Stderr
	for name, value := range token.Environment {
		command.Env = append(command.Env, name+"="+value)
	}
	in, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, err
	}
	l := &cLoop{pid: command.Process.Pid, in: in, out: bufio.NewReader(out), ids: map[signer.Algorithm]string{}}
	for alg, key := range keys {
		id, err := base64.RawURLEncoding.DecodeString(key.ID)
		if err != nil {
			return nil, err
		}
		l.ids[alg] = hex.EncodeToString(id)
	}
	if _, err := fmt.Fprintf(in, "%s\n%s\n%s\n", token.Module, token.Label, strings.TrimSpace(string(pin))); err != nil {
		return nil, err
	}
	_, err = l.out.ReadString('\n')
	return l, err
}

func (l *cLoop) measure(alg signer.Algorithm, callers int, slice time.Duration) (float64, error) {
	if _, err := fmt.Fprintf(l.in, "%s %s %d %d\n", alg, l.ids[alg], callers, slice.Milliseconds()); err != nil {
		return 0, err
	}
	var made, micros int64
	if _, err := fmt.Fscanf(l.out, "%d %d\n", &made, &micros); err != nil {
		return 0, err
	}
	return float64(made) / (float64(micros) / 1e6), nil
}

var errNotOffered = errors.New("not offered")

// openBaseline signs with crypto11, to the form that a JWS has.
func openBaseline(folder string, token softhsm.Token, keys map[signer.Algorithm]signer.Record) (func(signer.Algorithm) error, error) {
	pin, err := os.ReadFile(token.PINFile)
	if err != nil {
		return nil, err
	}
	// A copy of the module has a state of its own: crypto11 does not accept one that somebody else has initialised.
	raw, err := os.ReadFile(token.Module)
	if err != nil {
		return nil, err
	}
	module := filepath.Join(folder, "copy.so")
	if err := os.WriteFile(module, raw, 0o700); err != nil {
		return nil, err
	}
	library, err := crypto11.Configure(&crypto11.Config{Path: module, TokenLabel: token.Label, Pin: strings.TrimSpace(string(pin)), MaxSessions: 64})
	if err != nil {
		return nil, err
	}
	found := map[signer.Algorithm]crypto11.Signer{}
	for _, alg := range []signer.Algorithm{signer.PS256, signer.ES256} {
		id, err := base64.RawURLEncoding.DecodeString(keys[alg].ID)
		if err != nil {
			return nil, err
		}
		if found[alg], err = library.FindKeyPair(id, nil); err != nil || found[alg] == nil {
			return nil, fmt.Errorf("crypto11 does not find the %s key: %w", alg, err)
		}
	}
	return func(alg signer.Algorithm) error {
		digest := sha256.Sum256(message)
		switch alg {
		case signer.PS256:
			_, err := found[alg].Sign(rand.Reader, digest[:], &rsa.PSSOptions{SaltLength: sha256.Size, Hash: crypto.SHA256})
			return err
		case signer.ES256:
			encoded, err := found[alg].Sign(rand.Reader, digest[:], crypto.SHA256)
			if err != nil {
				return err
			}
			var pair struct{ R, S *big.Int }
			if _, err := asn1.Unmarshal(encoded, &pair); err != nil {
				return err
			}
			out := make([]byte, 64)
			pair.R.FillBytes(out[:32])
			pair.S.FillBytes(out[32:])
			return nil
		}
		return errNotOffered
	}, nil
}
