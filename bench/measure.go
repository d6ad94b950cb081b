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
	// processes are the roots of the process trees that serve.
	processes []int
	stop      func()

	actors []*actor
}

// sample is one measurement of one step.
type sample struct {
	// cpu is in milliseconds an operation.
	cpu float64
	// rate is in operations a second.
	rate float64
	// p50 and p99 are in milliseconds.
	p50, p99 float64
	// memory is resident, in MiB.
	memory float64
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
	_, err := s.measure(ctx, steps()[0], 5) // warm
	return err
}

// measure has all actors repeat a step for some time.
func (s *server) measure(ctx context.Context, step step, seconds float64) (sample, error) {
	if step.fresh {
		for _, a := range s.actors {
			if err := a.flowStep(ctx); err != nil {
				return sample{}, err
			}
		}
	}
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	began, before := time.Now(), s.cpu()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	took := make([][]time.Duration, len(s.actors))
	failures := make([]error, len(s.actors))
	var all sync.WaitGroup
	for i, a := range s.actors {
		all.Go(func() {
			for time.Now().Before(end) && limited.Err() == nil {
				started := time.Now()
				if err := step.do(a, limited); err != nil {
					failures[i] = err
					cancel()
					return
				}
				took[i] = append(took[i], time.Since(started))
			}
		})
	}
	all.Wait()
	elapsed, used := time.Since(began), s.cpu()-before
	for _, err := range failures {
		if err != nil && !errors.Is(err, context.Canceled) {
			return sample{}, err
		}
	}
	if err := ctx.Err(); err != nil {
		return sample{}, err
	}
	each := slices.Concat(took...)
	if len(each) == 0 {
		return sample{}, errors.New("nothing was done")
	}
	slices.Sort(each)
	milliseconds := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
	return sample{
		cpu: milliseconds(used) / float64(len(each)), rate: float64(len(each)) / elapsed.Seconds(),
		p50: milliseconds(each[len(each)/2]), p99: milliseconds(each[len(each)*99/100]), memory: s.memory(),
	}, nil
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
