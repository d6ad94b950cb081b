package main

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"
)

// schedule says when faults are injected.
type schedule struct {
	// count is how many faults there are; less than 0 is as many as there is time for.
	count int
	// every is the time between two, on average, and exactly if steady.
	every  time.Duration
	steady bool
}

// run injects faults until all are done or ctx ends, and gives the moments of those that were. inject reports whether it
// hit anything; a miss is made up for. An error ends the run.
func (s schedule) run(ctx context.Context, inject func() (hit bool, err error)) ([]time.Time, error) {
	var hits []time.Time
	for s.count < 0 || len(hits) < s.count {
		wait := s.every
		if !s.steady {
			wait = around(s.every)
		}
		if !pause(ctx, wait) {
			return hits, nil
		}
		hit, err := inject()
		if err != nil {
			return hits, err
		}
		if hit {
			hits = append(hits, time.Now())
		}
	}
	return hits, nil
}

// around gives a time between a fifth of the mean and nine fifths of it.
func around(mean time.Duration) time.Duration {
	return mean/5 + time.Duration(randomBelow(int64(mean)*8/5+1))
}

func randomBelow(n int64) int64 {
	drawn, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		panic(err) // the system's randomness is gone
	}
	return drawn.Int64()
}

// pause waits, and reports whether to go on.
func pause(ctx context.Context, length time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(length):
		return true
	}
}
