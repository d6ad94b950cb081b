// Package ready has types of authorization_details (RFC 9396) that a bank can use as they are: payments and access to accounts in
// the words of the United Kingdom's, the Berlin Group's, Brazil's and the United Arab Emirates' open banking, and payments by card
// in those of ConnectID Australia, with the annotations by which people read them in six languages.
package ready

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"strings"
)

//go:embed types
var types embed.FS

// Names returns the names of the ready types, sorted.
func Names() []string {
	entries, err := types.ReadDir("types")
	if err != nil { // only in a broken build
		panic(err)
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = strings.TrimSuffix(entry.Name(), ".json")
	}
	return names
}

// Schema returns the annotated JSON Schema of a ready type, for objects whose member "type" is typeName. The error says which
// names there are.
func Schema(name, typeName string) (json.RawMessage, error) {
	raw, err := types.ReadFile("types/" + name + ".json")
	if err != nil {
		return nil, fmt.Errorf("there is no ready type %q; there are %s", name, strings.Join(Names(), ", "))
	}
	quoted, err := json.Marshal(typeName)
	if err != nil {
		return nil, err
	}
	return bytes.Replace(raw, []byte(`"const": "TYPE"`), append([]byte(`"const": `), quoted...), 1), nil
}
