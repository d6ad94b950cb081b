package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"syscall"
	"time"

	"countersign/bench/measure"
)

// shares of the capacity, in percent, in their order: what comes after saturation comes last.
func shares() []int { return []int{10, 25, 50, 75, 90, 100, 110, 125, 150} }

// point is what one share of the capacity came to.
type point struct {
	percent int
	figures
}

// results are a whole run.
type results struct {
	settings settings
	// capacity is what 100 % are, in operations a second.
	capacity float64
	points   []point
	// atGoal is what the rate of the goal came to.
	atGoal     figures
	processors int
	noise      string
}

// warmed is how long everything is warmed, and found how long the capacity is looked for.
const (
	warmed = 6 * time.Second
	found  = 8 * time.Second
)

// curve finds the capacity, and measures each share of it and the rate of the goal.
func (s settings) curve(ctx context.Context, w *world) (*results, error) {
	r := &results{settings: s, capacity: s.capacity, processors: runtime.NumCPU()}
	fmt.Println("loading both nodes")
	if _, err := closed(ctx, s.callers, warmed, weights(), w.do); err != nil {
		return nil, err
	}
	if r.capacity == 0 {
		var err error
		if r.capacity, err = s.find(ctx, w.do); err != nil {
			return nil, err
		}
	}
	fmt.Printf("capacity: %.0f operations a second\n", r.capacity)
	var err error
	if r.atGoal, err = s.at(ctx, w, s.rate, 0); err != nil {
		return nil, err
	}
	fmt.Println("the goal's rate: ", r.atGoal)
	for i, percent := range shares() {
		f, err := s.at(ctx, w, r.capacity*float64(percent)/100, uint64(i+1))
		if err != nil {
			return nil, err
		}
		fmt.Printf("%3d %%: %s\n", percent, f)
		r.points = append(r.points, point{percent, f})
	}
	return r, nil
}

const (
	// more is by how much more arrives each time while the capacity is looked for, better how much more has to be answered
	// then for another try, and mostTries how many there are.
	more, better = 1.3, 1.03
	mostTries    = 5
	// tried is how long each takes.
	tried = 5 * time.Second
)

// find finds out how many operations can be answered in a second: as many as callers get who never pause, or as an open loop
// gets with more and more arrivals, until they get no more.
func (s settings) find(ctx context.Context, do func(context.Context, int) error) (float64, error) {
	capacity, err := closed(ctx, s.callers, found, weights(), do)
	if err != nil {
		return 0, err
	}
	for try := range mostTries {
		arrivals := schedule(capacity*more, tried, weights(), rand.New(rand.NewPCG(s.seed, uint64(1000+try))))
		answered := throughput(open(ctx, arrivals, s.patience, do), tried/5, tried)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if answered < capacity*better {
			return max(capacity, answered), nil
		}
		capacity = answered
	}
	return capacity, nil
}

// at keeps a rate for a while.
func (s settings) at(ctx context.Context, w *world, rate float64, stream uint64) (figures, error) {
	arrivals := schedule(rate, s.each, weights(), rand.New(rand.NewPCG(s.seed, stream)))
	began, served, own := time.Now(), w.server.CPU(), ownCPU()
	outcomes := open(ctx, arrivals, s.patience, w.do)
	if err := ctx.Err(); err != nil {
		return figures{}, err
	}
	f := count(outcomes, s.settle, s.each, s.patience)
	used := w.server.CPU() - served
	f.CPU = measure.Milliseconds(used) / float64(max(1, len(arrivals)))
	f.Busy = (used + ownCPU() - own).Seconds() / time.Since(began).Seconds() / float64(runtime.NumCPU())
	return f, nil
}

// ownCPU is what this process has used, the generator.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// String is a line for the terminal.
func (f figures) String() string {
	line := fmt.Sprintf("%4.0f a second arrive, %4.0f succeed; p50 %.0f, p95 %.0f, p99 %.0f ms; %d refused, %d late, %d failed; the machine is busy to %.0f %%",
		f.Offered, f.Good, f.P50, f.P95, f.P99, f.Refused, f.Late, f.Failed, 100*f.Busy)
	if f.First != "" {
		line += "; the first failure: " + f.First
	}
	return line
}
