package config

import (
	"fmt"
	"reflect"
	"strings"

	"countersign/internal/config/position"
)

// Commented writes a configuration file to be edited: every key with its description. Keys of c that are
// unset or have their default are comments. File names are written as they are in c.
func (c *Config) Commented() string {
	var out strings.Builder
	out.WriteString("# Countersign configuration. Relative file names start at this file's folder.\n")
	out.WriteString("# A key behind # has the value shown. `countersign config print` shows what is in effect.\n\n")
	if lax := c.Laxer(); len(lax) > 0 {
		comment(&out, "Not for production as it is. Laxer than the defaults, and marked below: "+strings.Join(lax, ", ")+".")
		out.WriteString("\n")
	}
	commentedTable(&out, "", reflect.ValueOf(c).Elem())
	return out.String()
}

func commentedTable(out *strings.Builder, prefix string, table reflect.Value) {
	for i := range table.NumField() {
		field := table.Type().Field(i)
		if name, ok := field.Tag.Lookup("toml"); ok && isScalar(field.Type.Kind()) {
			comment(out, field.Tag.Get("doc"))
			commentedKey(out, name, field, table.Field(i))
		}
	}
	for i := range table.NumField() {
		field := table.Type().Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok || isScalar(field.Type.Kind()) {
			continue
		}
		key, value := position.Join(prefix, name), table.Field(i)
		out.WriteString("\n")
		comment(out, field.Tag.Get("doc"))
		switch field.Type.Kind() {
		case reflect.Struct:
			fmt.Fprintf(out, "[%s]\n", key)
			commentedTable(out, key, value)
		case reflect.Map:
			fmt.Fprintf(out, "[%s]\n", key)
			printStrings(out, value.Interface().(map[string]string))
		case reflect.Slice:
			commentedTables(out, key, value)
		}
	}
}

// commentedTables writes the elements of a list without repeating the descriptions.
func commentedTables(out *strings.Builder, key string, list reflect.Value) {
	if list.Len() == 0 {
		fmt.Fprintf(out, "# [[%s]]\n", key)
		printLines(out, "# ", list.Type().Elem())
	}
	for n := range list.Len() {
		if n > 0 {
			out.WriteString("\n")
		}
		fmt.Fprintf(out, "[[%s]]\n", key)
		commentedElement(out, key, list.Index(n))
	}
}

// commentedElement writes the keys of one element, its texts by name last: TOML wants sub-tables there.
func commentedElement(out *strings.Builder, key string, element reflect.Value) {
	for i := range element.NumField() {
		if isScalar(element.Field(i).Kind()) {
			fmt.Fprintf(out, "%s = %s\n", element.Type().Field(i).Tag.Get("toml"), plainValue(element.Field(i)))
		}
	}
	for i := range element.NumField() {
		if values, ok := element.Field(i).Interface().(map[string]string); ok && len(values) > 0 {
			fmt.Fprintf(out, "[%s]\n", position.Join(key, element.Type().Field(i).Tag.Get("toml")))
			printStrings(out, values)
		}
	}
}

func printLines(out *strings.Builder, before string, table reflect.Type) {
	for i := range table.NumField() {
		if isScalar(table.Field(i).Type.Kind()) {
			name, byDefault := table.Field(i).Tag.Get("toml"), reflect.New(table.Field(i).Type).Elem()
			if text, ok := table.Field(i).Tag.Lookup("default"); ok {
				setDefault(byDefault, name, text)
			}
			fmt.Fprintf(out, "%s%s = %s\n", before, name, plainValue(byDefault))
		}
	}
}

func commentedKey(out *strings.Builder, name string, field reflect.StructField, value reflect.Value) {
	byDefault := reflect.New(field.Type).Elem()
	if text, ok := field.Tag.Lookup("default"); ok {
		setDefault(byDefault, name, text)
	}
	if value.IsZero() && field.Tag.Get("required") != "true" || value.Equal(byDefault) && !value.IsZero() {
		fmt.Fprintf(out, "# %s = %s\n", name, plainValue(byDefault))
		return
	}
	if standard, ok := laxer(field, value); ok {
		comment(out, "This is laxer than the default, which is "+standard+".")
	}
	fmt.Fprintf(out, "%s = %s\n", name, plainValue(value))
}

// plainValue is tomlValue without redaction: the names of secrets are what the operator edits.
func plainValue(value reflect.Value) string {
	if secret, ok := value.Interface().(Secret); ok {
		return quote(string(secret))
	}
	return tomlValue(value)
}

// comment writes a description, broken into lines.
func comment(out *strings.Builder, doc string) {
	const width = 100
	line := "#"
	for word := range strings.FieldsSeq(doc) {
		if len(line)+1+len(word) > width {
			out.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	out.WriteString(line + "\n")
}
