package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/bench/servers"
)

// target is a server with the clients that keep it busy.
type target struct {
	*servers.Server
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
func (s *target) prepare(ctx context.Context, workers int) error {
	for range workers {
		a, err := newActor(s.Server)
		if err != nil {
			return err
		}
		if err := a.flow(ctx); err != nil {
			return err
		}
		s.actors = append(s.actors, a)
	}
	return nil
}

// warm has a server do everything for a while. One that compiles while it runs needs longer than the others.
func (s *target) warm(ctx context.Context, steps []step, seconds float64) error {
	for _, step := range steps {
		if _, err := s.measure(ctx, step, seconds*float64(1+s.WarmLonger)); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// measure has all actors repeat a step for some time.
func (s *target) measure(ctx context.Context, step step, seconds float64) (sample, error) {
	// Each goes through the step once before: connections that idled away are made again, and caches are warm. Before
	// a refresh that is a flow, for peers that forget the token.
	before := step.do
	if step.fresh {
		before = (*actor).flow
	}
	if _, err := s.together(ctx, func(ctx context.Context, a *actor) ([]time.Duration, error) { return nil, before(a, ctx) }); err != nil {
		return sample{}, err
	}
	began, used := time.Now(), s.CPU()
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
	used = s.CPU() - used
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
		Memory: s.Memory(), Peak: s.Peak(),
	}, nil
}

// together has all actors do something side by side. The first failure ends the rest.
func (s *target) together(ctx context.Context, work func(context.Context, *actor) ([]time.Duration, error)) ([]time.Duration, error) {
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
