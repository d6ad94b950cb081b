package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"countersign/internal/config"
)

// chartSchema is the schema of the chart's values, from the root of the module.
const chartSchema = "deploy/helm/countersign/values.schema.json"

// ofTheChart are the keys of the configuration that the chart sets, by table.
func ofTheChart() map[string][]string {
	return map[string][]string{
		"listen":      {"address", "certificate_file", "key_file"},
		"listen_mtls": {"address", "url", "client_ca_file"},
		"store":       {"driver", "file", "url_file", "notify_url_file"},
		"signer":      {"module", "token", "pin_file", "pin_env", "environment", "state_dir", "development_key_file"},
		"limits":      {"drain_time", "shutdown_timeout"},
		"admin":       {"listen", "certificate_file", "key_file", "client_ca_file"},
		"metrics":     {"listen", "certificate_file", "key_file", "client_ca_file", "client_name"},
	}
}

// merged is the schema of the values with that of the configuration in it. The rest stays as it is.
func merged(values []byte) ([]byte, error) {
	var chart, server map[string]any
	if err := json.Unmarshal(values, &chart); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(config.Schema(), &server); err != nil {
		return nil, err
	}
	delete(server, "$schema")
	delete(server, "title")
	tables := server["properties"].(map[string]any)
	for table, keys := range ofTheChart() {
		schema, ok := tables[table].(map[string]any)
		if !ok {
			return nil, fmt.Errorf("the configuration has no table %s", table)
		}
		properties := schema["properties"].(map[string]any)
		for _, key := range keys {
			if _, ok := properties[key]; !ok {
				return nil, fmt.Errorf("the configuration has no key %s.%s", table, key)
			}
			delete(properties, key)
		}
		demand(schema, keys)
	}
	demand(server, []string{"listen", "signer"})
	tables["issuer"].(map[string]any)["pattern"] = "^https://[^/?#]"
	server["description"] = "The configuration, with the keys of docs/configuration.md, but for those that the chart sets."
	chart["properties"].(map[string]any)["config"] = server
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(chart)
	return out.Bytes(), err
}

// demand takes what the chart sets out of what a table must have.
func demand(schema map[string]any, without []string) {
	needed, _ := schema["required"].([]any)
	needed = slices.DeleteFunc(needed, func(key any) bool { return slices.Contains(without, key.(string)) })
	if len(needed) == 0 {
		delete(schema, "required")
		return
	}
	schema["required"] = needed
}
