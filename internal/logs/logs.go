// Package logs is the catalogue of the server's log messages: what an operator sees at the levels warn and error, what
// causes it, and what to do.
//
// The catalogue is data ([Groups]); docs/logs.md is made from it. A test of this package reads the product's sources
// ([Scan]) and compares ([Problems]): every message is a constant, every message of level warn or error has an entry,
// and every field has a name from one list ([Fields]).
package logs

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Entry is a message of level warn or error.
type Entry struct {
	// Message is the text of the log line (msg), without any value in it.
	Message string
	// Levels are those that it is logged at: warn, error.
	Levels []string
	// Fields are the names of its fields, those of the logger's With included; see [Fields].
	Fields []string
	// Cause is why it is logged.
	Cause string
	// Remedy is what the operator does.
	Remedy string
}

// Group is the messages of one part of the server.
type Group struct {
	Title   string
	Entries []Entry
}

// Field is a name under which log lines hold a value, at any level.
type Field struct{ Name, Meaning string }

// durations are the fields that hold a duration: log lines have it in milliseconds, under the name with _ms (package
// telemetry).
func durations() []string {
	return []string{"drain_time", "next_try_in", "retry_after", "took", "timeout"}
}

// written returns the name of a field in a log line.
func written(name string) string {
	if slices.Contains(durations(), name) {
		return name + "_ms"
	}
	return name
}

// Entries lists the entries of all groups.
func Entries() []Entry {
	var all []Entry
	for _, group := range Groups() {
		all = append(all, group.Entries...)
	}
	return all
}

const introduction = `# Log messages

Each log line is one JSON object (or text, by ` + "`log_format`" + `) with ` + "`time`, `level`, `msg`" + ` and the fields below. The message
never contains a value, so that it can be searched and counted: the values are in the fields. This page lists every
message of the levels warn and error. Lines of level info report normal operation and need no action.

To follow one request, search for its ` + "`correlation_id`" + `: clients find it in the response header X-Correlation-Id and in
` + "`error_description`" + `, users on the error page. Every line
that a request causes has it, also those of the signer and the store. Lines of a traced request have ` + "`trace_id` and `span_id`" + `.
Durations are in milliseconds. No line contains a secret.

Refusals that repeat are counted: of one network, client, endpoint and reason the first five have their lines (of 429 the first), and
then one line for each ten seconds says how many more there were (` + "`repeated`" + `). At level debug each has its line.

This page is made by ` + "`go run ./internal/logs/generate`" + ` from [internal/logs](../internal/logs); a test compares both with
the sources.
`

// Page renders docs/logs.md.
func Page() string {
	var page strings.Builder
	page.WriteString(introduction)
	for _, group := range Groups() {
		fmt.Fprintf(&page, "\n## %s\n", group.Title)
		for _, entry := range group.Entries {
			fmt.Fprintf(&page, "\n### %s\n\n", entry.Message)
			fmt.Fprintf(&page, "Level: %s. Fields: %s.\n\n", strings.Join(entry.Levels, ", "), quoted(entry.Fields))
			fmt.Fprintf(&page, "- Cause: %s\n- Remedy: %s\n", entry.Cause, entry.Remedy)
		}
	}
	page.WriteString("\n## Fields\n\nThe names are the same in every line, of any level.\n\n| field | meaning |\n|---|---|\n")
	known := Fields()
	slices.SortFunc(known, func(a, b Field) int { return cmp.Compare(a.Name, b.Name) })
	for _, field := range known {
		fmt.Fprintf(&page, "| `%s` | %s |\n", written(field.Name), field.Meaning)
	}
	return page.String()
}

func quoted(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	var quoted []string
	for _, name := range names {
		quoted = append(quoted, "`"+written(name)+"`")
	}
	return strings.Join(quoted, ", ")
}
