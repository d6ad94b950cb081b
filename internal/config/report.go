package config

import (
	"fmt"
	"slices"
	"strings"
)

// Mistake is one thing that is wrong in the file.
type Mistake struct {
	// Line counts from 1; 0 when the mistake is that something is missing.
	Line int
	// Key is the full name, such as "tokens.access_token_lifetime"; empty for a mistake of the file as a whole.
	Key string
	// Value is what the file says, in TOML; empty for a missing or unknown key. A secret's is "[redacted]".
	Value string
	// Problem says what is wrong and what would be right.
	Problem string
}

// Report is the error of a wrong configuration: every mistake of it.
type Report struct {
	// File is the name of the configuration file.
	File     string
	Mistakes []Mistake
}

// Error implements error: one mistake a line, in the order of the file, what is missing last.
func (r *Report) Error() string {
	lines := make([]string, len(r.Mistakes))
	for i, mistake := range r.Mistakes {
		lines[i] = r.line(mistake)
	}
	return strings.Join(lines, "\n")
}

func (r *Report) line(m Mistake) string {
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
	text.WriteString(m.Problem)
	return text.String()
}

// collector gathers mistakes while the file is read.
type collector struct {
	positions positions
	mistakes  []Mistake
	// wrong are the keys that a mistake was reported for, so that rules over several keys stay silent on them.
	wrong map[string]bool
}

// add reports a mistake. value is TOML text, or "" to leave it out.
func (c *collector) add(key, value, format string, arguments ...any) {
	c.wrong[key] = true
	c.mistakes = append(c.mistakes, Mistake{
		Line: c.positions[key], Key: key, Value: value, Problem: fmt.Sprintf(format, arguments...),
	})
}

// bad reports whether a mistake was reported for the key or for a table that holds it.
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
	if len(c.mistakes) == 0 {
		return nil
	}
	slices.SortStableFunc(c.mistakes, func(a, b Mistake) int {
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
	return &Report{File: file, Mistakes: c.mistakes}
}
