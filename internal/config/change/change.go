// Package change says what differs between two configurations, and what of it a server takes without a restart.
//
// Each field of a configuration says that of itself, by its tag reload: [Live] or [Restart]; a table may say it for all of its keys,
// or say [Each]. What says nothing needs a restart, and [Untagged] names it, so that a test finds it. The tag why says why a change
// needs a restart.
package change

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"countersign/internal/config/value"
)

const (
	// Live is taken by a server that runs, Restart only by one that starts; with Each every key of a table says which.
	Live, Restart, Each = "live", "restart", "each"
)

// Value is that of one key.
type Value struct {
	// Digest is of the value, and not the value: it may be kept where others read it.
	Digest string `json:"digest"`
	// Live reports that a change needs no restart.
	Live bool `json:"live"`
}

// Values are those of a configuration, by the names of their keys, such as brand.name and scopes[0].description.
type Values map[string]Value

// Of reads the values of a configuration: a pointer to a struct with the tags toml and reload. File names are those of the whole path.
func Of(configuration any) Values {
	found := Values{}
	visit(reflect.ValueOf(configuration).Elem(), "", "", func(key, mode string, v reflect.Value) {
		text := fmt.Sprint(v.Interface())
		switch v.Interface().(type) {
		case value.File, value.Secret:
			if whole, err := filepath.Abs(text); err == nil && text != "" && !value.Secret(text).IsCredential() {
				text = whole
			}
		}
		sum := sha256.Sum256([]byte(text))
		found[key] = Value{hex.EncodeToString(sum[:]), mode == Live}
	})
	return found
}

// Files are the files and folders that the keys name which need no restart.
func Files(configuration any) (files []value.Secret) {
	visit(reflect.ValueOf(configuration).Elem(), "", "", func(_, mode string, v reflect.Value) {
		if mode != Live || v.IsZero() {
			return
		}
		switch name := v.Interface().(type) {
		case value.File:
			files = append(files, value.Secret(name))
		case value.Secret:
			files = append(files, name)
		}
	})
	return files
}

// Changes are the keys that differ, in the order of their names; an entry of a list that is new or gone is named without its keys.
type Changes struct {
	// Live are taken without a restart, and Restart are not.
	Live, Restart []string
}

// To is what differs in the values of another configuration.
func (running Values) To(next Values) Changes {
	changed := map[string]bool{}
	for key, before := range running {
		if after, ok := next[key]; !ok {
			changed[entry(key)] = before.Live
		} else if after.Digest != before.Digest {
			changed[key] = after.Live
		}
	}
	for key, after := range next {
		if _, ok := running[key]; !ok {
			changed[entry(key)] = after.Live
		}
	}
	var found Changes
	for _, key := range slices.Sorted(maps.Keys(changed)) {
		if changed[key] {
			found.Live = append(found.Live, key)
		} else {
			found.Restart = append(found.Restart, key)
		}
	}
	return found
}

// entry is the entry of a list that a key is of.
func entry(key string) string {
	if end := strings.LastIndexByte(key, ']'); end >= 0 {
		return key[:end+1]
	}
	return key
}

// Keep gives the keys of next that need a restart the values of running. Both are pointers to configurations of one type.
func Keep(running, next any) {
	keep(reflect.ValueOf(running).Elem(), reflect.ValueOf(next).Elem(), "")
}

func keep(running, next reflect.Value, inherited string) {
	for i := range next.NumField() {
		field := next.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		switch mode := modeOf(field, inherited); {
		case mode == Restart:
			next.Field(i).Set(running.Field(i)) // with what it is made of that is no key
		case field.Type.Kind() == reflect.Struct:
			keep(running.Field(i), next.Field(i), mode)
		}
	}
}

// Why says of the keys of a configuration's type that need a restart why they do. It returns the reason for a key as [Changes] has it;
// empty when none is known.
func Why(configuration reflect.Type, key string) string {
	return why(configuration, strings.Split(key, "."), "")
}

func why(table reflect.Type, path []string, inherited string) string {
	name, _, _ := strings.Cut(path[0], "[")
	for i := range table.NumField() {
		field := table.Field(i)
		if field.Tag.Get("toml") != name {
			continue
		}
		reason, below := cmp.Or(field.Tag.Get("why"), inherited), field.Type
		if below.Kind() == reflect.Slice {
			below = below.Elem()
		}
		if len(path) == 1 || below.Kind() != reflect.Struct {
			return reason
		}
		return why(below, path[1:], reason)
	}
	return inherited
}

// Untagged are the keys, and the tables, of a configuration's type that do not say what a change of them needs.
func Untagged(configuration reflect.Type) []string {
	return untagged(configuration, "", "")
}

func untagged(table reflect.Type, prefix, inherited string) (missing []string) {
	for i := range table.NumField() {
		field := table.Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key := strings.TrimPrefix(prefix+"."+name, ".")
		mode, said := field.Tag.Lookup("reload")
		mode = cmp.Or(mode, inherited)
		isTable := field.Type.Kind() == reflect.Struct
		switch {
		case mode == Each && isTable && said:
			missing = append(missing, untagged(field.Type, key, Each)...)
		case mode != Live && mode != Restart:
			missing = append(missing, key)
		case isTable:
			missing = append(missing, untagged(field.Type, key, mode)...)
		}
	}
	return missing
}

// modeOf is what a change of a field needs.
func modeOf(field reflect.StructField, inherited string) string {
	mode := cmp.Or(field.Tag.Get("reload"), inherited)
	if mode != Live && (mode != Each || field.Type.Kind() != reflect.Struct) {
		return Restart
	}
	return mode
}

// visit calls see with each key.
func visit(table reflect.Value, prefix, inherited string, see func(key, mode string, v reflect.Value)) {
	for i := range table.NumField() {
		field := table.Type().Field(i)
		name, ok := field.Tag.Lookup("toml")
		if !ok {
			continue
		}
		key, mode := strings.TrimPrefix(prefix+"."+name, "."), modeOf(field, inherited)
		switch v := table.Field(i); field.Type.Kind() {
		case reflect.Struct:
			visit(v, key, mode, see)
		case reflect.Slice:
			for n := range v.Len() {
				visit(v.Index(n), fmt.Sprintf("%s[%d]", key, n), mode, see)
			}
		default:
			see(key, mode, v)
		}
	}
}
