package fapitest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"
)

// Contract is an OpenAPI document.
type Contract map[string]any

// ReadContract reads one of docs/api, for a package two folders below the root.
func ReadContract(t *testing.T, name string) Contract {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/api", name))
	if err != nil {
		t.Fatal(err)
	}
	var document map[string]any // the type of the maps in it, too
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// Schema compiles one of its schemas, by name.
func (c Contract) Schema(t *testing.T, name string) *jsonschema.Schema {
	t.Helper()
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020) // OpenAPI 3.1
	compiler.AssertFormat()
	if err := compiler.AddResource("https://contract.example/v1", document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile("https://contract.example/v1#/components/schemas/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}
