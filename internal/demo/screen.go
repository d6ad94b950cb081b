package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// width is what a terminal shows of a line at least.
const width = 80

// screen writes the flow for a person.
type screen struct {
	out   io.Writer
	color bool
	steps int
}

// The terminal's styles.
const (
	bold  = "1"
	quiet = "2"
	head  = "1;36"
	good  = "1;32"
)

func (s *screen) style(code, text string) string {
	if !s.color {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// line writes one line. A terminal that went away ends the program by its signal, not here.
func (s *screen) line(format string, arguments ...any) {
	fmt.Fprintf(s.out, format+"\n", arguments...)
}

func (s *screen) title(text string) {
	s.line("%s", s.style(bold, text))
	s.line("%s", strings.Repeat("=", min(len(text), width)))
}

// step begins a numbered step with its explanation.
func (s *screen) step(name, explanation string) {
	s.steps++
	s.line("")
	s.line("%s", s.style(head, fmt.Sprintf("%d  %s", s.steps, name)))
	s.say(explanation)
}

// say writes a sentence, broken at the width.
func (s *screen) say(text string) {
	line := "  "
	for word := range strings.FieldsSeq(text) {
		if len(line)+len(word) >= width {
			s.line("%s", line)
			line = "  "
		}
		if line != "  " {
			line += " "
		}
		line += word
	}
	s.line("%s", line)
}

// request shows a request with its parameters or headers.
func (s *screen) request(method, address string, parameters map[string]string) {
	s.line("")
	base, query, _ := strings.Cut(address, "?")
	s.line("  %s", s.style(bold, method+" "+base))
	for part := range strings.SplitSeq(query, "&") {
		if name, value, found := strings.Cut(part, "="); found {
			s.line("     %s = %s", name, short(value))
		}
	}
	names := make([]string, 0, len(parameters))
	for name := range parameters {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		s.line("     %s = %s", name, short(parameters[name]))
	}
}

// token shows a JWT decoded.
func (s *screen) token(what, token string) {
	header, claims, err := decode(token)
	if err != nil {
		s.value(what, short(token))
		return
	}
	s.line("   %s", s.style(quiet, "· "+what))
	s.json(header, "     ")
	s.json(claims, "     ")
}

// value shows JSON under a heading.
func (s *screen) value(what string, value any) {
	s.line("   %s", s.style(quiet, "· "+what))
	s.json(value, "     ")
}

func (s *screen) json(value any, indent string) {
	text, err := json.MarshalIndent(shortened(value), indent, "  ")
	if err != nil {
		s.line("%s%v", indent, err)
		return
	}
	s.line("%s%s", indent, strings.NewReplacer(`\u0026`, "&", `\u003c`, "<", `\u003e`, ">").Replace(string(text)))
}

func (s *screen) done(took time.Duration) {
	s.line("")
	s.line("%s", s.style(good, fmt.Sprintf("Done: %d steps in %.1f s.", s.steps, took.Seconds())))
}

// longest is how much of a value is shown whole.
const longest = 52

// short cuts long values, so that no secret is shown whole and every line fits.
func short(text string) string {
	if len(text) <= longest && !looksSecret(text) {
		return text
	}
	return fmt.Sprintf("%s…(%d bytes)", text[:min(12, len(text))], len(text))
}

// looksSecret tells random values apart: 43 characters of base64url are 256 bits.
func looksSecret(text string) bool {
	return len(text) >= 40 && !strings.ContainsAny(text, " /:.")
}

// shortened copies JSON with its strings cut. Addresses stay whole: they are no secrets.
func shortened(value any) any {
	switch v := value.(type) {
	case map[string]any:
		copied := map[string]any{}
		for name, member := range v {
			copied[name] = shortened(member)
		}
		return copied
	case []any:
		copied := make([]any, len(v))
		for i, member := range v {
			copied[i] = shortened(member)
		}
		return copied
	case string:
		if strings.HasPrefix(v, "https://") || strings.Contains(v, " ") {
			return v
		}
		return short(v)
	}
	return value
}
