package results

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Report is what is written about a run.
type Report struct {
	Suite  string `json:"suite"`
	Issuer string `json:"issuer"`
	// Ingress is where clients with certificates come in, if not at the server itself.
	Ingress string `json:"ingress,omitempty"`
	// Login is the login of the operator's own that users signed in and decided at, if not at the server itself.
	Login    string    `json:"login,omitempty"`
	Began    time.Time `json:"began"`
	Seconds  float64   `json:"seconds"`
	Outcomes []Outcome `json:"modules"`
	Problems []string  `json:"problems"`
}

// count tells how many modules ended with a result.
func count(outcomes []Outcome, result string) int {
	n := 0
	for _, o := range outcomes {
		if o.Result == result {
			n++
		}
	}
	return n
}

// summary is the one line that counts.
func (r Report) summary() string { return sum(r.Outcomes) }

// sum counts results.
func sum(outcomes []Outcome) string {
	line := fmt.Sprintf("%d modules: %d passed, %d warning, %d review, %d skipped, %d failed, %d interrupted", len(outcomes),
		count(outcomes, Passed), count(outcomes, Warning), count(outcomes, Review), count(outcomes, Skipped), count(outcomes, Failed), count(outcomes, Interrupted))
	if n := count(outcomes, NotRun); n > 0 {
		line += fmt.Sprintf(", %d not run", n)
	}
	return line
}

// byPlan splits the outcomes at the plans, whose order they have.
func (r Report) byPlan() [][]Outcome {
	var groups [][]Outcome
	for _, o := range r.Outcomes {
		if n := len(groups); n > 0 && groups[n-1][0].Plan == o.Plan {
			groups[n-1] = append(groups[n-1], o)
		} else {
			groups = append(groups, []Outcome{o})
		}
	}
	return groups
}

// Tell says how it went, for the end of the output: each plan, everything that did not simply pass with its reason,
// what has to be looked at, and the line that counts.
func (r Report) Tell() string {
	var b strings.Builder
	b.WriteString("\n")
	for _, group := range r.byPlan() {
		fmt.Fprintf(&b, "%s: %s\n", group[0].Plan, sum(group))
	}
	for _, o := range r.Outcomes {
		if o.Result != Passed && o.Result != NotRun {
			fmt.Fprintf(&b, "%s: %s %s: %s\n", o.Result, o.Plan, o.Module, o.what())
		}
	}
	if len(r.Problems) > 0 {
		b.WriteString("\nTo look at:\n")
	}
	for _, problem := range r.Problems {
		fmt.Fprintf(&b, "%s\n", problem)
	}
	fmt.Fprintf(&b, "\n%s\n", r.summary())
	return b.String()
}

// Write writes report.md, report.json and junit.xml into a folder.
func (r Report) Write(folder string) error {
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	asJSON, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	asXML, err := xml.MarshalIndent(r.junit(), "", "  ")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{
		"report.md": r.markdown(), "report.json": string(asJSON) + "\n", "junit.xml": xml.Header + string(asXML) + "\n",
	} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# Conformance of %s\n\n%s, in %.0f s from %s, by the suite at %s.\n", r.Issuer, r.summary(), r.Seconds, r.Began.UTC().Format(time.RFC3339), r.Suite)
	if r.Ingress != "" {
		fmt.Fprintf(&b, "\nClients with certificates came through %s.\n", r.Ingress)
	}
	if r.Login != "" {
		fmt.Fprintf(&b, "\nUsers signed in and decided at %s.\n", r.Login)
	}
	if len(r.Problems) > 0 {
		b.WriteString("\n## To look at\n\n")
		for _, p := range r.Problems {
			fmt.Fprintf(&b, "- %s\n", cell(p))
		}
	}
	groups := r.byPlan()
	if len(groups) > 0 {
		b.WriteString("\n## Plans\n\n| plan | modules | passed | warning | review | skipped | failed | interrupted |\n|---|--:|--:|--:|--:|--:|--:|--:|\n")
	}
	for _, group := range groups {
		fmt.Fprintf(&b, "| %s | %d |", cell(group[0].Plan), len(group))
		for _, result := range []string{Passed, Warning, Review, Skipped, Failed, Interrupted} {
			fmt.Fprintf(&b, " %d |", count(group, result))
		}
		b.WriteString("\n")
	}
	for _, group := range groups {
		fmt.Fprintf(&b, "\n## %s\n\n| module | result | s | what |\n|---|---|--:|---|\n", group[0].Plan)
		for _, o := range group {
			fmt.Fprintf(&b, "| %s | %s | %.0f | %s |\n", link(r.Suite, o), o.Result, o.Seconds, cell(o.what()))
		}
	}
	return b.String()
}

func link(suite string, o Outcome) string {
	if o.ID == "" {
		return cell(o.Module)
	}
	return fmt.Sprintf("[%s](%s/log-detail.html?log=%s)", cell(o.Module), suite, o.ID)
}

// what explains a result in a line.
func (o Outcome) what() string {
	var parts []string
	for _, c := range o.Conditions {
		parts = append(parts, c.Result+" "+c.Name+": "+c.Message)
	}
	if o.Note != "" {
		parts = append(parts, o.Note)
	}
	if o.Expected != "" {
		parts = append(parts, "expected: "+o.Expected)
	}
	return strings.Join(parts, "; ")
}

// cell makes text fit into a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", "\\|", "\n", " ", "\r", " ", "<", "&lt;").Replace(text)
}

// The part of the JUnit format that CI systems read.
type junitSuites struct {
	XMLName xml.Name     `xml:"testsuites"`
	Suites  []junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Skipped  int         `xml:"skipped,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Name    string       `xml:"name,attr"`
	Class   string       `xml:"classname,attr"`
	Seconds string       `xml:"time,attr"`
	Failure *junitDetail `xml:"failure,omitempty"`
	Skipped *junitDetail `xml:"skipped,omitempty"`
	Output  string       `xml:"system-out,omitempty"`
}

type junitDetail struct {
	Message string `xml:"message,attr"`
}

// junit counts as a failure whatever has to be looked at.
func (r Report) junit() junitSuites {
	var all junitSuites
	for _, o := range r.Outcomes {
		if n := len(all.Suites); n == 0 || all.Suites[n-1].Name != o.Plan {
			all.Suites = append(all.Suites, junitSuite{Name: o.Plan})
		}
		s := &all.Suites[len(all.Suites)-1]
		c := junitCase{Name: o.Module, Class: o.Plan, Seconds: fmt.Sprintf("%.1f", o.Seconds)}
		detail := &junitDetail{Message: strings.TrimSpace(o.Result + " " + o.what())}
		switch {
		case o.Result == Skipped && o.Expected != "" || o.Result == NotRun:
			c.Skipped = detail
			s.Skipped++
		case o.Result != Passed && o.Expected == "":
			c.Failure = detail
			s.Failures++
		case o.Result != Passed:
			c.Output = detail.Message
		}
		s.Tests++
		s.Cases = append(s.Cases, c)
	}
	return all
}
