// Package results judges how modules of a conformance suite ended, and reports it.
package results

import (
	"context"
	"path"
	"strings"
	"time"

	"countersign/conformance/suite"
)

// The results of a module, as the suite says them, and two of our own.
const (
	Passed      = "PASSED"
	Warning     = "WARNING"
	Review      = "REVIEW"
	Skipped     = "SKIPPED"
	Failed      = "FAILED"
	Interrupted = "INTERRUPTED" // the suite gave up, or we did
	NotRun      = "NOT RUN"     // we were told to stop before
)

// Condition is a check of the suite that was not met.
type Condition struct {
	// Result is FAILURE or WARNING.
	Result  string `json:"result"`
	Name    string `json:"condition"`
	Message string `json:"message"`
}

// Outcome is how a module ended.
type Outcome struct {
	Plan       string            `json:"plan"`
	Variant    map[string]string `json:"variant"`
	Module     string            `json:"module"`
	ID         string            `json:"id,omitempty"`
	Result     string            `json:"result"`
	Conditions []Condition       `json:"conditions,omitempty"`
	// Note is ours: what went wrong outside the suite's own judgement.
	Note    string  `json:"note,omitempty"`
	Seconds float64 `json:"seconds"`
	// Expected is the reason of the expectation that covers a result other than PASSED.
	Expected string `json:"expected,omitempty"`
}

// readTime is how long reading a log may take after a run was told to stop.
const readTime = 30 * time.Second

// Unmet reads from a module's log which checks were not met, also where ctx is over. To each it adds the last refusal of the tested
// server before it, if there was one.
func Unmet(ctx context.Context, client *suite.Client, id string) []Condition {
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), readTime)
	defer cancel()
	entries, err := client.Log(last, id)
	if err != nil {
		return []Condition{{Result: "FAILURE", Name: "(log)", Message: "the log could not be read: " + err.Error()}}
	}
	var list []Condition
	for _, e := range entries {
		if e.Result == "FAILURE" || e.Result == Warning || e.Result == Review {
			c := Condition{Result: e.Result, Name: e.Source, Message: e.Message}
			if e.Refusal != "" {
				c.Message += " (the server's last answer: " + e.Refusal + ")"
			}
			list = append(list, c)
		}
	}
	return list
}

// MatchesAny reports whether one of the patterns, separated by commas, matches a name.
func MatchesAny(patterns, name string) bool {
	for pattern := range strings.SplitSeq(patterns, ",") {
		if fits, _ := path.Match(pattern, name); fits { // they were tried when the flags were read
			return true
		}
	}
	return false
}

// Flat lets a star match a slash too.
func Flat(name string) string { return strings.ReplaceAll(name, "/", ":") }
