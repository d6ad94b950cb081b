package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sample is a flood beside which all is well.
func sample() result {
	took := make([]time.Duration, 100)
	for i := range took {
		took[i] = time.Duration(i+1) * 9 * time.Millisecond
	}
	return result{
		flood: "a flood", honest: "honest users", kind: "sqlite", sent: 1000, answers: map[int]int{429: 990, 200: 9, 0: 1},
		alone:  watched{tries: 100, ok: 100, took: took, lasted: 10 * time.Second},
		beside: watched{tries: 100, ok: 100, took: took, lasted: 10 * time.Second},
	}
}

// TestFaults: a run fails when honest users are refused or wait for a second, and when there was no flood.
func TestFaults(t *testing.T) {
	if err := faults([]result{sample()}); err != nil {
		t.Errorf("a good run: %v", err)
	}
	for want, change := range map[string]func(*result){
		"99 of 100 honest":                    func(r *result) { r.beside.ok, r.beside.first = 99, errors.New("429") },
		"429":                                 func(r *result) { r.beside.ok, r.beside.first = 99, errors.New("429") },
		"0 of 0 honest":                       func(r *result) { r.beside = watched{} },
		"slowest hundredth after 1.001s":      func(r *result) { r.beside.took[99] = 1001 * time.Millisecond },
		"a flood, sqlite: there was no flood": func(r *result) { r.sent = 0 },
	} {
		r := sample()
		change(&r)
		if err := faults([]result{sample(), r}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

// TestPublish: the table goes into its own part of the page.
func TestPublish(t *testing.T) {
	folder := t.TempDir()
	page := filepath.Join(folder, "reliability.md")
	if err := os.WriteFile(page, []byte("a\n<!-- begin abuse -->\nold\n<!-- end abuse -->\nb\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := publish(folder, "abuse", []result{sample()}); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"a\n<!-- begin abuse -->\n", "\n<!-- end abuse -->\nb\n",
		"| a flood | sqlite | 100/s: 429 99.0 %, 200 0.9 %, none 0.1 % | honest users | 459 ms | 900 ms | 10.0/s, 100 of 100 | 459 ms | 900 ms | 10.0/s, 100 of 100 |\n",
	} {
		if !strings.Contains(string(written), want) {
			t.Errorf("%q is not in the page:\n%s", want, written)
		}
	}
	if strings.Contains(string(written), "old") {
		t.Error("the former table is still there")
	}
	if err := publish(folder, "another", []result{sample()}); err == nil {
		t.Error("a page without the part was written")
	}
}

// TestNamed: floods are chosen by words of their names.
func TestNamed(t *testing.T) {
	for _, f := range floods() {
		if !named(f.name, "") || named(f.name, "no such flood") {
			t.Errorf("%s is chosen wrongly", f.name)
		}
	}
	if !named("one request_uri opened", "jwe, request_uri") {
		t.Error("a word is not found")
	}
}
