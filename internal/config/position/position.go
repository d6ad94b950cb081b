// Package position finds the lines of keys in a TOML document.
package position

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Positions are the line of each key and table by its full name; elements of an array of tables are named
// with their index, such as "scopes[0].name".
type Positions map[string]int

// Locate walks a document that is known to be correct TOML.
func Locate(document []byte) Positions {
	w := walker{found: Positions{}, tables: map[string]int{}}
	w.parser.Reset(document)
	for prefix := ""; w.parser.NextExpression(); {
		expression := w.parser.Expression()
		switch expression.Kind {
		case unstable.Table:
			prefix = w.keys("", expression.Key(), false)
		case unstable.ArrayTable:
			prefix = w.keys("", expression.Key(), true)
		case unstable.KeyValue:
			w.keyValue(prefix, expression)
		}
	}
	return w.found
}

type walker struct {
	parser unstable.Parser
	found  Positions
	// tables counts the elements seen of each array of tables.
	tables map[string]int
}

// keys follows a dotted key from prefix, records the line of each step, and returns the full name.
func (w *walker) keys(prefix string, parts unstable.Iterator, array bool) string {
	for parts.Next() {
		part := parts.Node()
		prefix = Join(prefix, string(part.Data))
		w.note(prefix, part)
		if array && parts.IsLast() {
			w.tables[prefix]++
		}
		if count := w.tables[prefix]; count > 0 {
			prefix = fmt.Sprintf("%s[%d]", prefix, count-1)
			w.note(prefix, part)
		}
	}
	return prefix
}

func (w *walker) keyValue(prefix string, node *unstable.Node) {
	w.value(w.keys(prefix, node.Key(), false), node.Value())
}

func (w *walker) value(name string, value *unstable.Node) {
	switch value.Kind {
	case unstable.InlineTable:
		for children := value.Children(); children.Next(); {
			w.keyValue(name, children.Node())
		}
	case unstable.Array:
		index := 0
		for children := value.Children(); children.Next(); {
			if children.Node().Kind == unstable.Comment {
				continue
			}
			element := fmt.Sprintf("%s[%d]", name, index)
			if _, ok := w.found[element]; !ok {
				w.found[element] = w.found[name]
			}
			w.value(element, children.Node())
			index++
		}
	}
}

// note records the first line of a name.
func (w *walker) note(name string, node *unstable.Node) {
	if _, ok := w.found[name]; !ok {
		w.found[name] = w.parser.Shape(node.Raw).Start.Line
	}
}

// Join appends a part to a full name; parts that are no bare keys are quoted.
func Join(prefix, part string) string {
	if !BareKey(part) {
		part = fmt.Sprintf("%q", part)
	}
	if prefix == "" {
		return part
	}
	return prefix + "." + part
}

func BareKey(part string) bool {
	return part != "" && !strings.ContainsFunc(part, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}
