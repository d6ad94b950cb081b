package config

import (
	"cmp"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"countersign/internal/config/change"
	"countersign/internal/config/position"
)

// TestReference keeps the documentation true.
func TestReference(t *testing.T) {
	const begin, end = "<!-- reference: begin -->\n", "<!-- reference: end -->\n"
	file := filepath.Join("..", "..", "docs", "configuration.md")
	head, rest, ok := strings.Cut(read(t, file), begin)
	_, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has lost the marks of its reference", file)
	}
	golden(t, file, head+begin+reference()+end+tail)
}

// reference describes every key in Markdown: a section for each table.
func reference() string {
	var out strings.Builder
	referenceTable(&out, "", "Top level", "", "", "", reflect.TypeFor[Config]())
	return out.String()
}

func referenceTable(out *strings.Builder, prefix, title, doc, reload, why string, table reflect.Type) {
	fmt.Fprintf(out, "### %s\n\n", title)
	if doc != "" {
		fmt.Fprintf(out, "%s\n\n", doc)
	}
	if reload == change.Restart {
		fmt.Fprintf(out, "Changes are taken by a restart: %s.\n\n", why)
	}
	out.WriteString("| key | value | meaning |\n|---|---|---|\n")
	for i := range table.NumField() {
		field := table.Field(i)
		name, ok := field.Tag.Lookup("toml")
		if ok && field.Type.Kind() != reflect.Struct && field.Type.Kind() != reflect.Slice {
			after := ""
			if reload != change.Restart && field.Tag.Get("reload") == change.Restart {
				after = " A change is taken by a restart: " + field.Tag.Get("why") + "."
			}
			fmt.Fprintf(out, "| `%s` | %s | %s%s |\n", name, referenceValue(field), field.Tag.Get("doc"), after)
		}
	}
	out.WriteString("\n")
	for i := range table.NumField() {
		field := table.Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := position.Join(prefix, name)
		switch field.Type.Kind() {
		case reflect.Struct:
			referenceTable(out, key, "`["+key+"]`", field.Tag.Get("doc"), cmp.Or(field.Tag.Get("reload"), reload), cmp.Or(field.Tag.Get("why"), why), field.Type)
		case reflect.Slice:
			referenceTable(out, key, "`[["+key+"]]`", field.Tag.Get("doc"), cmp.Or(field.Tag.Get("reload"), reload), cmp.Or(field.Tag.Get("why"), why), field.Type.Elem())
		}
	}
}

func referenceValue(field reflect.StructField) string {
	var parts []string
	switch {
	case field.Type == reflect.TypeFor[Duration]():
		parts = append(parts, fmt.Sprintf("duration, %s to %s", field.Tag.Get("min"), field.Tag.Get("max")))
	case field.Type == reflect.TypeFor[File]():
		parts = append(parts, "file name")
	case field.Type == reflect.TypeFor[Secret]():
		parts = append(parts, "file name or `credential:NAME`")
	case field.Type.Kind() == reflect.Int:
		parts = append(parts, fmt.Sprintf("number, %s to %s", field.Tag.Get("min"), field.Tag.Get("max")))
	case field.Type.Kind() == reflect.Bool:
		parts = append(parts, "true or false")
	case field.Type.Kind() == reflect.Map:
		parts = append(parts, "table of texts")
	case field.Tag.Get("enum") != "":
		parts = append(parts, "`"+strings.ReplaceAll(field.Tag.Get("enum"), ",", "`, `")+"`")
	default:
		parts = append(parts, "text")
	}
	if text, ok := field.Tag.Lookup("default"); ok {
		parts = append(parts, "default `"+text+"`")
	}
	if field.Tag.Get("required") == "true" {
		parts = append(parts, "**required**")
	}
	return strings.Join(parts, "; ")
}
