package config

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"countersign/internal/config/position"
	"countersign/internal/config/value"
)

// validate checks a decoded document by [Schema], and reports its problems in terms of TOML.
func (c *collector) validate(tree map[string]any) {
	failure, ok := errors.AsType[*jsonschema.ValidationError](compiledSchema().Validate(instance(tree)))
	if ok {
		c.explainAll(failure, tree)
	}
}

// compiledSchema is [Schema] as it is validated against. The schema is our own: it always compiles.
func compiledSchema() *jsonschema.Schema {
	const name = "config.schema.json"
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		panic("config: " + err.Error())
	}
	compiler := jsonschema.NewCompiler()
	if err := compiler.AddResource(name, document); err != nil {
		panic("config: " + err.Error())
	}
	return compiler.MustCompile(name)
}

// instance is a TOML value as JSON has it. No key takes a float or a date: they become null, which no key takes either.
func instance(raw any) any {
	switch value := raw.(type) {
	case map[string]any:
		object := map[string]any{}
		for name, member := range value {
			object[name] = instance(member)
		}
		return object
	case []any:
		list := make([]any, len(value))
		for i, element := range value {
			list[i] = instance(element)
		}
		return list
	case string, bool, int64:
		return value
	}
	return nil
}

func (c *collector) explainAll(failure *jsonschema.ValidationError, tree map[string]any) {
	if len(failure.Causes) == 0 {
		c.explain(failure.ErrorKind, locationOf(failure.InstanceLocation, tree))
	}
	for _, cause := range failure.Causes {
		c.explainAll(cause, tree)
	}
}

// location is a place in the document.
type location struct {
	// key is its full name.
	key string
	// field is that of the key, or of the table by name or the list that holds the place.
	field reflect.StructField
	// kind is of what is expected there.
	kind reflect.Type
	raw  any
}

// locationOf follows the path of a JSON instance, which the schema knows.
func locationOf(path []string, tree map[string]any) location {
	at := location{kind: reflect.TypeFor[Config](), raw: tree}
	for _, part := range path {
		switch value := at.raw.(type) {
		case map[string]any:
			at.key, at.raw = position.Join(at.key, part), value[part]
		case []any:
			at.key += "[" + part + "]"
			if i, err := strconv.Atoi(part); err == nil && i < len(value) {
				at.raw = value[i]
			}
		}
		switch at.kind.Kind() {
		case reflect.Struct:
			at.field, _ = fieldOf(at.kind, part)
			at.kind = at.field.Type
		case reflect.Slice, reflect.Map:
			at.kind = at.kind.Elem()
		}
	}
	return at
}

// fieldOf finds the field of a key in a table.
func fieldOf(table reflect.Type, name string) (reflect.StructField, bool) {
	for i := range table.NumField() {
		if table.Field(i).Tag.Get("toml") == name {
			return table.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

// explain says what is wrong and what would be right.
func (c *collector) explain(failure jsonschema.ErrorKind, at location) {
	shown := literal(at.raw)
	if at.kind == reflect.TypeFor[Secret]() {
		shown = redacted
	}
	switch failure := failure.(type) {
	case *kind.AdditionalProperties:
		for _, name := range failure.Properties {
			key := position.Join(at.key, name)
			c.add(key, "", "unknown key%s", suggestion(key))
		}
	case *kind.Required:
		for _, name := range failure.Missing {
			c.missing(at.kind, at.key, name)
		}
	case *kind.Type:
		c.wrongType(at, shown)
	case *kind.MinLength:
		if at.kind == reflect.TypeFor[Duration]() {
			c.add(at.key, shown, "%v", value.ErrNotDuration)
			return
		}
		c.add(at.key, shown, "empty: %s", meaning(at.field))
	case *kind.Pattern:
		c.add(at.key, shown, "%v", value.ErrNotDuration)
	case *kind.Enum:
		c.add(at.key, shown, "not one of %s", quoted(failure.Want))
	case *kind.Maximum:
		c.add(at.key, shown, "more than %s; use %[1]s or less", failure.Want.RatString())
	case *kind.Minimum:
		c.add(at.key, shown, "less than %s; use %[1]s or more", failure.Want.RatString())
	default:
		c.add(at.key, shown, "not allowed by the schema (%s)", strings.Join(failure.KeywordPath(), "/"))
	}
}

// missing reports a required key, or those of a table that is missing as a whole.
func (c *collector) missing(table reflect.Type, prefix, name string) {
	field, _ := fieldOf(table, name)
	key := position.Join(prefix, name)
	if field.Type.Kind() != reflect.Struct {
		c.add(key, "", "missing: %s", meaning(field))
		return
	}
	for i := range field.Type.NumField() {
		if required(field.Type.Field(i)) {
			c.missing(field.Type, key, field.Type.Field(i).Tag.Get("toml"))
		}
	}
}

func (c *collector) wrongType(at location, shown string) {
	switch of := at.field.Type.Kind(); {
	case of == reflect.Slice: // the list, or one of its tables
		list, _, _ := strings.Cut(at.key, "[")
		c.add(at.key, shown, "this is a list of tables; write [[%s]] above the keys of each", list)
	case at.kind.Kind() == reflect.Struct, at.kind.Kind() == reflect.Map:
		c.add(at.key, shown, "this is a table; write [%s] on a line of its own and its keys below", at.key)
	case of == reflect.Map:
		c.add(at.key, "", "not a text; write the value in quotation marks")
	case at.kind == reflect.TypeFor[Duration]():
		c.add(at.key, shown, `not a duration; write it in quotation marks with its unit, such as "5m"`)
	case at.kind.Kind() == reflect.String:
		c.add(at.key, shown, "not a text; write it in quotation marks")
	case at.kind.Kind() == reflect.Bool:
		c.add(at.key, shown, "write true or false, without quotation marks")
	default:
		c.add(at.key, shown, "not a whole number; write it without quotation marks")
	}
}

func quoted(values []any) string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = fmt.Sprintf("%q", value)
	}
	return strings.Join(texts, ", ")
}
