package config

import (
	"fmt"
	"slices"
	"strings"

	"countersign/internal/config/position"
)

// Problem is one thing that is wrong in the file.
type Problem struct {
	// Line counts from 1; 0 when the problem is that something is missing.
	Line int
	// Key is the full name, such as "tokens.access_token_lifetime"; empty for a problem of the file as a whole.
	Key string
	// Value is what the file says, in TOML; empty for a missing or unknown key. What may be a secret is "[redacted]".
	Value string
	// Text says what is wrong and what would be right.
	Text string
}

// Report is the error of a wrong configuration: every problem of it.
type Report struct {
	// File is the name of the configuration file.
	File     string
	Problems []Problem
}

// Error implements error: one problem a line, in the order of the file, what is missing last.
func (r *Report) Error() string {
	lines := make([]string, len(r.Problems))
	for i, problem := range r.Problems {
		lines[i] = r.line(problem)
	}
	return strings.Join(lines, "\n")
}

func (r *Report) line(m Problem) string {
	var text strings.Builder
	text.WriteString(r.File)
	if m.Line > 0 {
		fmt.Fprintf(&text, ":%d", m.Line)
	}
	text.WriteString(": ")
	if m.Key != "" {
		text.WriteString(m.Key)
		if m.Value != "" {
			text.WriteString(" = " + m.Value)
		}
		text.WriteString(": ")
	}
	text.WriteString(m.Text)
	return text.String()
}

// Refuse makes a report of what is wrong with a configuration that keeps to all rules: one problem for each line of err. A
// line that begins with a key and a colon is told at that key. It returns nil for nil.
func (config *Config) Refuse(err error) error {
	if err == nil {
		return nil
	}
	c := &collector{positions: config.positions, wrong: map[string]bool{}}
	said := map[string]bool{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if said[line] {
			continue
		}
		said[line] = true
		key, text, ok := strings.Cut(line, ": ")
		if _, known := config.positions[key]; !ok || !known {
			key, text = "", line
		}
		c.add(key, "", "%s", text)
	}
	return c.report(config.name)
}

// collector gathers problems while the file is read.
type collector struct {
	positions position.Positions
	problems  []Problem
	// wrong are the keys that a problem was reported for, so that rules over several keys stay silent on them.
	wrong map[string]bool
}

// add reports a problem. value is TOML text, or "" to leave it out.
func (c *collector) add(key, value, format string, arguments ...any) {
	c.wrong[key] = true
	c.problems = append(c.problems, Problem{
		Line: c.positions[key], Key: key, Value: value, Text: fmt.Sprintf(format, arguments...),
	})
}

// bad reports whether a problem was reported for the key or for a table that holds it.
func (c *collector) bad(key string) bool {
	for {
		if c.wrong[key] {
			return true
		}
		i := strings.LastIndexAny(key, ".[")
		if i < 0 {
			return false
		}
		key = key[:i]
	}
}

// report returns nil when there is nothing to report.
func (c *collector) report(file string) error {
	if len(c.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(c.problems, func(a, b Problem) int {
		switch {
		case a.Line == b.Line:
			return strings.Compare(a.Key, b.Key)
		case a.Line == 0:
			return 1
		case b.Line == 0:
			return -1
		}
		return a.Line - b.Line
	})
	return &Report{File: file, Problems: c.problems}
}
