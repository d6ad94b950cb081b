package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"countersign/bench/measure"
	"countersign/bench/servers"
)

// target is a server with the clients that keep it busy.
type target struct {
	*servers.Server
	// seldom is the variant's.
	seldom bool
	actors []*actor
}

// sample is one measurement of one step.
type sample struct {
	// CPU is in milliseconds an operation.
	CPU float64 `json:"cpu_ms"`
	// Operations were measured, Rate of them a second.
	Operations int     `json:"operations"`
	Rate       float64 `json:"rate"`
	// Refused is how often the server said that it has too much to do; its client came again then, and its CPU time counts.
	Refused int `json:"refused"`
	// P50, P95 and P99 are in milliseconds: what half, 95 and 99 of 100 operations took at most.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	// Memory is resident after the slice, Proportional the same with shared pages counted once (PSS), and Peak the most
	// that was resident since the server started, in MiB.
	Memory       float64 `json:"memory_mib"`
	Proportional float64 `json:"proportional_mib"`
	Peak         float64 `json:"peak_mib"`
}

// prepare has more actors, signs each in and gets it a refresh token.
func (s *target) prepare(ctx context.Context, more int) error {
	for range more {
		a, err := newActor(s.Server)
		if err != nil {
			return err
		}
		if _, err := patient(ctx, a, (*actor).flow); err != nil {
			return err
		}
		s.actors = append(s.actors, a)
	}
	return nil
}

const (
	// A server is warm when one slice is not cheaper than the best before by more than steady, after leastWarm slices. It
	// has to be after mostWarm of the first step, in which most of it takes part, and after leastWarm of the others.
	steady              = 0.03
	leastWarm, mostWarm = 2, 6
)

// warm has a server do everything until it gets no cheaper. One that compiles while it runs needs longer than the others.
func (s *target) warm(ctx context.Context, steps []step, atOnce int, seconds float64) error {
	for i, step := range steps {
		var best float64
		most := leastWarm
		if i == 0 {
			most = mostWarm
		}
		for slice := range most {
			taken, err := s.measure(ctx, step, atOnce, seconds*float64(1+s.WarmLonger))
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			if warm(slice, best, taken.CPU) {
				break
			}
			if best == 0 || taken.CPU < best {
				best = taken.CPU
			}
		}
	}
	return nil
}

// warm reports whether a server is, by the CPU time of its newest slice and the best before.
func warm(slice int, best, newest float64) bool {
	return slice+1 >= leastWarm && newest > best*(1-steady)
}

// measure has some actors repeat a step for some time.
func (s *target) measure(ctx context.Context, step step, atOnce int, seconds float64) (sample, error) {
	if atOnce > len(s.actors) {
		return sample{}, fmt.Errorf("there are %d clients, not %d", len(s.actors), atOnce)
	}
	// Each goes through the step once before: connections that idled away are made again, and caches are warm. Before
	// a refresh that is a flow, for peers that forget the token.
	before := step.do
	if step.fresh {
		before = (*actor).flow
	}
	actors := s.actors[:atOnce]
	if _, err := together(ctx, actors, func(ctx context.Context, a *actor) ([]time.Duration, error) {
		_, err := patient(ctx, a, before)
		return nil, err
	}); err != nil {
		return sample{}, err
	}
	var refused atomic.Int64
	began, used := time.Now(), s.CPU()
	end := began.Add(time.Duration(seconds * float64(time.Second)))
	took, err := together(ctx, actors, func(ctx context.Context, a *actor) (took []time.Duration, err error) {
		for (len(took) == 0 || time.Now().Before(end)) && ctx.Err() == nil {
			started := time.Now()
			often, err := patient(ctx, a, step.do)
			refused.Add(int64(often))
			if err != nil {
				return nil, err
			}
			took = append(took, time.Since(started))
		}
		return took, nil
	})
	elapsed := time.Since(began)
	used = s.CPU() - used
	if err != nil {
		return sample{}, err
	}
	if len(took) == 0 {
		return sample{}, errors.New("nothing was done")
	}
	slices.Sort(took)
	of := func(percent int) float64 { return measure.Milliseconds(measure.Quantile(took, percent)) }
	return sample{
		CPU: measure.Milliseconds(used) / float64(len(took)), Operations: len(took), Rate: float64(len(took)) / elapsed.Seconds(),
		Refused: int(refused.Load()),
		P50:     of(50), P95: of(95), P99: of(99), Memory: s.Memory(), Proportional: s.Proportional(), Peak: s.Peak(),
	}, nil
}

// together has actors do something side by side. The first failure ends the rest.
func together(ctx context.Context, actors []*actor, work func(context.Context, *actor) ([]time.Duration, error)) ([]time.Duration, error) {
	limited, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	took := make([][]time.Duration, len(actors))
	var all sync.WaitGroup
	for i, a := range actors {
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
