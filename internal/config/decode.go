package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

const redacted = `"[redacted]"`

// table fills a struct from a decoded TOML table: known keys by their tags, everything else is a mistake.
func (c *collector) table(target reflect.Value, prefix string, tree map[string]any) {
	known := map[string]bool{}
	for i := range target.NumField() {
		field := target.Type().Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		known[name] = true
		raw, present := tree[name]
		c.field(target.Field(i), field, join(prefix, name), raw, present)
	}
	for _, name := range slices.Sorted(maps.Keys(tree)) {
		if !known[name] {
			key := join(prefix, name)
			c.add(key, "", "unknown key%s", suggestion(key))
		}
	}
}

func (c *collector) field(target reflect.Value, field reflect.StructField, key string, raw any, present bool) {
	switch {
	case field.Type.Kind() == reflect.Struct:
		table, ok := raw.(map[string]any)
		if present && !ok {
			c.add(key, literal(raw), "this is a table; write [%s] on a line of its own and its keys below", key)
			return // its keys are not known to be missing
		}
		c.table(target, key, table)
	case field.Type.Kind() == reflect.Slice:
		if present {
			c.tables(target, key, raw)
		}
	case field.Type.Kind() == reflect.Map:
		if present {
			c.strings(target, key, raw)
		}
	case present:
		c.scalar(target, field, key, raw)
	case field.Tag.Get("required") == "true":
		c.add(key, "", "missing: %s", meaning(field))
	default:
		if text, ok := field.Tag.Lookup("default"); ok {
			setDefault(target, key, text)
		}
	}
}

// tables fills a slice of structs from an array of tables.
func (c *collector) tables(target reflect.Value, key string, raw any) {
	list, ok := raw.([]any)
	if !ok {
		c.add(key, literal(raw), "this is a list of tables; write [[%s]] above the keys of each", key)
		return
	}
	target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
	for i, element := range list {
		name := fmt.Sprintf("%s[%d]", key, i)
		table, ok := element.(map[string]any)
		if !ok {
			c.add(name, literal(element), "this is a list of tables; write [[%s]] above the keys of each", key)
			continue
		}
		c.table(target.Index(i), name, table)
	}
}

// strings fills a map from a table whose keys the operator chooses.
func (c *collector) strings(target reflect.Value, key string, raw any) {
	table, ok := raw.(map[string]any)
	if !ok {
		c.add(key, literal(raw), "this is a table; write [%s] on a line of its own and its keys below", key)
		return
	}
	values := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		value, ok := table[name].(string)
		if !ok {
			c.add(join(key, name), "", "not a text; write the value in quotation marks")
			continue
		}
		values[name] = value
	}
	target.Set(reflect.ValueOf(values))
}

func (c *collector) scalar(target reflect.Value, field reflect.StructField, key string, raw any) {
	shown := literal(raw)
	if field.Type == reflect.TypeFor[Secret]() {
		shown = redacted
	}
	switch {
	case field.Type == reflect.TypeFor[Duration]():
		c.duration(target, field, key, raw, shown)
	case field.Type.Kind() == reflect.String:
		text, ok := raw.(string)
		if !ok {
			c.add(key, shown, "not a text; write it in quotation marks")
			return
		}
		target.SetString(text)
		if text == "" && field.Tag.Get("required") == "true" {
			c.add(key, shown, "empty: %s", meaning(field))
		}
		if list, ok := field.Tag.Lookup("enum"); ok && !slices.Contains(strings.Split(list, ","), text) {
			c.add(key, shown, "not one of %s", quoted(list))
		}
	case field.Type.Kind() == reflect.Bool:
		value, ok := raw.(bool)
		if !ok {
			c.add(key, shown, "write true or false, without quotation marks")
			return
		}
		target.SetBool(value)
	default: // int
		c.number(target, field, key, raw, shown)
	}
}

func (c *collector) duration(target reflect.Value, field reflect.StructField, key string, raw any, shown string) {
	text, ok := raw.(string)
	if !ok {
		c.add(key, shown, `not a duration; write it in quotation marks with its unit, such as "5m"`)
		return
	}
	value, err := ParseDuration(text)
	if err != nil {
		c.add(key, shown, "%v", err)
		return
	}
	least, most := mustDuration(field.Tag.Get("min")), mustDuration(field.Tag.Get("max"))
	switch {
	case value > most:
		c.add(key, shown, "longer than %s; use %[1]s or less", field.Tag.Get("max"))
	case value < least:
		c.add(key, shown, "shorter than %s; use %[1]s or more", field.Tag.Get("min"))
	}
	target.SetInt(int64(value))
}

func (c *collector) number(target reflect.Value, field reflect.StructField, key string, raw any, shown string) {
	value, ok := raw.(int64)
	if !ok {
		c.add(key, shown, "not a whole number; write it without quotation marks")
		return
	}
	least, most := mustInt(field.Tag.Get("min")), mustInt(field.Tag.Get("max"))
	switch {
	case value > most:
		c.add(key, shown, "more than %d; use %[1]d or less", most)
		return
	case value < least:
		c.add(key, shown, "less than %d; use %[1]d or more", least)
		return
	}
	target.SetInt(value)
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
	value, err := ParseDuration(text)
	if err != nil {
		panic(fmt.Sprintf("config: the tag %q: %v", text, err))
	}
	return value
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

func quoted(list string) string {
	return `"` + strings.ReplaceAll(list, ",", `", "`) + `"`
}

// meaning is the first sentence of a key's description, to continue another sentence.
func meaning(field reflect.StructField) string {
	text, _, _ := strings.Cut(field.Tag.Get("doc"), ". ")
	if len(text) > 1 && text[1] >= 'a' && text[1] <= 'z' {
		text = strings.ToLower(text[:1]) + text[1:]
	}
	return strings.TrimSuffix(text, ".")
}
