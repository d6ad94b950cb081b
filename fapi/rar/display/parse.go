package display

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Bounds on a schema.
const (
	maxDepth    = 12
	maxNodes    = 2000
	maxProblems = 20
)

// Type is how one type of authorization_details is shown. Make it with [Parse]. It is immutable.
type Type struct {
	name      string
	head      head
	languages *Languages
	root      *node
	// life is the longest that it may last; 0 for no bound.
	life time.Duration
	// accounts are words for entries of lists with "offer", by the entry in canonical JSON.
	accounts map[string]Offered
}

// Name is the value of the member "type" of its objects.
func (t *Type) Name() string { return t.name }

// node is a place in the schema.
type node struct {
	pointer    string
	annotation annotation
	// annotated reports whether the schema says how to show it.
	annotated bool
	// visible is a value with a label or in the heading, consumed one that another value shows, silent a const of which
	// nothing is said.
	visible, consumed, silent bool
	// always reports whether it is in each object, once.
	always   bool
	required bool
	group    int
	order    int
	// enum are the values that there are, as JSON, if they are listed.
	enum []string
	// members are those of an object, item is what is in a list. A plain value has neither.
	members map[string]*node
	item    *node
	boolean bool
	// least and most are how many entries a list may have; no most is 0.
	least, most float64
}

func (n *node) plain() bool { return n.members == nil && n.item == nil }

// plainList reports whether it is a list of plain values.
func (n *node) plainList() bool { return n.item != nil && n.item.plain() }

// shows reports whether each value of it that is there has something to show.
func (n *node) shows() bool {
	switch {
	case n.visible || n.consumed || len(n.annotation.Label) > 0:
		return true
	case n.members != nil:
		for _, member := range n.members {
			if member.required && member.shows() {
				return true
			}
		}
	case n.item != nil:
		return n.least >= 1 && n.item.shows()
	}
	return false
}

type parser struct {
	document  map[string]any
	languages *Languages
	head      head
	holders   map[Role][]*node
	problems  []error
	nodes     int
}

// problem notes what is wrong at a JSON Pointer, and the remedy.
func (p *parser) problem(pointer, format string, arguments ...any) {
	if len(p.problems) < maxProblems {
		p.problems = append(p.problems, fmt.Errorf("%s %s", pointer, fmt.Sprintf(format, arguments...)))
	}
}

// Parse reads the annotations of the schema of the type called name, and refuses those by which something could be granted
// that nobody is shown, or that have no words for something. Errors join all problems, each with its JSON Pointer (RFC 6901)
// and its remedy.
func Parse(name string, schema json.RawMessage, languages *Languages) (*Type, error) {
	var document any
	decoder := json.NewDecoder(bytes.NewReader(schema))
	decoder.UseNumber()
	if err := decoder.Decode(&document); err != nil {
		return nil, fmt.Errorf("its schema is not JSON: %w", err)
	}
	object, ok := document.(map[string]any)
	if !ok {
		return nil, errors.New("its schema is not an object")
	}
	p := &parser{document: object, languages: languages, holders: map[Role][]*node{}}
	raw, found := object[keyword]
	if !found {
		return nil, fmt.Errorf("/%s is missing; add it with kind, times and heading, so that people read what they allow", keyword)
	}
	if err := decode(raw, &p.head); err != nil {
		return nil, fmt.Errorf("/%s %w", keyword, err)
	}
	root := p.walk("", object, 0, true)
	if root.members == nil {
		p.problem("", "describes no object; give it the type object and properties")
	}
	p.place(root, true)
	p.checkHead()
	life := p.checkLife("/" + keyword)
	p.check(root)
	if len(p.problems) > 0 {
		return nil, errors.Join(p.problems...)
	}
	return &Type{name: name, head: p.head, languages: languages, root: root, life: life}, nil
}

// decode decodes an annotation strictly.
func decode(value, into any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	if err := strict(raw, into); err != nil {
		return fmt.Errorf("cannot be read: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return nil
}

// walk reads a part of the schema.
func (p *parser) walk(pointer string, value any, depth int, root bool) *node {
	n := &node{pointer: pointer}
	p.nodes++
	if depth > maxDepth || p.nodes > maxNodes {
		if p.nodes <= maxNodes+1 {
			p.problem(pointer, "is nested too deep, or refers to itself, or the schema is too large; write it out flat")
		}
		return n
	}
	schema, ok := p.resolve(pointer, value)
	if !ok {
		return n
	}
	if raw, found := schema[keyword]; found && !root {
		n.annotated = true
		if err := decode(raw, &n.annotation); err != nil {
			p.problem(pointer+"/"+keyword, "%s", err)
		}
	}
	for _, word := range []string{"$dynamicRef", "$recursiveRef", "patternProperties", "prefixItems", "unevaluatedItems"} {
		if _, found := schema[word]; found {
			p.problem(pointer+"/"+escape(word), "lets in values that have no words; use properties, items and $ref to this schema")
		}
	}
	p.shape(n, schema, depth)
	return n
}

// shape reads of which shape a value is: an object, a list, or plain.
func (p *parser) shape(n *node, schema map[string]any, depth int) {
	if constant, found := schema["const"]; found {
		n.enum = []string{written(constant)}
		n.silent = !n.annotated
		n.boolean = isBool(constant)
		if !n.silent && compound(constant) {
			p.problem(n.pointer, "is a fixed object or list; leave it without annotation, or describe its members")
		}
		return
	}
	if list, found := schema["enum"].([]any); found {
		for _, value := range list {
			if compound(value) {
				p.problem(n.pointer+"/enum", "has an object or a list among its values; describe its members instead")
			}
			n.enum = append(n.enum, written(value))
		}
		return
	}
	types, ok := typesOf(schema)
	switch {
	case !ok:
		p.problem(n.pointer, "may be anything; give it a type, an enum or a const")
	case slices.Equal(types, []string{"object"}):
		p.object(n, schema, depth)
	case slices.Equal(types, []string{"array"}):
		n.least, n.most = number(schema["minItems"]), number(schema["maxItems"])
		items, found := schema["items"]
		if !found {
			p.problem(n.pointer, "is a list of anything; describe its items")
		}
		n.item = &node{pointer: n.pointer + "/items"}
		if found {
			n.item = p.walk(n.pointer+"/items", items, depth+1, false)
		}
	case slices.Contains(types, "object") || slices.Contains(types, "array"):
		p.problem(n.pointer+"/type", "mixes objects or lists with others; use one type")
	default:
		n.boolean = slices.Equal(types, []string{"boolean"})
	}
}

func (p *parser) object(n *node, schema map[string]any, depth int) {
	n.members = map[string]*node{}
	if schema["additionalProperties"] != false {
		p.problem(n.pointer, `lets in members that have no words; add "additionalProperties": false`)
	}
	var required []any
	required, _ = schema["required"].([]any)
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if properties[name] == false || n.pointer == "" && name == "type" { // nobody can give it, or the heading says it
			continue
		}
		member := p.walk(n.pointer+"/properties/"+escape(name), properties[name], depth+1, false)
		member.required = slices.Contains(required, any(name))
		n.members[name] = member
	}
}

// resolve follows references within the schema. What is beside a reference is added to its target.
func (p *parser) resolve(pointer string, value any) (map[string]any, bool) {
	schema, ok := value.(map[string]any)
	if !ok {
		p.problem(pointer, "may be anything; give it a type, an enum or a const")
		return nil, false
	}
	for range maxDepth {
		reference, found := schema["$ref"].(string)
		if !found {
			return schema, true
		}
		target, ok := p.lookup(reference)
		if !ok {
			p.problem(pointer+"/$ref", "is %q; refer to a place in this schema, such as #/$defs/amount", reference)
			return nil, false
		}
		merged := maps.Clone(target)
		for word, each := range schema {
			if word != "$ref" {
				merged[word] = each
			}
		}
		schema = merged
	}
	p.problem(pointer+"/$ref", "leads in a circle; write it out")
	return nil, false
}

func (p *parser) lookup(reference string) (map[string]any, bool) {
	rest, ok := strings.CutPrefix(reference, "#/")
	if !ok {
		return nil, false
	}
	at := p.document
	for name := range strings.SplitSeq(rest, "/") {
		at, ok = at[strings.NewReplacer("~1", "/", "~0", "~").Replace(name)].(map[string]any)
		if !ok {
			return nil, false
		}
	}
	return at, true
}

// written is a value as JSON; a text without its quotes.
func written(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	raw, err := json.Marshal(value)
	if err != nil { // it was read from JSON
		return fmt.Sprint(value)
	}
	return string(raw)
}

func isBool(value any) bool {
	_, ok := value.(bool)
	return ok
}

func compound(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return true
	}
	return false
}

// typesOf returns the names in the keyword type, and reports whether there are any.
func typesOf(schema map[string]any) ([]string, bool) {
	switch value := schema["type"].(type) {
	case string:
		return []string{value}, true
	case []any:
		var names []string
		for _, each := range value {
			name, ok := each.(string)
			if !ok {
				return nil, false
			}
			names = append(names, name)
		}
		return names, len(names) > 0
	}
	return nil, false
}

func number(value any) float64 {
	if n, ok := value.(json.Number); ok {
		least, err := n.Float64()
		if err == nil {
			return least
		}
	}
	return 0
}
