package measure

import (
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestGeometric(t *testing.T) {
	near := func(got, want float64) bool { return math.Abs(got-want) < 0.001 }
	for _, test := range []struct {
		name   string
		ratios []float64
		want   Estimate
	}{
		{"nothing", nil, Estimate{}},
		{"no measurements", []float64{0, -1, math.Inf(1)}, Estimate{}},
		{"one has no interval", []float64{3}, Estimate{3, 3, 3, 1, 1}},
		{"two and a half are one", []float64{2, 0.5}, Estimate{1, 0.00015, math.Exp(12.706 * math.Ln2), 2, math.Exp(math.Ln2 * math.Sqrt2)}},
		{"all the same", []float64{0.8, 0.8, 0.8}, Estimate{0.8, 0.8, 0.8, 3, 1}},
		// The deviation of -a, 0, a is a, and Student's 4.303 for two degrees of freedom goes over √3.
		{"three", []float64{math.Exp(-0.1), 1, math.Exp(0.1)}, Estimate{1, math.Exp(-0.4303 / math.Sqrt(3)), math.Exp(0.4303 / math.Sqrt(3)), 3, math.Exp(0.1)}},
	} {
		got := Geometric(test.ratios)
		if got.Pairs != test.want.Pairs || !near(got.Mean, test.want.Mean) || !near(got.Low, test.want.Low) ||
			!near(got.High/max(1, test.want.High), test.want.High/max(1, test.want.High)) || !near(got.Spread, test.want.Spread) {
			t.Errorf("%s: %+v, want %+v", test.name, got, test.want)
		}
	}
	if got := Geometric([]float64{0.5, 0.5}).String(); got != "0.50 (0.50 to 0.50)" {
		t.Errorf("written as %q", got)
	}
}

// TestStudent: beyond its table the quantile goes down to the normal distribution's, and never below it.
func TestStudent(t *testing.T) {
	last := math.Inf(1)
	for freedom := 1; freedom < 500; freedom++ {
		got := student(freedom)
		if got > last || got < 1.9599 {
			t.Fatalf("%v with %d degrees of freedom, %v with one less", got, freedom, last)
		}
		last = got
	}
	if got := student(60); math.Abs(got-2.000) > 0.003 {
		t.Errorf("%v with 60 degrees of freedom, want 2.000", got)
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   float64
	}{{nil, 0}, {[]float64{7}, 7}, {[]float64{3, 1}, 2}, {[]float64{9, 1, 2}, 2}} {
		if got := Median(test.values); got != test.want {
			t.Errorf("%v come to %v, want %v", test.values, got, test.want)
		}
	}
}

func TestQuantile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, test := range []struct {
		sorted  []time.Duration
		percent int
		want    time.Duration
	}{
		{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {hundred[:1], 99, 1}, {hundred[:3], 50, 2}, {hundred[:10], 99, 10}, {nil, 50, 0},
	} {
		if got := Quantile(test.sorted, test.percent); got != test.want {
			t.Errorf("%d of 100 of %d values: %d, want %d", test.percent, len(test.sorted), got, test.want)
		}
	}
}

// machine makes a /proc: the files by their names.
func machine(t *testing.T, load string, files map[string]string) Machine {
	t.Helper()
	m := Machine{Proc: t.TempDir(), Own: 100}
	files["loadavg"] = load + " 0.50 0.40 1/99 100\n"
	m.rewrite(t, files)
	return m
}

func (m Machine) rewrite(t *testing.T, files map[string]string) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(m.Proc, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stat is a line of proc_pid_stat(5), with a name that tries to mislead.
func stat(name, parent, user, system, started string) string {
	return "1 (" + name + ") S " + parent + " 0 0 0 0 0 0 0 0 0 " + user + " " + system + " 0 0 20 0 1 0 " + started + " 0 0\n"
}

const noSteal = "cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n"

// TestStrangers: whoever uses the processors and is not below us is found, by what was used in between.
func TestStrangers(t *testing.T) {
	m := machine(t, "0.10", map[string]string{
		"stat": noSteal, "version": "x",
		"1/stat": stat("init", "0", "5", "5", "1"), "100/stat": stat("bench", "50", "5", "5", "7"), "50/stat": stat("make", "1", "0", "0", "6"),
		"101/stat": stat("server", "100", "0", "0", "8"), "102/stat": stat("worker", "101", "0", "0", "9"),
		"200/stat": stat("a) S 100 ( b", "1", "40", "10", "3"), "201/stat": stat("reused", "1", "900", "0", "3"), "2/stat": stat("kthreadd", "0", "0", "0", "0"),
		"3/stat": stat("kworker", "2", "0", "0", "0"),
	})
	now := time.Now()
	before, err := m.Snapshot(now)
	if err != nil {
		t.Fatal(err)
	}
	m.rewrite(t, map[string]string{
		"100/stat": stat("bench", "50", "500", "0", "7"), "101/stat": stat("server", "100", "500", "500", "8"), "102/stat": stat("worker", "101", "500", "500", "9"),
		"200/stat": stat("a) S 100 ( b", "1", "60", "30", "3"), "201/stat": stat("reused", "1", "20", "0", "12"), "3/stat": stat("kworker", "2", "0", "80", "0"),
		"stat": "cpu  1700 5 500 100 0 0 0 7 0 0\n",
	})
	after, err := m.Snapshot(now.Add(10 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	got := m.Strangers(before, after)
	want := []Stranger{{3, "kworker", 0.08, true}, {200, "a) S 100 ( b", 0.04, false}, {201, "reused", 0.02, false}}
	if len(got) != len(want) {
		t.Fatalf("%+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("%+v, want %+v", got[i], want[i])
		}
	}
	if got := stolen(before, after); math.Abs(got-0.007) > 1e-9 {
		t.Errorf("%v was stolen, want 0.007", got)
	}
	said, err := m.During(before, after)
	if err != nil {
		t.Errorf("the kernel's threads count before, not during: %v", err)
	}
	// 2,185 ticks were used, 2,485 - 500 of them by ours (as 10 were used before), 80 by the kernel.
	if !strings.Contains(said, "used 6 % of one processor") || !strings.Contains(said, "took 0.7 % away") {
		t.Error(said)
	}
}

// TestJudge says each reason, and no other.
func TestJudge(t *testing.T) {
	for _, test := range []struct {
		name      string
		load      float64
		strangers []Stranger
		stolen    float64
		before    bool
		want      []string
	}{
		{"accepts a quiet machine", 0.99, []Stranger{{7, "cron", 0.05, false}}, 0.05, true, nil},
		{"refuses load", 1, nil, 0, true, []string{"load over the last minute is 1.00"}},
		{"refuses a process", 0, []Stranger{{7, "cc1", 0.06, false}, {8, "ld", 0.01, false}}, 0, false, []string{"process 7 (cc1) used 6 % of a processor"}},
		{"refuses a kernel thread before", 0, []Stranger{{7, "kswapd0", 0.5, true}}, 0, true, []string{"kswapd0"}},
		{"accepts a kernel thread during", 0, []Stranger{{7, "jbd2", 0.5, true}}, 0, false, nil},
		{"refuses a greedy hypervisor", 0, nil, 0.2, true, []string{"hypervisor took 20 %"}},
		{"says all", 3, []Stranger{{7, "cc1", 1, false}}, 0.2, true, []string{"load", "cc1", "hypervisor"}},
	} {
		err := judge(test.load, test.strangers, test.stolen, test.before)
		if (err == nil) != (test.want == nil) {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		for _, want := range test.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q lacks %q", test.name, err, want)
			}
		}
		if err != nil && strings.Contains(err.Error(), "(ld)") {
			t.Errorf("%s: %q blames the innocent", test.name, err)
		}
	}
}

// TestThisMachine reads the real /proc: this process is no stranger, and its parent is one.
func TestThisMachine(t *testing.T) {
	m := ThisMachine()
	s, err := m.Snapshot(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if !m.ours(os.Getpid(), s) || m.ours(os.Getppid(), s) {
		t.Error("this process is ours, its parent is not")
	}
	if load, err := m.load(); err != nil || load < 0 {
		t.Errorf("load %v: %v", load, err)
	}
}

func TestWritePage(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	const template = "# T\n<!-- a note -->\n<!-- one: begin -->\n<!-- one: end -->\nnew prose\n<!-- two: begin -->\n<!-- two: end -->\nend\n"
	if err := WritePage(file, template, "one", "first"); err != nil {
		t.Fatal(err)
	}
	if err := WritePage(file, strings.ReplaceAll(template, "new", "newer"), "two", "second"); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := "# T\n<!-- a note -->\n<!-- one: begin -->\n\nfirst\n<!-- one: end -->\nnewer prose\n<!-- two: begin -->\n\nsecond\n<!-- two: end -->\nend\n"
	if string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if prose := Prose(want); prose != strings.ReplaceAll(template, "new", "newer") {
		t.Errorf("the prose is %q", prose)
	}
	for name, bad := range map[string]string{"no such part": "nothing", "a part without an end": "<!-- one: begin -->\n"} {
		if err := WritePage(file, bad, "one", "x"); err == nil {
			t.Errorf("accepted %s", name)
		}
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != want {
		t.Errorf("a refusal changed the page: %q, %v", again, err)
	}
}
