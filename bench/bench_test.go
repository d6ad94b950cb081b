package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func measured() *results {
	r := &results{workers: 2, rounds: 3}
	for _, cpu := range []float64{2.0, 1.5, 3.0} {
		r.add("countersign sqlite PS256", "flow", sample{cpu: cpu, p50: 5, p99: 9, rate: 100, memory: 80})
		r.add(reference, "flow", sample{cpu: 4, memory: 200})
	}
	return r
}

func TestResults(t *testing.T) {
	r := measured()
	if got := r.cpu("countersign sqlite PS256", "flow"); got != 2.0 {
		t.Errorf("median %v, want 2", got)
	}
	if least, most := r.spread("countersign sqlite PS256", "flow"); least != 1.5 || most != 3 {
		t.Errorf("spread %v to %v, want 1.5 to 3", least, most)
	}
	ratios := r.ratios().text()
	if !strings.Contains(ratios, "0.50") || !strings.Contains(ratios, "reached") || strings.Contains(ratios, "missed") {
		t.Errorf("2 of 4 ms is within 0.6:\n%s", ratios)
	}
	r.add("countersign sqlite PS256", "flow", sample{cpu: 9, memory: 101})
	r.add("countersign sqlite PS256", "flow", sample{cpu: 9})
	if ratios = r.ratios().text(); !strings.Contains(ratios, "missed") || strings.Contains(ratios, "reached") {
		t.Errorf("3 of 4 ms is not within 0.6, nor 101 MiB within 100:\n%s", ratios)
	}
}

func TestPicture(t *testing.T) {
	decoder := xml.NewDecoder(strings.NewReader(measured().picture()))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestWriteBetween(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeBetween(file, "new"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if want := "before\n" + begin + "\nnew\n" + end + "after\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if err := os.WriteFile(file, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	if writeBetween(file, "new") == nil {
		t.Error("a page without marks was overwritten")
	}
}

// TestTree finds this very process below its parent.
func TestTree(t *testing.T) {
	for _, p := range tree([]int{os.Getppid()}) {
		if p.id == os.Getpid() {
			return
		}
	}
	t.Error("the tree of the parent does not hold this process")
}
