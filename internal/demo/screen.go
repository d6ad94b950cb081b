package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"countersign/internal/flowclient"
)

// width is what a terminal shows of a line at least, in characters.
const width = 80

// The indents of lines, in characters.
const (
	messageIndent = 3
	detailIndent  = 5
	jsonIndent    = 7
)

// screen writes the flow for people.
type screen struct {
	out   io.Writer
	color bool
	now   func() time.Time
	steps []step
}

// step is a step of the flow that has begun.
type step struct {
	name  string
	began time.Time
}

// The terminal's styles.
const (
	bold  = "1"
	quiet = "2"
	head  = "1;36"
	good  = "32"
	key   = "36"
)

func (s *screen) style(code, text string) string {
	if !s.color || code == "" || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// line writes one line. A terminal that went away ends the program by its signal, not here.
func (s *screen) line(indent int, text string) {
	_, _ = fmt.Fprintf(s.out, "%s%s\n", strings.Repeat(" ", indent), text)
}

func (s *screen) title(text string) {
	s.line(0, s.style(bold, text))
	s.line(0, strings.Repeat("=", min(utf8.RuneCountInString(text), width)))
}

// step begins a numbered step.
func (s *screen) step(name string) {
	s.steps = append(s.steps, step{name, s.now()})
	s.line(0, "")
	s.line(0, s.style(head, fmt.Sprintf("%d  %s", len(s.steps), name)))
}

// current is the name of the step that began last.
func (s *screen) current() string {
	if len(s.steps) == 0 {
		return ""
	}
	return s.steps[len(s.steps)-1].name
}

// wrapped writes a text in a style, broken at the width.
func (s *screen) wrapped(indent int, mark, code, text string) {
	for i, line := range wrap(text, width-indent-utf8.RuneCountInString(mark)) {
		if i > 0 {
			mark = strings.Repeat(" ", utf8.RuneCountInString(mark))
		}
		s.line(indent, s.style(code, mark+line))
	}
}

// say writes a sentence.
func (s *screen) say(text string) { s.wrapped(detailIndent, "", "", text) }

// check writes what was found to be as it should be.
func (s *screen) check(text string) { s.wrapped(messageIndent, "✓ ", good, text) }

// address writes an address to be copied: whole, and in a line of its own.
func (s *screen) address(text string) {
	s.line(0, "")
	s.line(0, s.style(bold, text))
	s.line(0, "")
}

// request shows a message that goes out, with its explanation and its parameters or headers.
func (s *screen) request(what, explanation string, parameters ...parameter) {
	s.line(0, "")
	s.line(messageIndent, s.style(bold, "→ "+what))
	s.say(explanation)
	longest := 0
	for _, p := range parameters {
		longest = max(longest, utf8.RuneCountInString(flowclient.Printable(p.name)))
	}
	for _, p := range parameters {
		name := flowclient.Printable(p.name)
		gap := strings.Repeat(" ", longest-utf8.RuneCountInString(name)+2)
		lines := wrap(shown(p.name, p.value), width-jsonIndent-longest-2)
		for i, line := range lines {
			if i == 0 {
				s.line(jsonIndent, s.style(key, name)+gap+line)
				continue
			}
			s.line(jsonIndent+longest+2, line)
		}
	}
}

// answer shows a message that comes in. If only is given, no other members are shown.
func (s *screen) answer(a flowclient.Reply, explanation string, only ...string) {
	s.line(0, "")
	s.line(messageIndent, s.style(bold, strings.TrimSpace(fmt.Sprintf("← %d %s", a.Status, http.StatusText(a.Status)))))
	s.say(explanation)
	for _, name := range []string{"WWW-Authenticate", "DPoP-Nonce"} {
		if text := a.Header.Get(name); text != "" {
			s.wrapped(jsonIndent, "", "", name+": "+shown(name, text))
		}
	}
	s.json(a.Body, only...)
}

// token shows a JWT decoded, under a label.
func (s *screen) token(label, token string) {
	s.wrapped(detailIndent, "· ", quiet, label)
	header, payload, err := flowclient.DecodeJWT(token)
	if err != nil {
		s.line(jsonIndent, shown("access_token", token))
		return
	}
	s.json(header)
	s.json(payload)
}

// json shows JSON, with its members in the order in which they came.
func (s *screen) json(raw []byte, only ...string) {
	value, err := readJSON(raw)
	if err != nil {
		s.line(jsonIndent, fmt.Sprintf("(%d bytes that are not JSON)", len(raw)))
		return
	}
	s.value(jsonIndent, value.only(only), "")
}

// done writes the summary: what was seen, and how long each step took.
func (s *screen) done(seen ...string) {
	end := s.now()
	s.line(0, "")
	s.line(0, s.style(head, fmt.Sprintf("Done: %d steps in %.1f s.", len(s.steps), end.Sub(s.steps[0].began).Seconds())))
	for _, text := range seen {
		s.check(text)
	}
	s.line(0, "")
	for i, step := range s.steps {
		ended := end
		if i+1 < len(s.steps) {
			ended = s.steps[i+1].began
		}
		s.line(messageIndent, fmt.Sprintf("%d  %-30s %6d ms", i+1, step.name, ended.Sub(step.began).Milliseconds()))
	}
	s.line(messageIndent, s.style(bold, fmt.Sprintf("   %-30s %6d ms", "in all", end.Sub(s.steps[0].began).Milliseconds())))
}

// relative says when a time is, as people count.
func (s *screen) relative(seconds json.Number) string {
	count, err := seconds.Float64()
	if err != nil || count < 0 || count > 253402300799 { // the end of the year 9999
		return ""
	}
	d := time.Unix(int64(count), 0).Sub(s.now().Truncate(time.Second))
	amount := ""
	switch far := d.Abs(); {
	case far < 2*time.Second:
		return "now"
	case far <= 2*time.Minute:
		amount = fmt.Sprintf("%.0f s", far.Seconds())
	case far <= 2*time.Hour:
		amount = fmt.Sprintf("%.0f min", far.Minutes())
	case far <= 48*time.Hour:
		amount = fmt.Sprintf("%.0f h", far.Hours())
	default:
		amount = fmt.Sprintf("%.0f days", far.Hours()/24)
	}
	if d < 0 {
		return amount + " ago"
	}
	return "in " + amount
}
