package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"countersign/bench/torture/history"
)

// report is what a run came to.
type report struct {
	settings
	verdict      history.Verdict
	kinds        map[string]count
	outages      []outage
	kills        []time.Time
	began, ended time.Time
	// rate is how many tries were answered in each second of the machine's clock, from the first.
	rate []int
}

// count are the tries of one kind.
type count struct{ tries, won, refused, unknown int }

// byKind counts the tries to use a one-time thing.
func byKind(all []history.Operation) map[string]count {
	kinds := map[string]count{}
	for _, o := range all {
		name, _, _ := strings.Cut(o.Thing, "/")
		if o.Verb != history.Consume {
			continue
		}
		c := kinds[name]
		c.tries++
		switch o.Outcome {
		case history.OK:
			c.won++
		case history.Refused:
			c.refused++
		default:
			c.unknown++
		}
		kinds[name] = c
	}
	return kinds
}

// rate counts the answers of each second.
func rate(all []history.Operation) []int {
	first := int64(0)
	for _, o := range all {
		if o.Verb != history.Look && (first == 0 || o.Begun < first) {
			first = o.Begun
		}
	}
	var seconds []int
	for _, o := range all {
		if o.Verb == history.Look || o.Done == 0 {
			continue
		}
		second := int((o.Done - first) / int64(time.Second))
		for len(seconds) <= second {
			seconds = append(seconds, 0)
		}
		seconds[second]++
	}
	return seconds
}

// longest gives the longest outage by some measure.
func (r *report) longest(measure func(outage) time.Duration) time.Duration {
	if len(r.outages) == 0 {
		return 0
	}
	return measure(slices.MaxFunc(r.outages, func(a, b outage) int { return cmp.Compare(measure(a), measure(b)) }))
}

// faults is an error when the run has shown one, or has not shown what it was to show.
func (r *report) faults() error {
	found := []error{r.verdict.Err()}
	if r.verdict.Attempts < r.attempts || len(r.kills) < r.settings.kills || len(r.outages) < r.failures {
		found = append(found, fmt.Errorf("not all was done: %d tries, %d kills, %d failures", r.verdict.Attempts, len(r.kills), len(r.outages)))
	}
	if r.verdict.Won == 0 || r.verdict.Contended*10 < r.verdict.Things && r.nodes > 1 {
		found = append(found, fmt.Errorf("hardly anything was raced for: %d of %d", r.verdict.Contended, r.verdict.Things))
	}
	if slowest := r.longest(outage.recovery); slowest > 5*time.Second {
		found = append(found, fmt.Errorf("it took %s from a promotion to the first write", slowest))
	}
	return errors.Join(found...)
}

// text is the table at the end of a run.
func (r *report) text() string {
	var b strings.Builder
	for _, row := range r.rows() {
		fmt.Fprintf(&b, "%-58s %s\n", row[0], row[1])
	}
	return b.String()
}

// rows are the figures with their names.
func (r *report) rows() [][2]string {
	v := r.verdict
	rows := [][2]string{
		{"processes × racers in each", fmt.Sprintf("%d × %d", r.nodes, r.players)},
		{"how long", r.ended.Sub(r.began).Round(time.Second).String()},
		{"one-time things", fmt.Sprint(v.Things)},
		{"of them used while another try was under way", fmt.Sprint(v.Contended)},
		{"tries to use one", fmt.Sprint(v.Attempts)},
	}
	for _, name := range slices.Sorted(maps.Keys(r.kinds)) {
		c := r.kinds[name]
		rows = append(rows, [2]string{"tries: " + names[name], fmt.Sprintf("%d: %d won, %d refused, %d unknown", c.tries, c.won, c.refused, c.unknown)})
	}
	return append(rows, [][2]string{
		{"acknowledged writes", fmt.Sprint(v.Acknowledged)},
		{"looks at what is left of them", fmt.Sprint(v.Looked)},
		{"nodes killed (kill -9)", fmt.Sprint(len(r.kills))},
		{"database failures", fmt.Sprint(len(r.outages))},
		{"**used twice**", fmt.Sprint(v.Of(history.DoubleSuccess))},
		{"**acknowledged and lost**", fmt.Sprint(v.Of(history.LostWrite))},
		{"**ended and back**", fmt.Sprint(v.Of(history.Resurrected))},
		{"**done by half**", fmt.Sprint(v.Of(history.HalfDone))},
		{"**refused without a cause**", fmt.Sprint(v.Of(history.Phantom))},
		{"longest from a failure to the next acknowledged write", seconds(r.longest(outage.total))},
		{"longest from the promotion to the next acknowledged write", seconds(r.longest(outage.recovery))},
	}...)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// names are the kinds for a reader.
var names = map[string]string{
	"code":        "authorization codes",
	"jti":         "`jti` of assertions and proofs",
	"request":     "`request_uri`",
	"decision":    "decisions of backchannel requests",
	"auth_req_id": "`auth_req_id`",
	"refresh":     "one refresh request (refresh tokens stay)",
}
