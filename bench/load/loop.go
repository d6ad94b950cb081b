package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"countersign/bench/measure"
	"countersign/internal/flowclient"
)

// arrival is one operation that somebody begins, whatever became of those before.
type arrival struct {
	// at is counted from the beginning.
	at   time.Duration
	kind int
}

// schedule is when operations arrive: as those of people who do not know each other, with so many a second (a Poisson
// process), each of a kind drawn by its weight.
func schedule(rate float64, length time.Duration, weights []int, random *rand.Rand) []arrival {
	var all []arrival
	for at := time.Duration(0); ; {
		at += time.Duration(random.ExpFloat64() / rate * float64(time.Second))
		if at >= length {
			return all
		}
		all = append(all, arrival{at, draw(weights, random)})
	}
}

func draw(weights []int, random *rand.Rand) int {
	sum := 0
	for _, w := range weights {
		sum += w
	}
	left := random.IntN(sum)
	for kind, w := range weights {
		if left -= w; left < 0 {
			return kind
		}
	}
	return len(weights) - 1
}

// outcome is what became of an arrival. took is counted from when it should have begun, and late is how much later it did.
type outcome struct {
	arrival
	took, late time.Duration
	err        error
}

// open begins each arrival at its time. Nobody waits for anybody: when the server stops answering, arrivals go on, and what
// they wait counts (there is no coordinated omission). Who has waited for as long as the patience lasts hangs up; that
// too is counted from the arrival.
func open(ctx context.Context, arrivals []arrival, patience time.Duration, do func(ctx context.Context, kind int) error) []outcome {
	outcomes := make([]outcome, len(arrivals))
	began, begun := time.Now(), 0
	var all sync.WaitGroup
	for i, a := range arrivals {
		due := began.Add(a.at)
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
		if ctx.Err() != nil {
			break
		}
		begun++
		all.Go(func() {
			limited, cancel := context.WithDeadline(ctx, due.Add(patience))
			defer cancel()
			late := time.Since(due)
			err := do(limited, a.kind)
			outcomes[i] = outcome{a, time.Since(due), late, err}
		})
	}
	all.Wait()
	return outcomes[:begun]
}

// closed has some callers do one operation after the other for some time, and gives how many succeeded in a second: all
// that the machine can do.
func closed(ctx context.Context, callers int, length time.Duration, weights []int, do func(ctx context.Context, kind int) error) (float64, error) {
	var mu sync.Mutex
	var first error
	done := 0
	began := time.Now()
	var all sync.WaitGroup
	for number := range callers {
		random := rand.New(rand.NewPCG(uint64(number), 1))
		all.Go(func() {
			for time.Since(began) < length && ctx.Err() == nil {
				err := do(ctx, draw(weights, random))
				mu.Lock()
				if err == nil {
					done++
				} else if first == nil {
					first = err
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	rate := float64(done) / time.Since(began).Seconds()
	if done == 0 {
		return 0, errors.Join(errors.New("nothing succeeds"), first, ctx.Err())
	}
	return rate, ctx.Err()
}

// figures are what one rate of arrivals came to. All count from the arrival; who failed counts as one who waited until the
// patience was over.
type figures struct {
	// Offered are arrivals a second, Good those that succeeded in time.
	Offered float64 `json:"offered"`
	Good    float64 `json:"good"`
	// Arrivals were counted; of these so many were refused for now (429 or 503), got no answer in time, or failed otherwise.
	Arrivals int `json:"arrivals"`
	Refused  int `json:"refused"`
	Late     int `json:"late"`
	Failed   int `json:"failed"`
	// P50, P95 and P99 are in milliseconds.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
	// Lag is by how much the generator itself began too late, for 99 of 100; it is part of the above.
	Lag float64 `json:"lag_p99_ms"`
	// CPU is what the servers used, in milliseconds for each arrival, and Busy the share of the machine that was in use.
	CPU  float64 `json:"cpu_ms"`
	Busy float64 `json:"busy"`
	// First is the first failure that is neither a refusal nor late.
	First string `json:"first_failure,omitempty"`
}

// count sums up the arrivals from settle on, until length.
func count(outcomes []outcome, settle, length, patience time.Duration) figures {
	var f figures
	var took, late []time.Duration
	good := 0
	for _, o := range outcomes {
		if o.at < settle || o.at >= length {
			continue
		}
		f.Arrivals++
		late = append(late, o.late)
		switch {
		case o.err == nil && o.took <= patience:
			good++
			took = append(took, o.took)
			continue
		case o.err == nil || errors.Is(o.err, context.DeadlineExceeded):
			f.Late++
		case isRefusal(o.err):
			f.Refused++
		default:
			f.Failed++
			if f.First == "" {
				f.First = o.err.Error()
			}
		}
		took = append(took, patience)
	}
	slices.Sort(took)
	slices.Sort(late)
	seconds := (length - settle).Seconds()
	of := func(percent int) float64 { return measure.Milliseconds(measure.Quantile(took, percent)) }
	f.Offered, f.Good = float64(f.Arrivals)/seconds, float64(good)/seconds
	f.P50, f.P95, f.P99, f.Lag = of(50), of(95), of(99), measure.Milliseconds(measure.Quantile(late, 99))
	return f
}

// throughput is how many operations succeeded in each second between two moments, whenever they arrived.
func throughput(outcomes []outcome, from, to time.Duration) float64 {
	done := 0
	for _, o := range outcomes {
		if ended := o.at + o.took; o.err == nil && ended >= from && ended < to {
			done++
		}
	}
	return float64(done) / (to - from).Seconds()
}

// isRefusal reports whether a server said that it has too much to do: in an answer, on a page, or by sending the browser back.
func isRefusal(err error) bool {
	var answer *flowclient.RefusedError
	if errors.As(err, &answer) {
		return answer.Reply.Status == http.StatusTooManyRequests || answer.Reply.Status == http.StatusServiceUnavailable
	}
	var back *flowclient.AuthorizationError
	if errors.As(err, &back) {
		return back.Code == "temporarily_unavailable"
	}
	return err != nil && (strings.Contains(err.Error(), "(status 503") || strings.Contains(err.Error(), "(status 429"))
}
