package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const here = "../countersign/values.schema.json"

// Covers: NM-123. The schema of the chart's values has the keys of the configuration that there are, and none that the chart sets.
func TestCurrent(t *testing.T) {
	kept, err := os.ReadFile(here)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts the schema that is generated", func(t *testing.T) {
		if made, err := merged(kept); err != nil || !bytes.Equal(made, kept) {
			t.Errorf("the schema is out of date (%v); go run ./deploy/helm/generate", err)
		}
	})
	t.Run("accepts to write it", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "values.schema.json")
		if err := os.WriteFile(file, []byte(`{"properties": {}}`), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := write(file); err != nil {
			t.Fatal(err)
		}
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `"access_token_lifetime"`) || strings.Contains(string(text), `"pin_file"`) && !strings.Contains(string(text), `"replicas"`) {
			t.Errorf("%v %s", err, text)
		}
	})
	t.Run("refuses what is no schema", func(t *testing.T) {
		if _, err := merged([]byte("values")); err == nil {
			t.Error("it was merged")
		}
		if err := write(filepath.Join(t.TempDir(), "none")); err == nil {
			t.Error("it was written")
		}
	})
}
