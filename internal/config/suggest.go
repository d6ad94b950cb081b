package config

import (
	"reflect"
	"regexp"
	"strings"

	"countersign/internal/config/position"
	"countersign/internal/suggest"
)

// suggestion names the known key nearest to an unknown one, or is empty when none is near.
func suggestion(unknown string) string {
	unknown = regexp.MustCompile(`\[[0-9]+\]`).ReplaceAllString(unknown, "[]")
	nearest := suggest.NearestKey(unknown, knownKeys("", reflect.TypeFor[Config]()))
	if nearest == "" {
		return "; config schema lists the keys that exist"
	}
	return "; did you mean " + strings.ReplaceAll(nearest, "[]", "") + "?"
}

// knownKeys lists the full names of all keys and tables of a struct.
func knownKeys(prefix string, table reflect.Type) []string {
	var keys []string
	for i := range table.NumField() {
		field := table.Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := position.Join(prefix, name)
		keys = append(keys, key)
		switch field.Type.Kind() {
		case reflect.Struct:
			keys = append(keys, knownKeys(key, field.Type)...)
		case reflect.Slice:
			keys = append(keys, knownKeys(key+"[]", field.Type.Elem())...)
		}
	}
	return keys
}
