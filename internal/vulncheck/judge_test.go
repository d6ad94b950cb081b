package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	moment, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return moment
}

// Covers: FD-120.
func TestExceptions(t *testing.T) {
	reached := []vulnerability{{"GO-2026-0001", "a crash", "stdlib", "v1.99.1", "countersign/fapi.New > net/http.Serve"}}
	const listed = "GO-2026-0001 2026-11-30 2026-12-31 nobody gets there"
	for name, test := range map[string]struct {
		exceptions, now string
		reachable       []vulnerability
		says            string
		fails           bool
	}{
		"accepts that nothing is reachable":       {"# none\n\n", "2026-12-01T00:00:00Z", nil, "", false},
		"accepts an exception":                    {listed, "2026-12-01T00:00:00Z", reached, "accepted until 2026-12-31 (nobody gets there): GO-2026-0001: a crash", false},
		"accepts an exception on its last day":    {listed, "2026-12-31T23:59:59Z", reached, "accepted until", false},
		"refuses an exception that ended":         {listed, "2027-01-01T00:00:00Z", reached, "the exception ended on 2026-12-31: GO-2026-0001", true},
		"refuses a vulnerability without one":     {"", "2026-12-01T00:00:00Z", reached, "reachable: GO-2026-0001: a crash\n  in stdlib, fixed in v1.99.1\n  countersign/fapi.New > net/http.Serve", true},
		"refuses a vulnerability with another's":  {"GO-2026-0002 2026-11-30 2026-12-31 x", "2026-12-01T00:00:00Z", reached, "reachable: GO-2026-0001", true},
		"refuses an exception that is not needed": {listed, "2026-12-01T00:00:00Z", nil, "the exception of GO-2026-0001 is not needed", true},
	} {
		t.Run(name, func(t *testing.T) {
			exceptions, err := parseExceptions(test.exceptions)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			err = judge(&out, test.reachable, exceptions, at(t, test.now))
			if (err != nil) != test.fails || !strings.Contains(out.String(), test.says) {
				t.Errorf("%v: %s", err, out.String())
			}
		})
	}
}

// Covers: FD-120.
func TestExceptionLines(t *testing.T) {
	for name, test := range map[string]struct{ text, says string }{
		"accepts a line":           {"# why\n\nGO-2026-0001 2026-11-30 2027-02-28 a reason of words\n", ""},
		"refuses no reason":        {"GO-2026-0001 2026-11-30 2026-12-31", `line 1: is not "GO-`},
		"refuses another number":   {"CVE-2026-0001 2026-11-30 2026-12-31 x", "no number of the Go vulnerability database"},
		"refuses another date":     {"GO-2026-0001 2026-11-30 31.12.2026 x", "cannot parse"},
		"refuses no end":           {"GO-2026-0001 2026-11-30 never because", "cannot parse"},
		"refuses an end too late":  {"GO-2026-0001 2026-11-30 2027-03-01 x", "longer than 90 days"},
		"refuses an end too early": {"GO-2026-0001 2026-11-30 2026-11-29 x", "ends before it begins"},
		"refuses a number twice":   {"GO-2026-0001 2026-11-30 2026-12-31 x\nGO-2026-0001 2026-11-30 2026-12-31 x", "line 2: GO-2026-0001 is listed twice"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseExceptions(test.text)
			if (test.says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), test.says) {
				t.Errorf("%v", err)
			}
		})
	}
	list, err := os.ReadFile("exceptions.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseExceptions(string(list)); err != nil {
		t.Errorf("exceptions.txt: %v", err)
	}
}

// Covers: FD-120. What govulncheck found with Go 1.26.8 (testdata: the messages of three findings) is reported with the way to it;
// what is only there is not.
func TestReport(t *testing.T) {
	file, err := os.Open(filepath.Join("testdata", "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	got, err := parseReport(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a finding with a function", func(t *testing.T) {
		if got.goVersion != "go1.26.8" || len(got.reachable) != 1 {
			t.Fatalf("got %+v", got)
		}
		v := got.reachable[0]
		if v.id != "GO-2026-6809" || v.module != "stdlib" || v.fixed != "v1.26.10" || v.summary == "" ||
			!strings.HasSuffix(v.calls, "countersign/mtls.Trust.chains > crypto/x509.Certificate.Verify") {
			t.Errorf("got %+v", v)
		}
	})
	for name, text := range map[string]string{
		"refuses a report of nothing":       "",
		"refuses a report that is cut off":  `{"config": {"go_version": "go1.27.3", "scan_level": "symbol"}} {"finding": {`,
		"refuses a report without symbols":  `{"config": {"go_version": "go1.27.3", "scan_level": "module"}}`,
		"refuses a report that is no JSON":  "No vulnerabilities found.",
		"refuses a report without a config": `{"progress": {"message": "x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := parseReport(strings.NewReader(text)); err == nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}
