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
	"go.yaml.in/yaml/v3"

	"countersign/fapi/fapitest"
)

// described is docs/api/account-v1.yaml.
var described = sync.OnceValues(func() (map[string]any, error) {
	raw, err := os.ReadFile("../../docs/api/account-v1.yaml")
	if err != nil {
		return nil, err
	}
	var document map[string]any
	err = yaml.Unmarshal(raw, &document)
	return document, err
})

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
