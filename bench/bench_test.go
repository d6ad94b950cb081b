package main

import (
	"encoding/base64"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/internal/flowclient"
)

var update = flag.Bool("update", false, "write the golden files again")

func measured() *results {
	r := &results{workers: 2, rounds: 3, processors: 2, servers: []string{"countersign sqlite PS256", reference}}
	for _, cpu := range []float64{2.0, 1.5, 3.0} {
		r.add("countersign sqlite PS256", "flow", sample{CPU: cpu, P50: 5, P95: 8, P99: 9, Rate: 100, Memory: 80, Peak: 90})
		r.add(reference, "flow", sample{CPU: 4, Memory: 200})
	}
	return r
}

func TestResults(t *testing.T) {
	r := measured()
	if got, want := r.cpu("countersign sqlite PS256", "flow"), (summary{2, 1.5, 3}); got != want {
		t.Errorf("CPU time %v, want %v", got, want)
	}
	ratios := r.ratios().text()
	if !strings.Contains(ratios, "0.50") || !strings.Contains(ratios, "reached") || strings.Contains(ratios, "missed") {
		t.Errorf("2 of 4 ms is within 0.6:\n%s", ratios)
	}
	for range 2 {
		r.add("countersign sqlite PS256", "flow", sample{CPU: 3, Memory: 101})
		r.add(reference, "flow", sample{CPU: 4})
	}
	if ratios = r.ratios().text(); !strings.Contains(ratios, "missed") || strings.Contains(ratios, "reached") {
		t.Errorf("3 of 4 ms is not within 0.6, nor 101 MiB within 100:\n%s", ratios)
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
	picture := measured().picture()
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

func TestMarkdown(t *testing.T) { golden(t, "measured.md", measured().markdown()) }

func TestSummarise(t *testing.T) {
	for _, test := range []struct {
		values []float64
		want   summary
	}{
		{nil, summary{}}, {[]float64{7}, summary{7, 7, 7}}, {[]float64{3, 1}, summary{2, 1, 3}}, {[]float64{9, 1, 2}, summary{2, 1, 9}},
	} {
		if got := summarise(test.values); got != test.want {
			t.Errorf("%v come to %v, want %v", test.values, got, test.want)
		}
	}
}

// TestRatio: each round is against the reference's of the same round, so that a slow minute says nothing.
func TestRatio(t *testing.T) {
	r := &results{}
	for _, slow := range []float64{1, 5, 2} {
		r.add("ours", "flow", sample{CPU: 1 * slow})
		r.add(reference, "flow", sample{CPU: 4 * slow})
	}
	if got, want := r.ratio("ours", "flow"), (summary{0.25, 0.25, 0.25}); got != want {
		t.Errorf("ratio %v, want %v", got, want)
	}
	if got := r.ratio("ours", "PAR"); got != (summary{}) {
		t.Errorf("a step that was not measured has the ratio %v", got)
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
		{hundred, 50, 50}, {hundred, 95, 95}, {hundred, 99, 99}, {hundred[:1], 99, 1}, {hundred[:3], 50, 2}, {hundred[:10], 99, 10},
	} {
		if got := quantile(test.sorted, test.percent); got != test.want {
			t.Errorf("%d of 100 of %d values: %d, want %d", test.percent, len(test.sorted), got, test.want)
		}
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

func TestWriteBetween(t *testing.T) {
	file := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(file, []byte("before\n"+begin+"old\n"+end+"after\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeBetween(file, begin, end, "new"); err != nil {
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
	if writeBetween(file, begin, end, "new") == nil {
		t.Error("a page without marks was overwritten")
	}
}

// TestGrowthTable: growth is that of the same round, and both goals decide.
func TestGrowthTable(t *testing.T) {
	pair := func(few, many, trips float64) [2]grownSample {
		return [2]grownSample{{sample{CPU: few}, trips}, {sample{CPU: many}, trips}}
	}
	r := &growthResults{few: 10_000, many: 10_000_000, rounds: 3, samples: map[string][][2]grownSample{
		"flow":    {pair(1, 1.05, 5), pair(2, 2.2, 5), pair(4, 4, 5)},
		"refresh": {pair(1, 1.2, 2)},
		"PAR":     {pair(1, 1, 10)},
	}}
	text := r.markdown()
	for _, want := range []string{
		"ms of CPU with 10^4 grants | with 10^7", "| flow | 2.00 (1.00 to 4.00) | 2.20 (1.05 to 4.00) | 1.05 (1.00 to 1.10) | 1.10 | 5.00 | 9 | reached |",
		"| refresh | 1.00 (1.00 to 1.00) | 1.20 (1.20 to 1.20) | 1.20 (1.20 to 1.20) | 1.10 | 2.00 | 9 | missed |", "10.00 | 9 | missed |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q:\n%s", want, text)
		}
	}
	if picture := r.picture(); !strings.Contains(picture, "2.20 (×1.05)") || !strings.Contains(picture, ">PAR<") {
		t.Errorf("the picture: %s", picture)
	}
	if got := count(25_000); got != "25000" {
		t.Errorf("25000 is written %s", got)
	}
}
