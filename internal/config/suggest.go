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
	best, least := "", 1<<30
	for _, known := range knownKeys("", reflect.TypeFor[Config]()) {
		if d := keyDistance(unknown, known); d < least {
			best, least = known, d
		}
	}
	if _, last := cutLast(unknown); least > max(2, len(last)/3) {
		return "; config schema lists the keys that exist"
	}
	return "; did you mean " + strings.ReplaceAll(best, "[]", "") + "?"
}

// keyDistance is small for a typing error, a key in the wrong table and a missing ending such as _file.
func keyDistance(unknown, known string) int {
	unknownTable, unknownLast := cutLast(unknown)
	knownTable, knownLast := cutLast(known)
	distance := suggest.Distance(unknownLast, knownLast)
	if strings.HasPrefix(knownLast, unknownLast+"_") || strings.HasSuffix(knownLast, "_"+unknownLast) {
		distance = min(distance, 1)
	}
	if unknownTable == knownTable {
		return distance
	}
	return distance + min(2, suggest.Distance(unknownTable, knownTable))
}

func cutLast(key string) (table, last string) {
	if i := strings.LastIndexByte(key, '.'); i >= 0 {
		return key[:i], key[i+1:]
	}
	return "", key
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
