package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// longest is for how long an exception may be made. Whoever still needs it then decides again.
const longest = 90 * 24 * time.Hour

// exception is a reachable vulnerability that does not fail the check until a day.
type exception struct {
	id string
	// since is the day of the decision, until the last day on which it holds (UTC).
	since, until time.Time
	reason       string
}

var vulnerabilityID = regexp.MustCompile(`^GO-\d{4}-\d{4,}$`)

// parseExceptions reads lines "GO-2026-1234 2026-11-30 2026-12-31 reason": the vulnerability, the day of the decision, the last
// day of the exception, and why nothing can come of it until then.
func parseExceptions(text string) ([]exception, error) {
	var all []exception
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		one, err := parseException(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if slices.ContainsFunc(all, func(other exception) bool { return other.id == one.id }) {
			return nil, fmt.Errorf("line %d: %s is listed twice", number, one.id)
		}
		all = append(all, one)
	}
	return all, nil
}

func parseException(line string) (exception, error) {
	fields := strings.Fields(line)
	if len(fields) < 4 {
		return exception{}, errors.New(`is not "GO-2026-1234 2026-11-30 2026-12-31 reason"`)
	}
	since, err := time.Parse(time.DateOnly, fields[1])
	if err != nil {
		return exception{}, err
	}
	until, err := time.Parse(time.DateOnly, fields[2])
	if err != nil {
		return exception{}, err
	}
	switch {
	case !vulnerabilityID.MatchString(fields[0]):
		return exception{}, fmt.Errorf("%q is no number of the Go vulnerability database", fields[0])
	case until.Before(since):
		return exception{}, errors.New("the exception ends before it begins")
	case until.Sub(since) > longest:
		return exception{}, fmt.Errorf("the exception is longer than %d days: decide again after them", int(longest.Hours()/24))
	}
	return exception{fields[0], since, until, strings.Join(fields[3:], " ")}, nil
}

// vulnerability is one that the code reaches.
type vulnerability struct {
	id, summary string
	// module and fixed are what to update, and to which version; fixed is empty when there is none.
	module, fixed string
	// calls are the functions from ours to the vulnerable one.
	calls string
}

type report struct {
	goVersion string
	reachable []vulnerability
}

// frame is a step of a trace.
type frame struct{ Module, Package, Function, Receiver string }

func (f frame) String() string {
	if f.Receiver != "" {
		return f.Package + "." + strings.TrimPrefix(f.Receiver, "*") + "." + f.Function
	}
	return f.Package + "." + f.Function
}

// parseReport reads what govulncheck writes as JSON. A vulnerability is reachable when a trace names its function; without one
// its package or module is there and nothing of ours calls what is vulnerable.
func parseReport(r io.Reader) (report, error) {
	var made report
	summaries := map[string]string{}
	for decoder := json.NewDecoder(r); ; {
		var message struct {
			Config *struct {
				GoVersion string `json:"go_version"`
				ScanLevel string `json:"scan_level"`
			}
			OSV     *struct{ ID, Summary string }
			Finding *struct {
				OSV   string
				Fixed string `json:"fixed_version"`
				Trace []frame
			}
		}
		if err := decoder.Decode(&message); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return report{}, fmt.Errorf("govulncheck's report: %w", err)
		}
		if c := message.Config; c != nil {
			if made.goVersion = c.GoVersion; c.ScanLevel != "symbol" {
				return report{}, fmt.Errorf("govulncheck looked at the level %q and not at symbols", c.ScanLevel)
			}
		}
		if message.OSV != nil {
			summaries[message.OSV.ID] = message.OSV.Summary
		}
		f := message.Finding
		if f == nil || len(f.Trace) == 0 || f.Trace[0].Function == "" ||
			slices.ContainsFunc(made.reachable, func(v vulnerability) bool { return v.id == f.OSV }) {
			continue
		}
		var calls []string
		for _, step := range slices.Backward(f.Trace) {
			calls = append(calls, step.String())
		}
		made.reachable = append(made.reachable, vulnerability{f.OSV, "", f.Trace[0].Module, f.Fixed, strings.Join(calls, " > ")})
	}
	if made.goVersion == "" {
		return report{}, errors.New("govulncheck's report says nothing of what was looked at")
	}
	for i := range made.reachable {
		made.reachable[i].summary = summaries[made.reachable[i].id]
	}
	return made, nil
}

// judge says what there is, and fails on a vulnerability without an exception that holds, and on an exception without a
// vulnerability.
func judge(out io.Writer, reachable []vulnerability, accepted []exception, now time.Time) error {
	failed := false
	for _, v := range reachable {
		at := slices.IndexFunc(accepted, func(e exception) bool { return e.id == v.id })
		what := fmt.Sprintf("%s: %s\n  in %s, fixed in %s\n  %s", v.id, v.summary, v.module, orNone(v.fixed), v.calls)
		switch {
		case at < 0:
			failed = true
			fmt.Fprintf(out, "reachable: %s\n", what)
		case !now.Before(accepted[at].until.AddDate(0, 0, 1)):
			failed = true
			fmt.Fprintf(out, "the exception ended on %s: %s\n", accepted[at].until.Format(time.DateOnly), what)
		default:
			fmt.Fprintf(out, "accepted until %s (%s): %s\n", accepted[at].until.Format(time.DateOnly), accepted[at].reason, what)
		}
	}
	for _, e := range accepted {
		if !slices.ContainsFunc(reachable, func(v vulnerability) bool { return v.id == e.id }) {
			failed = true
			fmt.Fprintf(out, "the exception of %s is not needed: nothing reaches it; remove its line\n", e.id)
		}
	}
	if failed {
		return errors.New("update what is named above (go get MODULE@VERSION; for stdlib, the toolchain line of go.mod), " +
			"or list it in internal/vulncheck/exceptions.txt with its reason")
	}
	return nil
}

func orNone(version string) string {
	if version == "" {
		return "no version yet"
	}
	return version
}
