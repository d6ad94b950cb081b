package config

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"countersign/internal/config/value"
)

// Schema describes the file as a JSON Schema (draft 2020-12), for editors, for checks before a roll-out and for [Load].
// Bounds of durations and rules over several keys are in the descriptions; [Load] checks them all.
func Schema() []byte {
	root := tableSchema(reflect.TypeFor[Config]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Countersign configuration"
	text, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		panic("config: " + err.Error()) // maps of texts and numbers can always be written
	}
	return append(text, '\n')
}

func tableSchema(table reflect.Type) map[string]any {
	properties, needed := map[string]any{}, []string{}
	for i := range table.NumField() {
		field := table.Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		schema := fieldSchema(field)
		schema["description"] = description(field)
		properties[name] = schema
		if required(field) {
			needed = append(needed, name)
		}
	}
	schema := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if len(needed) > 0 {
		schema["required"] = needed
	}
	return schema
}

// required reports whether a key, or a key of a table, must be given.
func required(field reflect.StructField) bool {
	if field.Type.Kind() != reflect.Struct {
		return field.Tag.Get("required") == "true"
	}
	for i := range field.Type.NumField() {
		if required(field.Type.Field(i)) {
			return true
		}
	}
	return false
}

func fieldSchema(field reflect.StructField) map[string]any {
	byDefault, hasDefault := field.Tag.Lookup("default")
	schema := map[string]any{}
	switch {
	case field.Type.Kind() == reflect.Struct:
		return tableSchema(field.Type)
	case field.Type.Kind() == reflect.Slice:
		return map[string]any{"type": "array", "items": tableSchema(field.Type.Elem())}
	case field.Type.Kind() == reflect.Map:
		return map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}}
	case field.Type == reflect.TypeFor[Duration]():
		schema["type"], schema["pattern"], schema["minLength"] = "string", value.DurationPattern, 1
	case field.Type.Kind() == reflect.Bool:
		schema["type"] = "boolean"
		if hasDefault {
			schema["default"] = byDefault == "true"
		}
		return schema
	case field.Type.Kind() == reflect.Int:
		schema["type"] = "integer"
		schema["minimum"], schema["maximum"] = mustInt(field.Tag.Get("min")), mustInt(field.Tag.Get("max"))
		if hasDefault {
			schema["default"] = mustInt(byDefault)
		}
		return schema
	default:
		schema["type"] = "string"
		if field.Tag.Get("required") == "true" {
			schema["minLength"] = 1
		}
	}
	if hasDefault {
		schema["default"] = byDefault
	}
	if list, ok := field.Tag.Lookup("enum"); ok {
		schema["enum"] = strings.Split(list, ",")
	}
	return schema
}

// description is the doc tag with what the type adds to it.
func description(field reflect.StructField) string {
	doc := field.Tag.Get("doc")
	switch field.Type {
	case reflect.TypeFor[Duration]():
		return fmt.Sprintf("%s From %s to %s.", doc, field.Tag.Get("min"), field.Tag.Get("max"))
	case reflect.TypeFor[File]():
		return doc + " A file name; relative ones start at this file's folder."
	case reflect.TypeFor[Secret]():
		return doc + " A file name, or credential:NAME for a systemd credential."
	}
	return doc
}
