package logs

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// snakeCase is the form of a field's name.
var snakeCase = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

// Problems compares log calls with the catalogue and the list of field names. Each problem says what to change. exempt
// names functions ([Call].Function) whose messages need not be constants; one that is exempt without need is a problem.
func Problems(calls []Call, entries []Entry, fields []Field, exempt []string) []string {
	c := &comparison{
		entries: map[string]Entry{}, fields: map[string]bool{}, used: map[string]bool{}, logged: map[string][]Call{},
	}
	if len(calls) == 0 {
		return []string{"there are no log calls: the folders are wrong"}
	}
	c.readLists(entries, fields)
	for _, call := range calls {
		c.checkCall(call, exempt)
	}
	for _, entry := range entries {
		c.checkEntry(entry)
	}
	for _, field := range fields {
		if !c.used[field.Name] {
			c.problem("fields.go: remove the field %q: nothing logs it", field.Name)
		}
	}
	for _, name := range exempt {
		if !slices.Contains(c.exempted, name) {
			c.problem("remove the exemption of %s: its messages are constants", name)
		}
	}
	return c.problems
}

type comparison struct {
	entries map[string]Entry
	fields  map[string]bool
	// used are the names of the fields that calls have.
	used map[string]bool
	// withs are the names of the fields that loggers have (With).
	withs []string
	// logged are the calls of level warn and error by message.
	logged   map[string][]Call
	exempted []string
	problems []string
}

func (c *comparison) problem(format string, arguments ...any) {
	c.problems = append(c.problems, fmt.Sprintf(format, arguments...))
}

func (c *comparison) readLists(entries []Entry, fields []Field) {
	for _, entry := range entries {
		if _, twice := c.entries[entry.Message]; twice {
			c.problem("catalogue: %q has two entries", entry.Message)
		}
		c.entries[entry.Message] = entry
	}
	for _, field := range fields {
		if !snakeCase.MatchString(field.Name) {
			c.problem("fields.go: %q is not in snake_case", field.Name)
		}
		c.fields[field.Name] = true
	}
}

func (c *comparison) checkCall(call Call, exempt []string) {
	for _, name := range call.Fields {
		c.used[name] = true
		switch {
		case name == "?":
			c.problem("%s: the name of a field must be a constant", call.Position)
		case !c.fields[name]:
			c.problem("%s: the field %q is not in fields.go; use a name of that list, or add: {%q, \"...\"}", call.Position,
				name, name)
		}
	}
	switch {
	case call.Level == "with":
		c.withs = append(c.withs, call.Fields...)
		return
	case call.Message == "" && slices.Contains(exempt, call.Function):
		c.exempted = append(c.exempted, call.Function)
		return
	case call.Message == "":
		c.problem("%s: the message must be a constant; put what varies into fields", call.Position)
		return
	}
	if !call.needsEntry() {
		return
	}
	c.logged[call.Message] = append(c.logged[call.Message], call)
	if _, ok := c.entries[call.Message]; !ok {
		c.problem("%s: not in the catalogue; add: {Message: %q, Levels: %s, Fields: %s, Cause: \"...\", Remedy: \"...\"}",
			call.Position, call.Message, literal([]string{call.Level}), literal(call.Fields))
	}
}

// checkEntry compares an entry with the calls that log its message.
func (c *comparison) checkEntry(entry Entry) {
	calls := c.logged[entry.Message]
	if len(calls) == 0 {
		c.problem("catalogue: remove %q: nothing logs it", entry.Message)
		return
	}
	if entry.Cause == "" || entry.Remedy == "" {
		c.problem("catalogue: %q needs a cause and a remedy", entry.Message)
	}
	var levels, fields []string
	for _, call := range calls {
		levels, fields = append(levels, call.Level), append(fields, call.Fields...)
	}
	computed := slices.Contains(levels, "any")
	for _, level := range levels {
		if level != "any" && !slices.Contains(entry.Levels, level) {
			c.problem("catalogue: %q: add the level %s", entry.Message, level)
		}
	}
	for _, level := range entry.Levels {
		if !computed && !slices.Contains(levels, level) {
			c.problem("catalogue: %q: remove the level %s", entry.Message, level)
		}
	}
	for _, name := range fields {
		if !slices.Contains(entry.Fields, name) {
			c.problem("catalogue: %q: add the field %q", entry.Message, name)
		}
	}
	for _, name := range entry.Fields {
		if !slices.Contains(fields, name) && !slices.Contains(c.withs, name) {
			c.problem("catalogue: %q: remove the field %q", entry.Message, name)
		}
	}
}

// literal writes a list as Go does.
func literal(list []string) string {
	var quoted []string
	for _, each := range list {
		quoted = append(quoted, fmt.Sprintf("%q", each))
	}
	return "[]string{" + strings.Join(quoted, ", ") + "}"
}
