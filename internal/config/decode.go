package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"countersign/internal/config/position"
	"countersign/internal/config/value"
)

const redacted = `"[redacted]"`

// fill sets the fields of a struct from a TOML table that was validated by the schema: what is absent gets its default, and
// what is wrong stays zero.
func (c *collector) fill(target reflect.Value, prefix string, tree map[string]any) {
	for i := range target.NumField() {
		field := target.Type().Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := position.Join(prefix, name)
		raw, present := tree[name]
		switch {
		case field.Type.Kind() == reflect.Struct:
			table, _ := raw.(map[string]any)
			c.fill(target.Field(i), key, table)
		case !present:
			if text, ok := field.Tag.Lookup("default"); ok {
				setDefault(target.Field(i), key, text)
			}
		case !c.wrong[key]:
			c.set(target.Field(i), field, key, raw)
		}
	}
}

func (c *collector) set(target reflect.Value, field reflect.StructField, key string, raw any) {
	switch value := raw.(type) {
	case []any:
		target.Set(reflect.MakeSlice(target.Type(), len(value), len(value)))
		for i, element := range value {
			table, _ := element.(map[string]any)
			c.fill(target.Index(i), fmt.Sprintf("%s[%d]", key, i), table)
		}
	case map[string]any:
		texts := map[string]string{}
		for name, text := range value {
			texts[name], _ = text.(string)
		}
		target.Set(reflect.ValueOf(texts))
	case bool:
		target.SetBool(value)
	case int64:
		target.SetInt(value)
	case string:
		if field.Type == reflect.TypeFor[Duration]() {
			c.duration(target, field, key, value)
			return
		}
		target.SetString(value)
	}
}

// duration checks a duration against the bounds of its key, which a JSON Schema cannot compare.
func (c *collector) duration(target reflect.Value, field reflect.StructField, key, text string) {
	parsed, err := value.ParseDuration(text)
	least, most := field.Tag.Get("min"), field.Tag.Get("max")
	switch {
	case err != nil:
		c.add(key, literal(text), "%v", err)
		return
	case parsed > mustDuration(most):
		c.add(key, literal(text), "longer than %s; use %[1]s or less", most)
	case parsed < mustDuration(least):
		c.add(key, literal(text), "shorter than %s; use %[1]s or more", least)
	}
	target.SetInt(int64(parsed))
}

// setDefault sets a default from its tag.
func setDefault(target reflect.Value, key, text string) {
	switch {
	case target.Type() == reflect.TypeFor[Duration]():
		target.SetInt(int64(mustDuration(text)))
	case target.Kind() == reflect.String:
		target.SetString(text)
	case target.Kind() == reflect.Bool:
		target.SetBool(text == "true")
	case target.Kind() == reflect.Int:
		target.SetInt(mustInt(text))
	default:
		panic("config: no default is possible for " + key)
	}
}

// mustDuration and mustInt read tags, which the tests read too.
func mustDuration(text string) Duration {
	parsed, err := value.ParseDuration(text)
	if err != nil {
		panic(fmt.Sprintf("config: the tag %q: %v", text, err))
	}
	return parsed
}

func mustInt(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(fmt.Sprintf("config: the tag %q: %v", text, err))
	}
	return value
}

// literal writes a decoded value as TOML, short enough for one line.
func literal(raw any) string {
	switch value := raw.(type) {
	case string:
		const most = 80
		if len(value) > most {
			return quote(strings.ToValidUTF8(value[:most], "")) + " and so on"
		}
		return quote(value)
	case map[string]any:
		return "a table"
	case []any:
		return "a list"
	}
	return fmt.Sprint(raw)
}

// quote writes a TOML basic string.
func quote(text string) string {
	var out strings.Builder
	out.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			out.WriteByte('\\')
			out.WriteRune(r)
		case r < 0x20 || r >= 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029:
			fmt.Fprintf(&out, `\u%04X`, r)
		default:
			out.WriteRune(r)
		}
	}
	out.WriteByte('"')
	return out.String()
}

// meaning is the first sentence of a key's description, to continue another sentence.
func meaning(field reflect.StructField) string {
	text, _, _ := strings.Cut(field.Tag.Get("doc"), ". ")
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".")
}
