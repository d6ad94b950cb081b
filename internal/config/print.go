package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"countersign/internal/config/position"
)

// Print writes the effective values, defaults included, as TOML that reads back to the same configuration. File
// names are printed as they will be opened. Secrets are never held; where a value may be one that was put here by
// accident, it is "[redacted]".
func (c *Config) Print() string {
	var out strings.Builder
	printTable(&out, "", reflect.ValueOf(c).Elem())
	return out.String()
}

func printTable(out *strings.Builder, prefix string, table reflect.Value) {
	// TOML wants a table's own keys before its sub-tables.
	for i := range table.NumField() {
		if name, ok := table.Type().Field(i).Tag.Lookup("toml"); ok && isScalar(table.Field(i).Kind()) {
			fmt.Fprintf(out, "%s = %s\n", name, tomlValue(table.Field(i)))
		}
	}
	for i := range table.NumField() {
		name, ok := table.Type().Field(i).Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := position.Join(prefix, name)
		switch value := table.Field(i); value.Kind() {
		case reflect.Struct:
			fmt.Fprintf(out, "\n[%s]\n", key)
			printTable(out, key, value)
		case reflect.Slice:
			for n := range value.Len() {
				fmt.Fprintf(out, "\n[[%s]]\n", key)
				printTable(out, key, value.Index(n))
			}
		case reflect.Map:
			if value.Len() > 0 {
				fmt.Fprintf(out, "\n[%s]\n", key)
				printStrings(out, value.Interface().(map[string]string))
			}
		}
	}
}

func printStrings(out *strings.Builder, values map[string]string) {
	for _, name := range slices.Sorted(maps.Keys(values)) {
		fmt.Fprintf(out, "%s = %s\n", position.Join("", name), quote(values[name]))
	}
}

func isScalar(kind reflect.Kind) bool {
	return kind != reflect.Struct && kind != reflect.Slice && kind != reflect.Map
}

func tomlValue(value reflect.Value) string {
	switch v := value.Interface().(type) {
	case Duration:
		return quote(v.String())
	case Secret:
		if v == "" {
			return `""`
		}
		return shown(v)
	}
	if value.Kind() == reflect.String {
		return quote(value.String())
	}
	return fmt.Sprint(value.Interface())
}
