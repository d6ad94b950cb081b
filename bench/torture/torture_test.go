package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/bench/torture/history"
)

// TestMain makes this binary its own nodes.
func TestMain(m *testing.M) {
	if encoded, isNode := os.LookupEnv(workerVariable); isNode {
		var n node
		err := json.Unmarshal([]byte(encoded), &n)
		if err == nil {
			err = n.obey(context.Background())
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestTorture is a short run with all that a long one has: processes that race and are killed, a database that is killed.
func TestTorture(t *testing.T) {
	for _, s := range []settings{
		{database: "sqlite", nodes: 3, players: 2, attempts: 3000, kills: 4, every: 300 * time.Millisecond},
		{database: "postgres", nodes: 3, players: 2, attempts: 3000, kills: 4, every: 400 * time.Millisecond, failures: 1, failing: time.Second},
	} {
		t.Run(s.database, func(t *testing.T) {
			s.keep = t.TempDir()
			r, err := s.tortureStore(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("\n%s", r.text())
			if err := r.faults(); err != nil {
				t.Error(err)
			}
			// That the checker would have seen a fault: one try of the same history is told as another outcome.
			if forged := forge(t, s.keep); !strings.Contains(fmt.Sprint(forged.Violations), string(history.DoubleSuccess)) {
				t.Error("a forged success was not seen")
			}
		})
	}
}

// forge reads the history of a run, has one who was refused win, and judges that.
func forge(t *testing.T, folder string) history.Verdict {
	t.Helper()
	all, err := (&course{folder: folder}).read()
	if err != nil {
		t.Fatal(err)
	}
	won := map[string]bool{}
	for _, o := range all {
		if o.Verb == history.Consume && o.Outcome == history.OK {
			won[o.Thing] = true
		}
	}
	for i, o := range all {
		if o.Verb == history.Consume && o.Outcome == history.Refused && won[o.Thing] {
			all[i].Outcome = history.OK
			return history.Check(all)
		}
	}
	t.Fatal("nobody was refused")
	return history.Verdict{}
}

// sample is a run as it might be.
func sample() *report {
	began := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	return &report{
		settings: settings{nodes: 4, players: 4, attempts: 100, kills: 1, failures: 1},
		verdict:  history.Verdict{Things: 10, Contended: 9, Attempts: 160, Won: 10, Refused: 149, Unknown: 1, Acknowledged: 20, Looked: 30},
		kinds:    map[string]count{"code": {tries: 160, won: 10, refused: 149, unknown: 1}},
		outages: []outage{{failure: failure{"PostgreSQL of the primary killed", began.Add(2 * time.Second)},
			promoted: began.Add(3 * time.Second), answered: began.Add(3500 * time.Millisecond)}},
		kills: []time.Time{began.Add(time.Second)},
		began: began, ended: began.Add(5 * time.Second), rate: []int{10, 50, 20, 0, 60},
	}
}

// TestFaults: a run that shows a fault, or less than it was to show, fails.
func TestFaults(t *testing.T) {
	if err := sample().faults(); err != nil {
		t.Errorf("a good run: %v", err)
	}
	tests := map[string]func(*report){
		"double success: code/1": func(r *report) {
			r.verdict.Violations = []history.Violation{{Kind: history.DoubleSuccess, Thing: "code/1", Why: "a and b"}}
		},
		"and 5 more":       func(r *report) { r.verdict.Violations = make([]history.Violation, 25) },
		"not all was done": func(r *report) { r.kills = nil },
		"hardly anything":  func(r *report) { r.verdict.Contended = 0 },
		"it took 6.5s":     func(r *report) { r.outages[0].answered = r.outages[0].promoted.Add(6500 * time.Millisecond) },
	}
	for want, change := range tests {
		r := sample()
		change(r)
		if err := r.faults(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestPublish: the figures go into their own part of the page, and the picture is drawn from the same run.
func TestPublish(t *testing.T) {
	folder := t.TempDir()
	page := filepath.Join(folder, "reliability.md")
	write := func(text string) {
		if err := os.WriteFile(page, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("before\n<!-- begin patroni -->\nold\n<!-- end patroni -->\n<!-- begin postgres -->\nkept\n<!-- end postgres -->\n")
	if err := sample().publish(folder, "patroni"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"before\n", "\nkept\n", "| **used twice** | 0 |", "| PostgreSQL of the primary killed | 1.50 s | 0.50 s |"} {
		if !strings.Contains(string(got), want) {
			t.Errorf("the page has no %q:\n%s", want, got)
		}
	}
	if strings.Contains(string(got), "old") {
		t.Error("the old figures are there still")
	}
	picture, err := os.ReadFile(filepath.Join(folder, "reliability-patroni.svg"))
	if err != nil || strings.Count(string(picture), `fill="#105748"`) != 5 || !strings.Contains(string(picture), ">1.50 s<") {
		t.Errorf("the picture: %v\n%s", err, picture)
	}
	write("nothing")
	if err := sample().publish(folder, "patroni"); err == nil {
		t.Error("a page without its marks was written")
	}
}
