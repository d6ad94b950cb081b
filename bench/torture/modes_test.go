package main

import (
	"context"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"countersign/bench/servers"
	"countersign/bench/torture/history"
	"countersign/internal/flowclient"
)

// newLab gives a lab with the program of this state of the code.
func newLab(t *testing.T) *servers.Lab {
	t.Helper()
	folder := t.TempDir()
	binary := filepath.Join(folder, "countersign")
	if output, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "../../cmd/countersign").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return &servers.Lab{Binary: binary, Folder: folder}
}

// TestReplicas: with one of two HSM replicas killed every second, no request fails and no signature is wrong.
func TestReplicas(t *testing.T) {
	total, err := settings{workers: 4, length: 5 * time.Second, every: time.Second}.killReplicas(t.Context(), newLab(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := total.faults(); err != nil || total.killed < 2 {
		t.Error(err)
	}
	t.Log(total)
}

// TestNodes: nodes that are killed under load lose nothing and issue nothing twice.
func TestNodes(t *testing.T) {
	s := settings{mode: "nodes", trials: 3, kills: 3, every: 500 * time.Millisecond}
	if err := s.runNodes(t.Context(), newLab(t)); err != nil {
		t.Error(err)
	}
}

// TestBackchannel: polls and decisions of CIBA requests race on two nodes.
func TestBackchannel(t *testing.T) {
	b, err := settings{requests: 25}.raceBackchannel(t.Context(), newLab(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.faults(); err != nil {
		t.Error(err)
	}
	t.Log(b)
}

// TestSchedule: misses are made up for, and the end of the context ends it.
func TestSchedule(t *testing.T) {
	tries := 0
	hits, err := schedule{count: 3, every: time.Millisecond}.run(t.Context(), func() (bool, error) {
		tries++
		return tries > 2, nil
	})
	if err != nil || len(hits) != 3 || tries != 5 {
		t.Errorf("%d hits of %d tries, %v", len(hits), tries, err)
	}
	if _, err := (schedule{count: 1, every: time.Millisecond}).run(t.Context(), func() (bool, error) { return false, errors.New("gone") }); err == nil {
		t.Error("a failure was forgotten")
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if hits, err := (schedule{count: -1, every: time.Millisecond, steady: true}).run(short, func() (bool, error) { return true, nil }); err != nil || len(hits) == 0 {
		t.Errorf("%d hits, %v", len(hits), err)
	}
	if hits, err := (schedule{every: time.Millisecond}).run(t.Context(), func() (bool, error) { return true, nil }); err != nil || len(hits) != 0 {
		t.Errorf("%d hits where none were wanted, %v", len(hits), err)
	}
}

// TestTogether: who succeeds is counted, an OAuth error is a refusal, and anything else spoils the trial.
func TestTogether(t *testing.T) {
	answers := func(failure error, replies ...flowclient.Reply) attempt {
		var turn atomic.Int32
		return func(context.Context, *servers.Client) (flowclient.Reply, error) {
			return replies[int(turn.Add(1))-1], failure
		}
	}
	reply := func(status int, body string) flowclient.Reply {
		return flowclient.Reply{Status: status, Header: http.Header{}, Body: []byte(body)}
	}
	refusal := `{"error":"invalid_grant"}`
	racers := make([]*servers.Client, 4)
	j := newJournal()
	err := together(t.Context(), j, "race/1", racers, answers(nil, reply(200, "{}"), reply(400, refusal), reply(200, "{}"), reply(401, refusal)))
	if err != nil {
		t.Error(err)
	}
	verdict, err := j.verdict()
	if err != nil || verdict.Won != 2 || verdict.Refused != 2 || verdict.Of(history.DoubleSuccess) != 1 {
		t.Errorf("%+v, %v", verdict, err)
	}
	if err := together(t.Context(), newJournal(), "race/1", racers, answers(nil, reply(200, "{}"), reply(503, "{}"), reply(400, refusal), reply(400, refusal))); err == nil {
		t.Error("a 503 was taken for a refusal")
	}
	if err := together(t.Context(), newJournal(), "race/1", racers, answers(errors.New("gone"), make([]flowclient.Reply, 4)...)); err == nil {
		t.Error("a request that failed was taken for a refusal")
	}
}

// TestModeFaults: a race without exactly one winner is a fault, and so is anything that came back, was lost or not done.
func TestModeFaults(t *testing.T) {
	good := outcome{race: "code", trials: 50, succeeded: 50}
	if err := raceFaults([]outcome{good}); err != nil {
		t.Error(err)
	}
	for _, bad := range []outcome{{race: "code", doubled: 1}, {race: "code", without: 1}} {
		if err := raceFaults([]outcome{good, bad}); err == nil {
			t.Errorf("%+v is no fault", bad)
		}
	}
	broken := history.Verdict{Violations: []history.Violation{{Kind: history.LostWrite, Thing: "code/1"}}}
	whole := survival{nodes: 3, killed: 20, flows: 10, redeemed: 8, raced: 4}
	if err := whole.faults(20); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*survival){
		func(s *survival) { s.verdict = broken }, func(s *survival) { s.killed-- }, func(s *survival) { s.raced = 0 },
		func(s *survival) { s.redeemed = 0 },
	} {
		s := whole
		if change(&s); s.faults(20) == nil {
			t.Errorf("%+v is no fault", s)
		}
	}
	safe := failover{flows: 10, killed: 2}
	if err := safe.faults(); err != nil {
		t.Error(err)
	}
	for _, change := range []func(*failover){
		func(f *failover) { f.verdict = broken }, func(f *failover) { f.killed = 0 }, func(f *failover) { f.wrongSignatures = 1 },
		func(f *failover) { f.first = errors.New("gone") },
	} {
		f := safe
		if change(&f); f.faults() == nil {
			t.Errorf("%+v is no fault", f)
		}
	}
}

func TestCompared(t *testing.T) {
	came := []outcome{{race: "code", trials: 50, succeeded: 50}}
	got := compared("ours", came, "theirs", []outcome{{trials: 50, doubled: 49, succeeded: 190}})
	if want := "| code | 0 of 50 | 50 of 200 | 49 of 50 | 190 of 200 |\n"; !strings.HasSuffix(got, want) || !strings.Contains(got, "\n|---|--:|--:|--:|--:|\n") {
		t.Errorf("got %q, want %q at its end", got, want)
	}
	if got, want := compared("ours", came, "", nil), "|---|--:|--:|\n| code | 0 of 50 | 50 of 200 |\n"; !strings.HasSuffix(got, want) {
		t.Errorf("got %q, want %q at its end", got, want)
	}
}
