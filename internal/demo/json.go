package demo

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/internal/flowclient"
)

// maxDepth is how deep shown JSON may nest.
const maxDepth = 16

// value is JSON for the screen: cleaned, shortened, and in the order in which it came.
type value struct {
	// name is the member's name, or "".
	name string
	// text is a scalar as it is shown.
	text string
	// kind is '{' or '[', or 0 for a scalar.
	kind    byte
	members []value
	// time is the number of a claim that is a time, or "".
	time json.Number
}

// times are the claims that are times (RFC 7519 §4.1, OpenID Connect Core §2).
var times = []string{"iat", "exp", "nbf", "auth_time"}

// readJSON reads one JSON value.
func readJSON(raw []byte) (value, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	read, err := readValue(decoder, "", 0)
	if err != nil {
		return value{}, err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return value{}, errors.New("there is something after the JSON")
	}
	return read, nil
}

// readValue reads a value whose secrecy the name decides; the items of an array are called as the array is.
func readValue(decoder *json.Decoder, name string, depth int) (value, error) {
	if depth > maxDepth {
		return value{}, errors.New("the JSON nests too deep")
	}
	token, err := decoder.Token()
	if err != nil {
		return value{}, err
	}
	switch t := token.(type) {
	case json.Delim:
		v := value{kind: byte(t)}
		for decoder.More() {
			member := name
			if v.kind == '{' {
				token, err := decoder.Token()
				if err != nil {
					return value{}, err
				}
				member, _ = token.(string) // the decoder lets nothing else through
			}
			read, err := readValue(decoder, member, depth+1)
			if err != nil {
				return value{}, err
			}
			if v.kind == '{' {
				read.name = clipped(flowclient.Printable(member), longest)
			}
			v.members = append(v.members, read)
		}
		_, err := decoder.Token() // the end of it
		return v, err
	case string:
		return value{text: quoted(shown(name, t))}, nil
	case json.Number:
		v := value{text: clipped(t.String(), longest)}
		if slices.Contains(times, name) {
			v.time = t
		}
		return v, nil
	case bool:
		if t {
			return value{text: "true"}, nil
		}
		return value{text: "false"}, nil
	}
	return value{text: "null"}, nil
}

// quoted writes a cleaned string as JSON does.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

// only keeps some members: of an object, or of the objects in an array, or of those in an object's arrays if it has none
// of them itself, as a key set does.
func (v value) only(names []string) value {
	if len(names) == 0 || v.kind == 0 {
		return v
	}
	kept := value{name: v.name, kind: v.kind}
	if v.kind == '{' {
		for _, name := range names {
			for _, m := range v.members {
				if m.name == name {
					kept.members = append(kept.members, m)
				}
			}
		}
		if len(kept.members) > 0 {
			return kept
		}
	}
	for _, m := range v.members {
		if m.kind != 0 {
			kept.members = append(kept.members, m.only(names))
		}
	}
	return kept
}

// value writes a value, in one line if it fits.
func (s *screen) value(indent int, v value, comma string) {
	name := ""
	if v.name != "" {
		name = quoted(v.name) + ": "
	}
	plain := (&screen{}).inline(v)
	fits := indent+utf8.RuneCountInString(name+plain+comma) <= width
	switch {
	case v.kind == 0 && v.time != "":
		s.line(indent, s.style(key, name)+v.text+comma+s.style(quiet, "  · "+s.relative(v.time)))
	case fits && !v.hasTime():
		s.line(indent, s.style(key, name)+s.inline(v)+comma)
	case v.kind == 0:
		s.long(indent, name, v.text+comma)
	default:
		s.line(indent, s.style(key, name)+string(v.kind))
		for i, m := range v.members {
			between := ","
			if i == len(v.members)-1 {
				between = ""
			}
			s.value(indent+2, m, between)
		}
		s.line(indent, string(v.kind+2)+comma) // '}' and ']' come two after '{' and '['
	}
}

// long writes a string that needs more than a line.
func (s *screen) long(indent int, name, text string) {
	first := utf8.RuneCountInString(name)
	lines := wrap(text, width-indent-first)
	if first+utf8.RuneCountInString(lines[0]) > width-indent || len(lines) > 1 {
		s.line(indent, s.style(key, strings.TrimSuffix(name, " ")))
		indent += 4
		lines = wrap(text, width-indent)
		name = ""
	}
	for _, line := range lines {
		s.line(indent, s.style(key, name)+line)
	}
}

// hasTime reports whether a member is a time, which needs a line for its explanation.
func (v value) hasTime() bool {
	return v.time != "" || slices.ContainsFunc(v.members, value.hasTime)
}

// inline writes a value in one line.
func (s *screen) inline(v value) string {
	if v.kind == 0 {
		return v.text
	}
	parts := make([]string, len(v.members))
	for i, m := range v.members {
		if v.kind == '{' {
			parts[i] = s.style(key, quoted(m.name)+": ")
		}
		parts[i] += s.inline(m)
	}
	return string(v.kind) + strings.Join(parts, ", ") + string(v.kind+2)
}
