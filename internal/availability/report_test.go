package availability

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/store"
)

const wholeHour = 1<<60 - 1

// hours are those of a node that was ready for some hours from a time on, with so many requests in each.
func hours(node string, from time.Time, count, requests int) (all []store.ServiceHour) {
	for i := range count {
		hour := from.Add(time.Duration(i) * time.Hour)
		all = append(all, store.ServiceHour{Node: node, Hour: hour, Minutes: wholeHour})
		if requests > 0 {
			all = append(all, store.ServiceHour{
				Node: node, Hour: hour, Endpoint: "/token", Requests: requests, Took: time.Duration(requests) * 20 * time.Millisecond,
				Latency: [10]int{1: requests},
			})
		}
	}
	return all
}

func report(t *testing.T, month string, zone *time.Location, now time.Time, hours ...[]store.ServiceHour) Report {
	t.Helper()
	var all []store.ServiceHour
	for _, some := range hours {
		all = append(all, some...)
	}
	r, err := New("https://bank.example", month, zone, all, now)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Covers: NM-21. Minutes in which any node was ready are up; what is to come, and what was before the first record, are no downtime.
func TestUptime(t *testing.T) {
	month, later := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		now   time.Time
		hours [][]store.ServiceHour
		want  Uptime
		days  int
	}{
		"a whole month": {later, [][]store.ServiceHour{hours("a", month, 720, 1)}, Uptime{43200, 43200, 100, 0}, 30},
		"two nodes that take turns": {later, [][]store.ServiceHour{hours("a", month, 360, 1), hours("b", month.Add(360*time.Hour), 360, 1)},
			Uptime{43200, 43200, 100, 0}, 30},
		"two nodes at once, of which one is away for a day": {later, [][]store.ServiceHour{hours("a", month, 720, 1), hours("b", month.Add(24*time.Hour), 696, 1)},
			Uptime{43200, 43200, 100, 0}, 30},
		"a day without any node": {later, [][]store.ServiceHour{hours("a", month, 240, 1), hours("b", month.Add(264*time.Hour), 456, 1)},
			Uptime{43200, 41760, 100 * 41760.0 / 43200, 100 * 1440.0 / 43200}, 30},
		"one minute without": {later, [][]store.ServiceHour{hours("a", month, 719, 0),
			{{Node: "a", Hour: month.Add(719 * time.Hour), Minutes: wholeHour &^ (1 << 7)}}},
			Uptime{43200, 43199, 100 * 43199.0 / 43200, 100 * 1.0 / 43200}, 30},
		"a month that is not over": {month.Add(36*time.Hour + 30*time.Minute + 40*time.Second), [][]store.ServiceHour{hours("a", month, 37, 1)},
			Uptime{2190, 2190, 100, 0}, 2},
		"a server that is new": {later, [][]store.ServiceHour{hours("a", month.Add(48*time.Hour), 672, 1)}, Uptime{40320, 40320, 100, 0}, 28},
		"a server that was there before, and away as the month began": {later, [][]store.ServiceHour{
			hours("a", month.Add(-10*time.Hour), 5, 1), hours("a", month.Add(48*time.Hour), 672, 1)}, Uptime{43200, 40320, 100 * 40320.0 / 43200, 100 * 2880.0 / 43200}, 30},
		"no server": {later, nil, Uptime{}, 0},
	} {
		t.Run("accepts "+name, func(t *testing.T) {
			r := report(t, "2026-11", time.UTC, test.now, test.hours...)
			if r.Uptime != test.want || len(r.Days) != test.days {
				t.Errorf("%+v in %d days, want %+v in %d", r.Uptime, len(r.Days), test.want, test.days)
			}
		})
	}
	t.Run("refuses what is no month", func(t *testing.T) {
		for _, text := range []string{"", "2026", "2026-13", "11-2026", "2026-11-01"} {
			if _, err := New("", text, time.UTC, nil, later); err == nil {
				t.Errorf("%q is one", text)
			}
		}
	})
}

// Covers: NM-21. Figures are added over nodes, by day and by endpoint, in the days of a time zone.
func TestFigures(t *testing.T) {
	zone, err := time.LoadLocation("Asia/Riyadh") // UTC+3
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2026, 10, 31, 21, 0, 0, 0, time.UTC) // midnight there
	of := func(node string, at time.Time, endpoint string, requests, refused, failed int, took time.Duration, latency [10]int) store.ServiceHour {
		return store.ServiceHour{Node: node, Hour: at, Endpoint: endpoint, Requests: requests, Refused: refused, Failed: failed, Took: took, Latency: latency}
	}
	r := report(t, "2026-11", zone, first.Add(47*time.Hour+30*time.Minute), hours("a", first, 48, 0), []store.ServiceHour{
		of("a", first.Add(-time.Hour), "/token", 1000, 0, 0, time.Hour, [10]int{}), // of the month before
		of("a", first, "/token", 90, 5, 1, 900*time.Millisecond, [10]int{0: 50, 1: 40}),
		of("b", first, "/token", 10, 0, 1, 1100*time.Millisecond, [10]int{2: 10}),
		of("b", first.Add(24*time.Hour), "/par", 300, 0, 0, 3*time.Second, [10]int{0: 300}),
	})
	token := Figures{Endpoint: "/token", Requests: 100, Refused: 5, Failed: 2, ErrorRate: 2, Average: 20, P50: 10, P95: 37.5, P99: 47.5}
	par := Figures{Endpoint: "/par", Requests: 300, Average: 10, P50: 5, P95: 9.5, P99: 9.9}
	t.Run("accepts the month", func(t *testing.T) {
		if diff := cmp.Diff([]Figures{par, token}, r.Endpoints); diff != "" {
			t.Error(diff)
		}
		if r.All.Requests != 400 || r.All.ErrorRate != 0.5 || r.All.Average != 12.5 || strings.Join(r.Nodes, " ") != "a b" {
			t.Errorf("%+v of %v", r.All, r.Nodes)
		}
	})
	t.Run("accepts the days", func(t *testing.T) {
		if len(r.Days) != 2 || r.Days[0].Date != "2026-11-01" || r.Days[1].Date != "2026-11-02" {
			t.Fatalf("%+v", r.Days)
		}
		if diff := cmp.Diff([][]Figures{{token}, {par}}, [][]Figures{r.Days[0].Endpoints, r.Days[1].Endpoints}); diff != "" {
			t.Error(diff)
		}
		if r.Days[0].Uptime.Minutes != 1440 || r.Days[1].Uptime.Minutes != 1410 {
			t.Errorf("%+v", r.Days)
		}
	})
}

// Covers: NM-22. A report is written for people, for spreadsheets, for programs, and as a picture.
func TestWritten(t *testing.T) {
	month := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	some := hours("a", month, 720, 10)
	some[0].Minutes &^= 1 << 5
	r := report(t, "2026-11", time.UTC, month.AddDate(0, 2, 0), some)
	t.Run("accepts text", func(t *testing.T) {
		var out bytes.Buffer
		if err := r.Text(&out); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"https://bank.example, 2026-11", "uptime 99.998 %, downtime 0.002 % (1 of 43200 minutes)", "/token", "2026-11-30", "20.0 ms"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %q in\n%s", want, out.String())
			}
		}
	})
	t.Run("accepts CSV", func(t *testing.T) {
		var out bytes.Buffer
		if err := r.CSV(&out); err != nil {
			t.Fatal(err)
		}
		lines, err := csv.NewReader(&out).ReadAll()
		if err != nil || len(lines) != 1+30*2 {
			t.Fatalf("%d lines, %v", len(lines), err)
		}
		if got := strings.Join(lines[2], " "); got != "2026-11-01 /token 99.931 0.069 240 0 0 0.000 20.0 17.5 24.2 24.9" {
			t.Errorf("%s", got)
		}
	})
	t.Run("accepts JSON", func(t *testing.T) {
		var out bytes.Buffer
		if err := r.JSON(&out); err != nil {
			t.Fatal(err)
		}
		var again Report
		if err := json.Unmarshal(out.Bytes(), &again); err != nil || len(again.Days) != 30 || again.Uptime != r.Uptime {
			t.Errorf("%v %+v", err, again.Uptime)
		}
	})
	t.Run("accepts a picture", func(t *testing.T) {
		picture := r.SVG()
		decoder := xml.NewDecoder(strings.NewReader(picture))
		for {
			if _, err := decoder.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		for _, want := range []string{"Availability of https://bank.example, 2026-11", "uptime", "p95", "<polyline"} {
			if !strings.Contains(picture, want) {
				t.Errorf("no %q", want)
			}
		}
	})
	t.Run("refuses markup of an issuer in a picture", func(t *testing.T) {
		marked := r
		marked.Issuer = "<script>alert(1)</script>"
		if picture := marked.SVG(); strings.Contains(picture, "<script") || !strings.Contains(picture, "&lt;script") {
			t.Error("it is not text")
		}
	})
	for name, write := range map[string]func(io.Writer) error{"text": r.Text, "CSV": r.CSV, "JSON": r.JSON} {
		t.Run("refuses a full disk for "+name, func(t *testing.T) {
			if err := write(full{}); !errors.Is(err, errFull) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// full is a disk that is.
type full struct{}

var errFull = errors.New("no space left")

func (full) Write([]byte) (int, error) { return 0, errFull }

// TestDecimal: what is nearly all is not said to be all, and what is nearly nothing not to be nothing.
func TestDecimal(t *testing.T) {
	for value, want := range map[float64]string{100: "100.000", 99.9999: "99.999", 0: "0.000", 0.0001: "0.001", 12.3456: "12.346"} {
		if got := decimal(value, 3); got != want {
			t.Errorf("%v is %s, want %s", value, got, want)
		}
	}
}
