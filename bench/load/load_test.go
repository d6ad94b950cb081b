package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/bench/measure"
	"countersign/internal/flowclient"
)

// TestSchedule: arrivals come at the rate, in their order, in kinds by their weights, and the same for the same seed.
func TestSchedule(t *testing.T) {
	make := func() []arrival {
		return schedule(200, 60*time.Second, []int{1, 0, 3}, rand.New(rand.NewPCG(7, 1)))
	}
	all := make()
	if n := len(all); math.Abs(float64(n)-12_000) > 500 {
		t.Errorf("%d arrivals in a minute of 200 a second", n)
	}
	var of [3]int
	last := time.Duration(0)
	within := 0
	for _, a := range all {
		if a.at < last || a.at >= 60*time.Second {
			t.Fatalf("an arrival at %s after one at %s", a.at, last)
		}
		if a.at-last < 5*time.Millisecond {
			within++
		}
		last = a.at
		of[a.kind]++
	}
	if of[1] != 0 || math.Abs(float64(of[2])/float64(of[0])-3) > 0.3 {
		t.Errorf("kinds by the weights 1, 0, 3: %v", of)
	}
	// Of a Poisson process 1-1/e of the gaps are shorter than their mean; of a steady one all or none.
	if share := float64(within) / float64(len(all)); math.Abs(share-0.632) > 0.03 {
		t.Errorf("%.3f of the gaps are below their mean", share)
	}
	if diff := cmp.Diff(all, make(), cmp.AllowUnexported(arrival{})); diff != "" {
		t.Error("the same seed gives something else")
	}
}

func every(gap time.Duration, n int) []arrival {
	var all []arrival
	for i := range n {
		all = append(all, arrival{at: time.Duration(i) * gap})
	}
	return all
}

// TestOpenLoop: a server that stops for two seconds is felt by everybody who arrives meanwhile, by how long each waits. A
// closed loop would tell of one slow answer.
func TestOpenLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		outcomes := open(t.Context(), every(100*time.Millisecond, 50), 10*time.Second, func(context.Context, int) error {
			if stopped := began.Add(3 * time.Second); time.Now().Before(stopped) && time.Since(began) >= time.Second {
				time.Sleep(time.Until(stopped))
			}
			time.Sleep(10 * time.Millisecond)
			return nil
		})
		if len(outcomes) != 50 {
			t.Fatalf("%d outcomes", len(outcomes))
		}
		for i, o := range outcomes {
			want := 10 * time.Millisecond
			if o.at >= time.Second && o.at < 3*time.Second {
				want += 3*time.Second - o.at
			}
			if o.took != want || o.err != nil || o.late != 0 {
				t.Errorf("arrival %d at %s took %s, want %s (%v)", i, o.at, o.took, want, o.err)
			}
		}
		f := count(outcomes, 0, 5*time.Second, 10*time.Second)
		if f.Arrivals != 50 || f.Good != 10 || f.P50 != 10 || f.P95 != 1810 || f.P99 != 2010 {
			t.Errorf("%+v", f)
		}
	})
}

// TestPatience: clients hang up, counted from their arrival; the loop does not wait for them.
func TestPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var waiting, most atomic.Int64
		outcomes := open(t.Context(), every(100*time.Millisecond, 100), 3*time.Second, func(ctx context.Context, _ int) error {
			most.Store(max(most.Load(), waiting.Add(1)))
			defer waiting.Add(-1)
			<-ctx.Done()
			return fmt.Errorf("asking: %w", ctx.Err())
		})
		if took := time.Since(began); took != 9900*time.Millisecond+3*time.Second {
			t.Errorf("it took %s", took)
		}
		if got := most.Load(); got < 30 || got > 31 {
			t.Errorf("%d waited at once: the loop is not open", got)
		}
		f := count(outcomes, 0, 10*time.Second, 3*time.Second)
		if f.Late != 100 || f.Good != 0 || f.P50 != 3000 || f.Failed != 0 {
			t.Errorf("%+v", f)
		}
	})
}

// TestOpenEnds: an end of the run ends the loop.
func TestOpenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second+50*time.Millisecond)
		defer cancel()
		outcomes := open(ctx, every(100*time.Millisecond, 1000), time.Minute, func(context.Context, int) error { return nil })
		if len(outcomes) != 11 {
			t.Errorf("%d arrivals in a second", len(outcomes))
		}
	})
}

// TestCount: each outcome is counted as what it is, by when it arrived, and failures count as the whole patience.
func TestCount(t *testing.T) {
	answered := func(status int) error {
		return fmt.Errorf("flow: %w", &flowclient.RefusedError{Want: 200, Reply: flowclient.Reply{Status: status}})
	}
	at := func(second int, took time.Duration, err error) outcome {
		return outcome{arrival: arrival{at: time.Duration(second) * time.Second}, took: took, late: time.Duration(second) * time.Millisecond, err: err}
	}
	f := count([]outcome{
		at(1, time.Hour, errors.New("settling does not count")),
		at(2, 100*time.Millisecond, nil), at(3, 200*time.Millisecond, nil), at(4, 300*time.Millisecond, nil),
		at(5, time.Millisecond, answered(http.StatusServiceUnavailable)), at(5, time.Millisecond, answered(http.StatusTooManyRequests)),
		at(5, time.Millisecond, fmt.Errorf("flow: %w", &flowclient.AuthorizationError{Code: "temporarily_unavailable"})),
		at(6, time.Millisecond, errors.New("the server showed an error page (status 503, server_error)")),
		at(6, time.Millisecond, answered(http.StatusBadRequest)), at(6, time.Millisecond, fmt.Errorf("flow: %w", &flowclient.AuthorizationError{Code: "access_denied"})),
		at(7, time.Second, context.DeadlineExceeded), at(8, 1001*time.Millisecond, nil),
		at(12, 0, nil),
	}, 2*time.Second, 12*time.Second, time.Second)
	want := figures{Offered: 1.1, Good: 0.3, Arrivals: 11, Refused: 4, Late: 2, Failed: 2, P50: 1000, P95: 1000, P99: 1000, Lag: 8,
		First: answered(http.StatusBadRequest).Error()}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if f := count(nil, 0, time.Second, time.Second); f.Arrivals != 0 || f.P99 != 0 {
		t.Errorf("of nothing: %+v", f)
	}
}

// TestClosed: callers that never pause find out what there is to have; when nothing succeeds there is no capacity.
func TestClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		places := make(chan struct{}, 2)
		rate, err := closed(t.Context(), 10, 10*time.Second, []int{1}, func(context.Context, int) error {
			places <- struct{}{}
			defer func() { <-places }()
			time.Sleep(50 * time.Millisecond)
			return nil
		})
		if err != nil || math.Abs(rate-40) > 1 {
			t.Errorf("two at once, 50 ms each: %v a second, %v", rate, err)
		}
		broken := errors.New("broken")
		if _, err := closed(t.Context(), 2, time.Second, []int{1}, func(context.Context, int) error { time.Sleep(time.Millisecond); return broken }); !errors.Is(err, broken) {
			t.Errorf("nothing succeeds: %v", err)
		}
	})
}

func typical() *results {
	var s settings
	s.each, s.settle, s.patience, s.rate, s.callers = 12*time.Second, 2*time.Second, 3*time.Second, goalRate, 64
	r := &results{settings: s, capacity: 400, processors: 2, noise: "Nobody else was there."}
	for _, percent := range shares() {
		f := figures{Offered: 4 * float64(percent), Good: 4 * float64(percent), Arrivals: 40 * percent, P50: 10, P95: 20, P99: 30, CPU: 2, Busy: float64(percent) / 150}
		if percent > 100 {
			f.Good, f.P50, f.P95, f.P99, f.Refused, f.Late = 500-float64(percent), 200, 3000, 3000, 7, 3
		}
		r.points = append(r.points, point{percent, f})
	}
	r.atGoal = figures{Offered: 300, Good: 297, Arrivals: 3000, P50: 10, P95: 100, P99: 250}
	return r
}

// TestVerdicts: goals are reached at their limits, and each is missed by itself.
func TestVerdicts(t *testing.T) {
	words := func(r *results) string {
		var all []string
		for _, row := range r.verdicts()[1:] {
			all = append(all, row[3])
		}
		return strings.Join(all, " ")
	}
	for _, test := range []struct {
		name   string
		change func(*results)
		want   string
	}{
		// The most is 400 at 100 %, and 350 succeed at 150 %.
		{"but for the last", func(*results) {}, "reached reached reached missed"},
		{"all", func(r *results) { r.points[8].Good, r.points[7].Good = 360, 360 }, "reached reached reached reached"},
		{"too few succeed", func(r *results) { r.atGoal.Good = 296 }, "missed reached reached missed"},
		{"p95", func(r *results) { r.atGoal.P95 = 100.1 }, "reached missed reached missed"},
		{"p99", func(r *results) { r.atGoal.P99 = 251 }, "reached reached missed missed"},
		{"nothing was past saturation", func(r *results) {
			for i := range r.points {
				r.points[i].Good = r.points[i].Offered
			}
		}, "reached reached reached missed"},
		// Where less arrives than could succeed, all of it has to.
		{"less arrives at 110 %", func(r *results) {
			r.points[6].Offered, r.points[6].Good, r.points[7].Good, r.points[8].Good = 300, 290, 390, 380
		}, "reached reached reached reached"},
		{"nothing was measured", func(r *results) { *r = results{settings: r.settings} }, "missed missed missed missed"},
	} {
		r := typical()
		test.change(r)
		if got := words(r); got != test.want {
			t.Errorf("%s: %s, want %s", test.name, got, test.want)
		}
	}
	if share, at := typical().past(); share != 0.875 || at != 150 {
		t.Errorf("%v at %d", share, at)
	}
}

// TestFind: the capacity is what the server answers, also where few callers do not make it answer as much.
func TestFind(t *testing.T) {
	for _, test := range []struct {
		name    string
		callers int
	}{{"callers enough", 64}, {"too few callers", 2}} {
		synctest.Test(t, func(t *testing.T) {
			places := make(chan struct{}, 10) // of 50 ms: 200 a second
			s := settings{callers: test.callers, patience: 3 * time.Second, seed: 1}
			capacity, err := s.find(t.Context(), func(ctx context.Context, _ int) error {
				select {
				case places <- struct{}{}:
				case <-ctx.Done():
					return ctx.Err()
				}
				defer func() { <-places }()
				time.Sleep(50 * time.Millisecond)
				return nil
			})
			// Two callers get 40 a second, and five times a third more comes to 148.
			want := 200.0
			if test.callers == 2 {
				want = 148
			}
			if err != nil || math.Abs(capacity-want) > want/6 {
				t.Errorf("%s: %v a second, want %v (%v)", test.name, capacity, want, err)
			}
		})
	}
}

// TestThroughput counts by the end, and not by the arrival.
func TestThroughput(t *testing.T) {
	at := func(arrived, took time.Duration, err error) outcome {
		return outcome{arrival: arrival{at: arrived}, took: took, err: err}
	}
	got := throughput([]outcome{
		at(0, 500*time.Millisecond, nil), at(0, time.Second, nil), at(2*time.Second, 900*time.Millisecond, nil), at(2*time.Second, time.Second, nil),
		at(2*time.Second, 0, errors.New("x")),
	}, time.Second, 3*time.Second)
	if got != 1 {
		t.Errorf("%v a second, want 1", got)
	}
}

// TestReport: who hung up is not said to have been answered.
func TestReport(t *testing.T) {
	r := typical()
	r.points[8].First = "flow: a thing"
	text := r.markdown()
	for _, want := range []string{
		"Capacity (100 %): 400 operations", "| 10 % | 40 | 40 | 10 | 20 | 30 | 0 | 0 | 0 | 2.00 | 7 % | 0 |", "| 150 % | 600 | 350 | 200 | ≥ 3000 | ≥ 3000 | 7 | 3 | 0 |",
		"| goal's rate | 300 |", "88 %, at 150 % of the capacity", "at 150 %: flow: a thing", "Nobody else",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing:\n%s", want, text)
		}
	}
	if picture := r.picture(); !strings.Contains(picture, ">succeed<") || !strings.Contains(picture, "goal for p99") {
		t.Error(picture)
	}
}

// TestWeights: out of 100.
func TestWeights(t *testing.T) {
	sum := 0
	for _, w := range weights() {
		sum += w
	}
	if sum != 100 {
		t.Errorf("the weights come to %d", sum)
	}
}

func TestPage(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("..", "..", "docs", "performance-load.md"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(page, measure.Prose(string(raw))); diff != "" {
		t.Errorf("docs/performance-load.md differs from its template (-template +page): change both, or have it written:\n%s", diff)
	}
	for _, k := range kinds() {
		if !strings.Contains(page, fmt.Sprintf("| %d | ", k.weight)) {
			t.Errorf("the page does not say that %d of 100 are %s", k.weight, k.name)
		}
	}
}
