package account_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"countersign/fapi/fapitest"
)

// described is docs/api/account-v1.yaml.
var described = sync.OnceValues(func() (map[string]any, error) {
	raw, err := os.ReadFile("../../docs/api/account-v1.yaml")
	if err != nil {
		return nil, err
	}
	y := &yaml{lines: strings.Split(string(raw), "\n")}
	return y.block(0).(map[string]any), nil
})

// yaml reads what the file has of YAML: maps and lists, in blocks by two spaces or in braces, and texts.
type yaml struct {
	lines []string
	at    int
}

// next is the next line that is not empty, and its depth; -1 at the end.
func (y *yaml) next() (text string, depth int) {
	for ; y.at < len(y.lines); y.at++ {
		if text := strings.TrimLeft(y.lines[y.at], " "); text != "" {
			return text, len(y.lines[y.at]) - len(text)
		}
	}
	return "", -1
}

func (y *yaml) block(depth int) any {
	if text, _ := y.next(); strings.HasPrefix(text, "- ") {
		var all []any
		for {
			text, at := y.next()
			if at != depth || !strings.HasPrefix(text, "- ") {
				return all
			}
			y.lines[y.at] = strings.Repeat(" ", depth+2) + text[2:]
			if strings.HasPrefix(text[2:], "{") {
				y.at++
				all = append(all, flow(text[2:]))
				continue
			}
			all = append(all, y.block(depth+2))
		}
	}
	all := map[string]any{}
	for {
		text, at := y.next()
		if at != depth {
			return all
		}
		name, value, _ := strings.Cut(text, ":")
		y.at++
		name, value = strings.Trim(name, `"`), strings.TrimSpace(value)
		switch {
		case value == "|":
			for text, at := y.next(); at > depth; text, at = y.next() {
				all[name] = text
				y.at++
			}
		case value == "":
			_, deeper := y.next()
			all[name] = y.block(deeper)
		default:
			all[name] = flow(value)
		}
	}
}

// flow reads a value of one line.
func flow(text string) any {
	value, _ := flowAt(text)
	return value
}

// flowAt reads a value at the beginning of a text, and returns what is behind it.
func flowAt(text string) (any, string) {
	text = strings.TrimLeft(text, " ,")
	switch {
	case text == "":
		panic("account-v1.yaml: a map or a list does not end")
	case strings.HasPrefix(text, "{"):
		all := map[string]any{}
		for rest := text[1:]; ; {
			if rest = strings.TrimLeft(rest, " ,"); strings.HasPrefix(rest, "}") {
				return all, rest[1:]
			}
			name, after, _ := strings.Cut(rest, ":")
			all[strings.Trim(name, `"`)], rest = flowAt(after)
		}
	case strings.HasPrefix(text, "["):
		all := []any{}
		for rest := text[1:]; ; {
			if rest = strings.TrimLeft(rest, " ,"); strings.HasPrefix(rest, "]") {
				return all, rest[1:]
			}
			var one any
			one, rest = flowAt(rest)
			all = append(all, one)
		}
	case strings.HasPrefix(text, `"`):
		quoted, rest, _ := strings.Cut(text[1:], `"`)
		return quoted, rest
	}
	end := strings.IndexAny(text, ",}]")
	if end < 0 || !strings.ContainsAny(text, "}]") { // a text of its own line
		end = len(text)
	}
	return plainValue(strings.TrimSpace(text[:end])), text[end:]
}

func plainValue(text string) any {
	if number, err := strconv.Atoi(text); err == nil {
		return number
	}
	switch text {
	case "true", "false":
		return text == "true"
	}
	return text
}

// at follows names, and references to components.
func at(t *testing.T, from any, names ...string) any {
	t.Helper()
	document, err := described()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; ; i++ {
		object, _ := from.(map[string]any)
		if reference, ok := object["$ref"].(string); ok {
			from = at(t, document, strings.Split(strings.TrimPrefix(reference, "#/"), "/")...)
			object, _ = from.(map[string]any)
		}
		if i == len(names) {
			return from
		}
		from = object[names[i]]
	}
}

// documented demands that an answer is one that the description has for the operation.
func documented(t *testing.T, method, path string, r fapitest.Reply) {
	t.Helper()
	document, err := described()
	if err != nil {
		t.Fatal(err)
	}
	operation := at(t, document, "paths", path, strings.ToLower(method))
	if operation == nil {
		t.Fatalf("%s %s is not described", method, path)
	}
	response := at(t, operation, "responses", strconv.Itoa(r.Status))
	if response == nil {
		t.Errorf("%s %s: the status %d is not described: %s", method, path, r.Status, r.Raw)
		return
	}
	if headers, ok := at(t, response, "headers").(map[string]any); ok {
		for name := range headers {
			required, _ := at(t, headers, name, "required").(bool)
			if always := at(t, headers, name, "schema", "const"); r.Header.Get(name) == "" && required || always != nil && r.Header.Get(name) != always {
				t.Errorf("%s %s: %d with %s: %q", method, path, r.Status, name, r.Header.Get(name))
			}
		}
	}
	if kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); kind != "application/json" {
		t.Errorf("%s %s: %d of the type %s", method, path, r.Status, kind)
	}
	// What the schema does not name is not answered: each object is closed, and an allOf by what all of its parts name.
	schema := closed(t, at(t, response, "content", "application/json", "schema"))
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	encoded, err := json.Marshal(schema)
	if err != nil {
		t.Fatal(err)
	}
	again, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	if err := compiler.AddResource("urn:answer", again); err != nil {
		t.Fatal(err)
	}
	compiled, err := compiler.Compile("urn:answer")
	if err != nil {
		t.Fatal(err)
	}
	body, err := jsonschema.UnmarshalJSON(strings.NewReader(r.Raw))
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if err := compiled.Validate(body); err != nil {
		t.Errorf("%s %s: %d %s\n%v", method, path, r.Status, r.Raw, err)
	}
}

// closed is a schema without references, whose objects have no members that it does not name.
func closed(t *testing.T, schema any) any {
	t.Helper()
	switch schema := at(t, schema).(type) {
	case map[string]any:
		result := map[string]any{}
		for name, value := range schema {
			if name == "properties" {
				members := map[string]any{}
				for member, of := range value.(map[string]any) {
					members[member] = closed(t, of)
				}
				result[name] = members
				continue
			}
			result[name] = closed(t, value)
		}
		if parts, ok := schema["allOf"].([]any); ok {
			members, required := map[string]any{}, []any{}
			for _, part := range parts {
				one := closed(t, part).(map[string]any)
				for member, of := range one["properties"].(map[string]any) {
					members[member] = of
				}
				required = append(required, one["required"].([]any)...)
			}
			return map[string]any{"type": "object", "properties": members, "required": required, "additionalProperties": false}
		}
		if schema["properties"] != nil {
			result["additionalProperties"] = false
		}
		return result
	case []any:
		var all []any
		for _, each := range schema {
			all = append(all, closed(t, each))
		}
		return all
	default:
		return schema
	}
}
