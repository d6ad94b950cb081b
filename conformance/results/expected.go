package results

import (
	"encoding/json"
	"fmt"
	"os"
	"path"
	"strings"
)

// Expectation excuses one result of one module, for a reason. Whatever it does not cover is noticed.
type Expectation struct {
	// Plan and Module are patterns.
	Plan   string `json:"plan"`
	Module string `json:"module"`
	// Result is WARNING, REVIEW or SKIPPED; nothing excuses FAILED. INTERRUPTED is excused where the suite itself breaks, by
	// the condition at which it does and what that says.
	Result string `json:"result"`
	// Condition is the one check that may warn; empty for a result that no check explains.
	Condition string `json:"condition,omitempty"`
	// Says is a part of the check's message.
	Says string `json:"says,omitempty"`
	// Sometimes is set where the suite races itself: then it is not noticed that the result did not happen.
	Sometimes bool   `json:"sometimes,omitempty"`
	Reason    string `json:"reason"`
}

// ReadExpectations reads a list of expectations in JSON from the file of -expected.
func ReadExpectations(file string) ([]Expectation, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-expected: %w", err)
	}
	var list []Expectation
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("-expected: %s: %w", file, err)
	}
	for _, e := range list {
		if e.Result != Warning && e.Result != Review && e.Result != Skipped && (e.Result != Interrupted || e.Condition == "" || e.Says == "") {
			return nil, fmt.Errorf("-expected: %s: result %q cannot be expected; WARNING, REVIEW and SKIPPED can, and INTERRUPTED at a condition that says why", file, e.Result)
		}
		if e.Reason == "" {
			return nil, fmt.Errorf("-expected: %s: %s has no reason", file, e.Module)
		}
		for _, pattern := range []string{e.Plan, e.Module} {
			if _, err := path.Match(Flat(pattern), ""); err != nil {
				return nil, fmt.Errorf("-expected: %s: %q is not a pattern", file, pattern)
			}
		}
	}
	return list, nil
}

func (e Expectation) fits(o Outcome) bool {
	plan, _ := path.Match(Flat(e.Plan), Flat(o.Plan)) // patterns were checked when read
	module, _ := path.Match(e.Module, o.Module)
	return plan && module && e.Result == o.Result
}

// Judge marks the outcomes that are expected and lists what has to be looked at: failures, results that nobody
// expected, and, of a run that was whole, expectations that have become wrong.
func Judge(outcomes []Outcome, expectations []Expectation, whole bool) (problems []string) {
	used := make([]bool, len(expectations))
	for i := range outcomes {
		o := &outcomes[i]
		if o.Result == Passed {
			continue
		}
		if o.Result != Failed && o.Result != NotRun {
			o.Expected = excuse(*o, expectations, used)
		}
		if o.Expected == "" {
			problems = append(problems, fmt.Sprintf("%s: %s %s", o.Result, o.Plan, o.Module))
		}
	}
	for i, e := range expectations {
		if !used[i] && !e.Sometimes && whole && ran(e, outcomes) {
			problems = append(problems, fmt.Sprintf("expected %s did not happen, remove it from the list: %s %s", e.Result, e.Plan, e.Module))
		}
	}
	return problems
}

// excuse finds the reasons that cover an outcome: one for each warning, or one for a result without warnings.
func excuse(o Outcome, expectations []Expectation, used []bool) string {
	var reasons []string
	cover := func(condition, message string) bool {
		for i, e := range expectations {
			if e.fits(o) && e.Condition == condition && strings.Contains(message, e.Says) {
				used[i] = true
				reasons = append(reasons, e.Reason)
				return true
			}
		}
		return false
	}
	warned := false
	for _, c := range o.Conditions {
		if c.Result == Review {
			continue
		}
		warned = true
		if !cover(c.Name, c.Message) {
			return ""
		}
	}
	if !warned && !cover("", "") {
		return ""
	}
	return strings.Join(reasons, "; ")
}

// ran reports whether a module that an expectation speaks of was run.
func ran(e Expectation, outcomes []Outcome) bool {
	for _, o := range outcomes {
		e.Result = o.Result
		if o.Result != NotRun && e.fits(o) {
			return true
		}
	}
	return false
}
