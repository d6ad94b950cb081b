package main

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"countersign/internal/jose"
)

// server is one that runs.
type server struct {
	name string
	endpoints
	roots *x509.CertPool
	// key signs client assertions; alg is that of the tokens.
	key jose.PrivateKey
	alg string
	// answer fills in the form of a page, or is nil for a server that shows none.
	answer func(address, page string) (form map[string][]string, target string, err error)
	// warmLonger is how many measurements longer than others it is warmed with each step.
	warmLonger int
	// rotates tells that a refresh token is replaced with each use.
	rotates bool
	// processes are the roots of the process trees that serve.
	processes []int
	stop      func()

	actors []*actor
}

// sample is one measurement of one step.
type sample struct {
	// CPU is in milliseconds an operation.
	CPU float64 `json:"cpu_ms"`
	// Operations were measured, Rate of them a second.
	Operations int     `json:"operations"`
	Rate       float64 `json:"rate"`
	// P50, P95 and P99 are in milliseconds: what half, 95 and 99 of 100 operations took at most.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	// Memory is resident after the step, Peak the most since the server started, in MiB.
	Memory float64 `json:"memory_mib"`
	Peak   float64 `json:"peak_mib"`
}

// prepare signs each actor in and gets it a refresh token.
func (s *server) prepare(ctx context.Context, workers int) error {
	for range workers {
		a, err := newActor(s)
		if err != nil {
			return err
		}
		if err := a.flowStep(ctx); err != nil {
			return err
		}
		s.actors = append(s.actors, a)
	}
	return nil
}

// warm has a server do everything for a while. One that compiles while it runs needs longer than the others.
func (s *server) warm(ctx context.Context, steps []step, seconds float64) error {
	for _, step := range steps {
		if _, err := s.measure(ctx, step, seconds*float64(1+s.warmLonger)); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// measure has all actors repeat a step for some time.
func (s *server) measure(ctx context.Context, step step, seconds float64) (sample, error) {
	// Each goes through the step once before: connections that idled away are made again, and caches are warm. Before
	// a refresh that is a flow, for peers that forget the token.
	before := step.do
	if step.fresh {
		before = (*actor).flowStep
	}
	if _, err := s.together(ctx, func(ctx context.Context, a *actor) ([]time.Duration, error) { return nil, before(a, ctx) }); err != nil {
		return sample{}, err
	}
	began, used := time.Now(), s.cpu()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	took, err := s.together(ctx, func(ctx context.Context, a *actor) (took []time.Duration, err error) {
		for time.Now().Before(end) && ctx.Err() == nil {
			started := time.Now()
			if err := step.do(a, ctx); err != nil {
				return nil, err
			}
			took = append(took, time.Since(started))
		}
		return took, nil
	})
	elapsed := time.Since(began)
	used = s.cpu() - used
	if err != nil {
		return sample{}, err
	}
	if len(took) == 0 {
		return sample{}, errors.New("nothing was done")
	}
	slices.Sort(took)
	return sample{
		CPU: milliseconds(used) / float64(len(took)), Operations: len(took), Rate: float64(len(took)) / elapsed.Seconds(),
		P50: milliseconds(quantile(took, 50)), P95: milliseconds(quantile(took, 95)), P99: milliseconds(quantile(took, 99)),
		Memory: s.memory(), Peak: s.peak(),
	}, nil
}

// together has all actors do something side by side. The first failure ends the rest.
func (s *server) together(ctx context.Context, work func(context.Context, *actor) ([]time.Duration, error)) ([]time.Duration, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, len(s.actors))
	var all sync.WaitGroup
	for i, a := range s.actors {
		all.Go(func() {
			var err error
			if took[i], err = work(limited, a); err != nil {
				cancel(err) // the first cause stays
			}
		})
	}
	all.Wait()
	return slices.Concat(took...), context.Cause(limited)
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// quantile is what so many of 100 sorted values are at most (nearest rank). There is at least one value.
func quantile(sorted []time.Duration, percent int) time.Duration {
	rank := (len(sorted)*percent + 99) / 100
	return sorted[max(rank, 1)-1]
}

// cpu is the time that the server's processes have used, those that have ended included.
func (s *server) cpu() time.Duration {
	var ticks int64
	for _, process := range tree(s.processes) {
		// utime, stime, and those of children that were waited for: proc_pid_stat(5), fields 14 to 17.
		for _, field := range process.stat[11:15] {
			n, err := strconv.ParseInt(field, 10, 64)
			if err == nil {
				ticks += n
			}
		}
	}
	return time.Duration(ticks) * time.Second / 100
}

// memory is what the server's processes have resident, in MiB. PostgreSQL's share of its buffers counts in each of its
// processes.
func (s *server) memory() float64 {
	var pages int64
	for _, process := range tree(s.processes) {
		n, err := strconv.ParseInt(process.stat[21], 10, 64)
		if err == nil {
			pages += n
		}
	}
	return float64(pages) * float64(os.Getpagesize()) / (1 << 20)
}

// peak is the sum of the most that each of the server's processes had resident, in MiB.
func (s *server) peak() float64 {
	var kibibytes int64
	for _, process := range tree(s.processes) {
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", process.id))
		if err != nil {
			continue // it has ended
		}
		_, rest, _ := strings.Cut(string(raw), "VmHWM:")
		if fields := strings.Fields(rest); len(fields) > 0 {
			if n, err := strconv.ParseInt(fields[0], 10, 64); err == nil {
				kibibytes += n
			}
		}
	}
	return float64(kibibytes) / 1024
}

// process is one of /proc, with the fields of its stat from the state on.
type process struct {
	id   int
	stat []string
}

// tree lists processes and all below them.
func tree(roots []int) []process {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	children := map[int][]process{}
	var found []process
	for _, entry := range entries {
		id, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", id))
		if err != nil {
			continue // it has ended
		}
		stat := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
		parent, err := strconv.Atoi(stat[1])
		if err != nil {
			continue
		}
		p := process{id, stat}
		children[parent] = append(children[parent], p)
		if slices.Contains(roots, id) {
			found = append(found, p)
		}
	}
	for i := 0; i < len(found); i++ {
		found = append(found, children[found[i].id]...)
	}
	return found
}
