package main

import (
	"context"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/bench/floor"
	"countersign/bench/measure"
	"countersign/bench/servers"
	"countersign/internal/flowclient"
	"countersign/internal/postgrestest"
)

// TestMain: this program is the floor server too.
func TestMain(m *testing.M) {
	if code, ok := floor.Child(os.Args); ok {
		os.Exit(code)
	}
	os.Exit(cluster.Run(m))
}

// cluster is the PostgreSQL of the tests.
var cluster postgrestest.Cluster

var update = flag.Bool("update", false, "write the golden files again")

// sampled is a result of three rounds: the cost of each server in each, in milliseconds. A cost of 0 was not measured.
func sampled(step string, atOnce int, costs map[string][3]float64) *results {
	r := newResults(32)
	r.rounds, r.processors, r.noise = 3, 2, "Nobody else was there."
	for _, v := range variants() {
		if _, ok := costs[v.name]; !ok {
			continue
		}
		r.servers = append(r.servers, v.name)
		for round, cpu := range costs[v.name] {
			if cpu > 0 {
				r.add(key{v.name, step, atOnce}, round, sample{CPU: cpu, P50: 5, P95: 8, P99: 9, Rate: 100, Memory: 90, Proportional: 70, Peak: 95})
			}
		}
	}
	return r
}

func typical() *results {
	r := sampled("flow", 32, map[string][3]float64{
		ours + "sqlite ES256": {1.5, 1.6, 1.4}, reference: {4, 4, 4}, "floor ES256": {1, 1, 1}, unsigned: {0.8, 0.8, 0.8}, "keycloak PS256": {16, 0, 0},
	})
	r.add(key{ours + "sqlite ES256", "flow", 1}, 0, sample{CPU: 3})
	r.add(key{reference, "flow", 1}, 0, sample{CPU: 4})
	r.memories[ours+"sqlite ES256"] = memory{Idle: 60, IdleResident: 70, SignIns: 181, SignInsResident: 200}
	r.alike, r.alikeOf = measure.Geometric([]float64{1.01, 0.99}), "x, flow"
	return r
}

// TestOpencryptokiGoal: the goal for opencryptoki is judged by its own server where it ran, and said to be not run where it did not; and
// it is not compared to a floor whose token is another.
func TestOpencryptokiGoal(t *testing.T) {
	costs := map[string][3]float64{ours + "sqlite PS256": {3, 3, 3}, reference: {4, 4, 4}, floorName("PS256"): {2, 2, 2}, unsigned: {1, 1, 1}}
	row := `flow, 32 at once +countersign sqlite PS256 with opencryptoki to node-oidc-provider PS256 +0.58 +`
	if got := sampled("flow", 32, costs).verdicts().Text(); !regexp.MustCompile(row + `not run`).MatchString(got) {
		t.Errorf("without opencryptoki:\n%s", got)
	}
	for cost, want := range map[float64]string{2: `0\.50.* +reached`, 3: `0\.75.* +missed`} {
		costs[cryptoki] = [3]float64{cost, cost, cost}
		got := sampled("flow", 32, costs).verdicts().Text()
		if !regexp.MustCompile(row + want).MatchString(got) {
			t.Errorf("want %s:\n%s", want, got)
		}
		if strings.Contains(got, "opencryptoki to the floor") {
			t.Errorf("there is no floor with opencryptoki:\n%s", got)
		}
	}
}

// TestVerdicts: each goal is judged by its own row and by the mean.
func TestVerdicts(t *testing.T) {
	got := typical().verdicts().Text()
	for _, want := range []string{
		`flow, 32 at once +countersign sqlite ES256 to node-oidc-provider PS256 +0.38 +0.37 \(0.32 to 0.44\) +reached`,
		`flow, 1 at once +countersign sqlite ES256 to node-oidc-provider PS256 +0.65 +0.75 +missed`,
		// 1.5, 1.6 and 1.4 without the token's 0.2, to 0.8.
		`apart from the token's own time +countersign sqlite ES256 to the floor +1.50 +1.62 \(1.34 to 1.96\) +missed`,
		`MiB of PSS idle +countersign sqlite ES256 +60 +60 +reached`,
		`MiB of PSS under load +countersign sqlite ES256 +80 +70 +reached`,
		`MiB of PSS with 64 sign-ins at once +countersign sqlite ES256 +180 +181 +missed`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("%s is missing:\n%s", want, got)
		}
	}
	if lines := strings.Count(got, "\n"); lines != 7 {
		t.Errorf("%d lines; what was not measured has no verdict:\n%s", lines, got)
	}
}

// TestGoals: each is of a server, a step and a number of clients that are measured.
func TestGoals(t *testing.T) {
	plan, err := (&machine{settings: settings{workers: 32, atOnce: "1 8 128"}}).plan()
	if err != nil {
		t.Fatal(err)
	}
	if len(goals()) != 17 {
		t.Errorf("%d goals", len(goals()))
	}
	for _, g := range goals() {
		atOnce := max(g.atOnce, 0)
		if atOnce == 0 {
			atOnce = 32
		}
		if !slices.Contains(names(), g.server) || !slices.ContainsFunc(plan, func(i item) bool { return i.name == g.step && i.atOnce == atOnce }) {
			t.Errorf("%+v is not measured", g)
		}
	}
}

// TestApart: the token's own time is what the floor takes more with it, in the same round; rounds without all three say
// nothing, nor do other servers.
func TestApart(t *testing.T) {
	r := sampled("flow", 32, map[string][3]float64{
		ours + "postgres PS256": {3, 30, 3}, "floor PS256": {2, 20, 0}, unsigned: {1, 10, 1}, reference: {4, 4, 4},
	})
	if got := r.apart(key{ours + "postgres PS256", "flow", 32}); got.Pairs != 2 || got.Mean != 2 {
		t.Errorf("%+v, want 2 of two pairs", got)
	}
	for _, server := range []string{reference, "floor PS256", unsigned, ours + "sqlite ES256"} {
		if got := r.apart(key{server, "flow", 32}); got.Pairs != 0 {
			t.Errorf("%s: %+v", server, got)
		}
	}
}

// TestTrusted: a server that differs from itself makes all other differences worthless.
func TestTrusted(t *testing.T) {
	for _, test := range []struct {
		ratios []float64
		good   bool
	}{
		{[]float64{1.01, 0.99, 1}, true}, {[]float64{1.04, 1.041, 1.042}, true}, {[]float64{1.07, 1.071, 1.072}, false},
		{[]float64{0.9, 0.901, 0.902}, false}, {nil, true},
	} {
		r := newResults(1)
		r.alike = measure.Geometric(test.ratios)
		if err := r.trusted(); (err == nil) != test.good {
			t.Errorf("%v: %v", test.ratios, err)
		}
	}
}

// TestPlan: every step with all workers, and a flow with the others.
func TestPlan(t *testing.T) {
	describe := func(s settings) string {
		plan, err := (&machine{settings: s}).plan()
		if err != nil {
			return "refused"
		}
		var all []string
		for _, i := range plan {
			all = append(all, fmt.Sprint(i.name, "@", i.atOnce))
		}
		return strings.Join(all, " ")
	}
	for _, test := range []struct {
		settings settings
		want     string
	}{
		{settings{workers: 32, atOnce: "1 8 128"}, "flow@32 client_credentials@32 PAR@32 refresh@32 flow@1 flow@8 flow@128"},
		{settings{workers: 8, atOnce: "1 8", steps: "flow"}, "flow@8 flow@1"},
		{settings{workers: 8, atOnce: "1 8", steps: "PAR refresh"}, "PAR@8 refresh@8"},
		{settings{workers: 8, atOnce: "many"}, "refused"},
		{settings{workers: 8, atOnce: "0"}, "refused"},
	} {
		if got := describe(test.settings); got != test.want {
			t.Errorf("%+v: %s, want %s", test.settings, got, test.want)
		}
	}
}

// TestTurns: in two rounds nobody comes first twice, nor after the same neighbour.
func TestTurns(t *testing.T) {
	var up []*target
	for _, name := range []string{"a", "b", "c"} {
		up = append(up, &target{Server: &servers.Server{Name: name}})
	}
	order := func(round, at int) (all string) {
		for _, s := range turns(up, round, at) {
			all += s.Name
		}
		return all
	}
	for at, want := range [][3]string{{"abc", "acb", "cab"}, {"bca", "bac", "abc"}} {
		for round, want := range want {
			if got := order(round, at); got != want {
				t.Errorf("round %d, item %d: %s, want %s", round, at, got, want)
			}
		}
	}
}

// TestWarm: a server that still gets cheaper is not warm, and one slice says nothing.
func TestWarm(t *testing.T) {
	for _, test := range []struct {
		slice        int
		best, newest float64
		want         bool
	}{{0, 0, 5, false}, {1, 5, 4, false}, {1, 5, 4.9, true}, {3, 2, 3, true}} {
		if got := warm(test.slice, test.best, test.newest); got != test.want {
			t.Errorf("slice %d, %v after %v: %v", test.slice, test.newest, test.best, got)
		}
	}
}

// TestFloors starts every floor server as a program and takes every step: the tokens have the algorithms of the rows, those
// without a token's signatures too.
func TestFloors(t *testing.T) {
	m := &machine{Lab: &servers.Lab{Folder: t.TempDir()}}
	for _, v := range variants() {
		if !strings.HasPrefix(v.name, "floor") {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			s := &target{Server: &servers.Server{Name: v.name, Alg: v.alg}}
			t.Cleanup(s.Close)
			if err := v.start(t.Context(), m, s.Server); err != nil {
				t.Fatal(err)
			}
			if err := s.prepare(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			for _, step := range steps() {
				taken, err := s.measure(t.Context(), step, 2, 0.05)
				if err != nil {
					t.Fatalf("%s: %v", step.name, err)
				}
				if taken.CPU <= 0 || taken.Operations < 1 || taken.Proportional <= 1 || taken.Proportional > taken.Memory {
					t.Errorf("%s: %+v", step.name, taken)
				}
			}
			if _, err := s.measure(t.Context(), steps()[0], 3, 0.05); err == nil {
				t.Error("two clients are not three")
			}
		})
	}
}

// TestPages: the pages of docs are their templates, but for what is measured.
func TestPages(t *testing.T) {
	for name, template := range map[string]string{"performance.md": page, "performance-store.md": growthPage} {
		raw, err := os.ReadFile(filepath.Join("..", "docs", name))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(template, measure.Prose(string(raw))); diff != "" {
			t.Errorf("docs/%s differs from bench/pages/%[1]s (-template +page): change both, or have it written:\n%s", name, diff)
		}
	}
}

// golden compares with a file of testdata.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); if that is right, run with -update:\n%s", name, diff)
	}
}

func TestPicture(t *testing.T) {
	picture := typical().picture()
	golden(t, "picture.svg", picture)
	decoder := xml.NewDecoder(strings.NewReader(picture))
	for {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

func TestMarkdown(t *testing.T) { golden(t, "measured.md", typical().markdown()) }

// TestRatio: each round is against the other's of the same round, so that a slow minute says nothing.
func TestRatio(t *testing.T) {
	r := sampled("flow", 32, map[string][3]float64{ours + "sqlite ES256": {1, 5, 2}, reference: {4, 20, 8}})
	r.add(key{ours + "sqlite ES256", "flow", 32}, 3, sample{CPU: 100}) // the reference was not measured then
	if got, want := r.ratio(key{ours + "sqlite ES256", "flow", 32}, reference), (measure.Estimate{Mean: 0.25, Low: 0.25, High: 0.25, Pairs: 3, Spread: 1}); got != want {
		t.Errorf("ratio %+v, want %+v", got, want)
	}
	for _, k := range []key{{ours + "sqlite ES256", "PAR", 32}, {ours + "sqlite ES256", "flow", 1}} {
		if got := r.ratio(k, reference); got.Pairs != 0 {
			t.Errorf("%+v, which was not measured, has the ratio %+v", k, got)
		}
	}
}

// TestIsRefused: who is told to come again has not failed.
func TestIsRefused(t *testing.T) {
	for text, want := range map[string]bool{
		"the server showed an error page (status 503 (correlation id x)): later": true, "the server showed an error page (status 429): later": true,
		"the server showed an error page (status 500): 503": false,
	} {
		if got := isRefused(errors.New(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	for status, want := range map[int]bool{503: true, 429: true, 500: false, 400: false} {
		if got := isRefused(fmt.Errorf("flow: %w", &flowclient.RefusedError{Want: 200, Reply: flowclient.Reply{Status: status}})); got != want {
			t.Errorf("%d: %v", status, got)
		}
	}
	if isRefused(nil) {
		t.Error("success is no refusal")
	}
	tries := 0
	refused, err := patient(t.Context(), nil, func(*actor, context.Context) error {
		if tries++; tries < 3 {
			return &flowclient.RefusedError{Want: 200, Reply: flowclient.Reply{Status: 503}}
		}
		return nil
	})
	if err != nil || refused != 2 {
		t.Errorf("the third try succeeds: %d refused, %v", refused, err)
	}
	r := typical()
	r.add(key{ours + "postgres ES256", "flow", 128}, 0, sample{CPU: 1, Operations: 9, Refused: 2})
	if got := r.refusals(); !strings.Contains(got, "postgres ES256, flow, 128 at once: 2 beside 9 that succeeded") {
		t.Error(got)
	}
}

// TestCheckToken: only the work of the row counts.
func TestCheckToken(t *testing.T) {
	token := func(alg string) string {
		return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"`+alg+`"}`)) + ".e30.c2ln"
	}
	a := &actor{alg: "PS256"}
	for _, test := range []struct {
		name   string
		answer flowclient.Tokens
		good   bool
	}{
		{"as the row says", flowclient.Tokens{TokenType: "DPoP", AccessToken: token("PS256")}, true},
		{"another algorithm", flowclient.Tokens{TokenType: "DPoP", AccessToken: token("ES256")}, false},
		{"opaque", flowclient.Tokens{TokenType: "DPoP", AccessToken: "opaque"}, false},
		{"none", flowclient.Tokens{TokenType: "DPoP"}, false},
		{"a bearer", flowclient.Tokens{TokenType: "Bearer", AccessToken: token("PS256")}, false},
	} {
		if err := a.checkToken(test.answer); (err == nil) != test.good {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// TestGrowthTable: growth is that of the same round, and both goals decide.
func TestGrowthTable(t *testing.T) {
	pair := func(few, many, trips float64) [2]grownSample {
		return [2]grownSample{{sample{CPU: few}, trips}, {sample{CPU: many}, trips}}
	}
	r := &growthResults{kind: kinds()[0], started: [2]time.Duration{100 * time.Millisecond, 140 * time.Millisecond}, few: 10_000, many: 10_000_000, rounds: 3, samples: map[string][][2]grownSample{
		"flow":    {pair(1, 1.05, 5), pair(2, 2.2, 5), pair(4, 4, 5)},
		"refresh": {pair(1, 1.2, 2)},
		"PAR":     {pair(1, 1, 10)},
	}}
	r.sizes, r.grew, r.noise = [2]int64{15_000_000, 5_925_400_000}, [2]float64{2048, 2050.4}, "Nobody else was there."
	text := r.markdown()
	for _, want := range []string{
		"ms of CPU with 10^4 grants | with 10^7", "| flow | 2.00 | 2.20 | 1.05 (0.93 to 1.18) | 1.10 | reached | 5.00 | 9 | reached |",
		"| refresh | 1.00 | 1.20 | 1.20 | 1.10 | missed | 2.00 | 9 | reached |", "10.00 | 9 | missed |", "15 MB on the disk with 10^4 grants and 5925 MB with 10^7",
		"by 2048 and by 2050 bytes", "Nobody else", "| start | 100 | 140 | 1.40 | 1.30 | missed |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if picture := r.picture(); !strings.Contains(picture, "2.20 (×1.05)") || !strings.Contains(picture, "PostgreSQL") || !strings.Contains(picture, ">PAR<") {
		t.Errorf("the picture: %s", picture)
	}
	r.sqlite = true
	if text := r.markdown(); strings.Contains(text, "round trips") || !strings.Contains(r.picture(), "SQLite") {
		t.Errorf("SQLite has no round trips:\n%s", text)
	}
	if got := count(25_000); got != "25000" {
		t.Errorf("25000 is written %s", got)
	}
}
