package profile

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// show writes a value of a field as text for people: lists with spaces, tables as name=value.
func show(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Slice:
		var parts []string
		for i := range v.Len() {
			parts = append(parts, show(v.Index(i)))
		}
		separator := " "
		if v.Type().Elem().Kind() == reflect.Struct {
			separator = "; "
		}
		return strings.Join(parts, separator)
	case reflect.Map:
		var parts []string
		for _, key := range slices.Sorted(maps.Keys(byText(v))) {
			parts = append(parts, key+": "+show(byText(v)[key]))
		}
		return strings.Join(parts, "; ")
	case reflect.Struct:
		var parts []string
		for i := range v.NumField() {
			name, _ := parseTag(v.Type().Field(i))
			switch field := v.Field(i); {
			case field.IsZero(), field.Kind() == reflect.Slice && field.Len() == 0:
			case field.Kind() == reflect.Bool:
				parts = append(parts, name)
			case name == "name":
				parts = append(parts, show(field))
			case name == "descriptions": // on pages, in six languages
			default:
				parts = append(parts, name+"="+strings.ReplaceAll(show(field), " ", ","))
			}
		}
		return strings.Join(parts, " ")
	}
	if duration, ok := v.Interface().(time.Duration); ok {
		return shortDuration(duration)
	}
	return fmt.Sprint(v.Interface())
}

func byText(m reflect.Value) map[string]reflect.Value {
	result := map[string]reflect.Value{}
	for _, key := range m.MapKeys() {
		result[key.String()] = m.MapIndex(key)
	}
	return result
}

// shortDuration leaves out zeros: 10m, not 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
