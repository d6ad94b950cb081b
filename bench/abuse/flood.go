package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// use is what an attacker, or an honest user, does once. worker and number tell which and how often. status is that of the
// answer that matters, 0 when there was none.
type use func(ctx context.Context, worker, number int) (status int, err error)

// flood is what attackers do, and what honest users do beside them.
type flood struct {
	name string
	// honest says in words what the honest users do.
	honest string
	// workers attack at once.
	workers int
	// users are how many honest ones there are, and think how long each pauses between two uses.
	users int
	think time.Duration
	// prepare makes both. An honest use has succeeded when it returns no error.
	prepare func(ctx context.Context, s *site) (attack, honest use, err error)
}

// watched is what honest users saw.
type watched struct {
	tries, ok int
	took      []time.Duration
	lasted    time.Duration
	first     error
}

// result is what came of a flood.
type result struct {
	flood, honest, kind string
	// sent is how many requests of the flood were answered while honest users were watched, in lasted, and answers how many by
	// status.
	sent          int
	answers       map[int]int
	alone, beside watched
}

// run watches honest users alone, and then beside the flood.
func (f flood) run(ctx context.Context, s *site, kind string, length time.Duration) (result, error) {
	attack, honest, err := f.prepare(ctx, s)
	if err != nil {
		return result{}, err
	}
	r := result{flood: f.name, honest: f.honest, kind: kind, answers: map[int]int{}}
	if _, err := honest(ctx, 0, 0); err != nil { // connections, key sets, prepared statements
		return result{}, fmt.Errorf("an honest user is not served: %w", err)
	}
	r.alone = f.watch(ctx, honest, length)
	flooding, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	var mu sync.Mutex
	watching := false
	for worker := range f.workers {
		running.Go(func() {
			for number := 0; flooding.Err() == nil; number++ {
				status, _ := attack(flooding, worker, number)
				mu.Lock()
				if watching && flooding.Err() == nil {
					r.sent++
					r.answers[status]++
				}
				mu.Unlock()
			}
		})
	}
	pause(ctx, 2*time.Second) // until it is at its height
	mu.Lock()
	watching = true
	mu.Unlock()
	r.beside = f.watch(ctx, honest, length)
	stop()
	running.Wait()
	return r, ctx.Err()
}

// watch has the honest users go on for a time.
func (f flood) watch(ctx context.Context, honest use, length time.Duration) watched {
	var w watched
	var mu sync.Mutex
	var running sync.WaitGroup
	began := time.Now()
	for user := range f.users {
		running.Go(func() {
			for number := 1; ctx.Err() == nil && time.Since(began) < length; number++ {
				start := time.Now()
				_, err := honest(ctx, user, number)
				took := time.Since(start)
				mu.Lock()
				w.tries++
				if err == nil {
					w.ok++
					w.took = append(w.took, took)
				} else if w.first == nil {
					w.first = err
				}
				mu.Unlock()
				pause(ctx, f.think)
			}
		})
	}
	running.Wait()
	w.lasted = time.Since(began)
	slices.Sort(w.took)
	return w
}

// percentile is the time in which so many of a hundred that succeeded did.
func (w watched) percentile(of int) time.Duration {
	if len(w.took) == 0 {
		return 0
	}
	return w.took[min(len(w.took)-1, len(w.took)*of/100)]
}

// String is how they fared, as columns of a table.
func (w watched) String() string {
	median, worst := "–", "–"
	if w.ok > 0 {
		median, worst = millis(w.percentile(50)), millis(w.percentile(99))
	}
	return fmt.Sprintf("%s | %s | %.1f/s, %d of %d", median, worst, float64(w.ok)/w.lasted.Seconds(), w.ok, w.tries)
}

func millis(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// String is a row of the table.
func (r result) String() string {
	return fmt.Sprintf("%s | %s | %.0f/s: %s | %s | %s | %s", r.flood, r.kind, float64(r.sent)/r.beside.lasted.Seconds(), r.answered(), r.honest, r.alone, r.beside)
}

// answered says how the flood was answered, the most frequent answer first.
func (r result) answered() string {
	statuses := slices.SortedFunc(maps.Keys(r.answers), func(a, b int) int { return r.answers[b] - r.answers[a] })
	var parts []string
	for _, status := range statuses[:min(3, len(statuses))] {
		name := fmt.Sprint(status)
		if status == 0 {
			name = "none"
		}
		parts = append(parts, fmt.Sprintf("%s %.1f %%", name, 100*float64(r.answers[status])/float64(r.sent)))
	}
	return strings.Join(parts, ", ")
}

// pause waits for a time, or until ctx ends.
func pause(ctx context.Context, length time.Duration) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
