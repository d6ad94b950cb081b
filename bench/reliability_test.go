package main

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
)

// TestTogether: who succeeds is counted, an OAuth error is a refusal, and anything else spoils the trial.
func TestTogether(t *testing.T) {
	racers := []*actor{{}, {}, {}, {}}
	answers := func(statuses []int, bodies []string, failure error) func(context.Context, *actor) (int, string, error) {
		var turn atomic.Int32
		return func(context.Context, *actor) (int, string, error) {
			i := int(turn.Add(1)) - 1
			return statuses[i], bodies[i], failure
		}
	}
	refusal := `{"error":"invalid_grant"}`
	succeeded, err := together(t.Context(), racers, answers([]int{200, 400, 200, 401}, []string{"{}", refusal, "{}", refusal}, nil))
	if succeeded != 2 || err != nil {
		t.Errorf("got %d, %v", succeeded, err)
	}
	if _, err := together(t.Context(), racers, answers([]int{200, 503, 400, 400}, []string{"{}", "{}", refusal, refusal}, nil)); err == nil {
		t.Error("a 503 was taken for a refusal")
	}
	if _, err := together(t.Context(), racers, answers([]int{0, 0, 0, 0}, []string{"", "", "", ""}, errors.New("gone"))); err == nil {
		t.Error("a request that failed was taken for a refusal")
	}
}

// TestReliabilityFaults: a race without exactly one winner is a fault, and so is anything that came back, was lost or not done.
func TestReliabilityFaults(t *testing.T) {
	good := outcome{race: "code", trials: trials, succeeded: trials}
	if err := faults([]outcome{good}); err != nil {
		t.Error(err)
	}
	for _, bad := range []outcome{{race: "code", doubled: 1}, {race: "code", without: 1}} {
		if err := faults([]outcome{good, bad}); err == nil {
			t.Errorf("%+v is no fault", bad)
		}
	}
	whole := survival{nodes: 3, killed: nodeKills, flows: 10, redeemed: 8, raced: 4}
	if err := whole.faults(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*survival){
		func(s *survival) { s.doubled = 1 }, func(s *survival) { s.lost = 1 }, func(s *survival) { s.resurrected = 1 },
		func(s *survival) { s.killed-- }, func(s *survival) { s.raced = 0 }, func(s *survival) { s.redeemed = 0 },
	} {
		s := whole
		if change(&s); s.faults() == nil {
			t.Errorf("%+v is no fault", s)
		}
	}
}

func TestCompared(t *testing.T) {
	got := compared("ours", []outcome{{race: "code", trials: 50, succeeded: 50}}, "theirs", []outcome{{trials: 50, doubled: 49, succeeded: 190}})
	if want := "| code | 0 of 50 | 50 of 200 | 49 of 50 | 190 of 200 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}
