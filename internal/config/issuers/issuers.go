// Package issuers is the part of the configuration about several issuers in one process: the list of their files, and what of such a
// file belongs to the process and not to an issuer.
package issuers

import (
	"fmt"
	"maps"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"countersign/internal/config/value"
)

// Issuer is a further issuer.
type Issuer struct {
	Name string     `toml:"name" required:"true" doc:"What operators call it, in --issuer, in log lines and in metrics: up to 32 of a-z, 0-9 and -. main is the issuer of the main file."`
	File value.File `toml:"file" required:"true" doc:"Its configuration: a file like this one, without what belongs to the process, which it takes from here."`
}

// Main is the name of the issuer that the main file describes.
const Main = "main"

// Problem is what is wrong with a key.
type Problem struct{ Key, Value, Text string }

var nameForm = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$`)

// Problems are what is wrong with the list itself.
func Problems(list []Issuer) (all []Problem) {
	names := map[string]bool{Main: true}
	for i, one := range list {
		key := fmt.Sprintf("issuers[%d].name", i)
		switch {
		case one.Name == "": // is missing, which was said
		case !nameForm.MatchString(one.Name):
			all = append(all, Problem{key, one.Name, "not a name; use up to 32 of a-z, 0-9 and -, none of them - at an end"})
		case one.Name == Main:
			all = append(all, Problem{key, one.Name, "the issuer of this file has this name; choose another"})
		case names[one.Name]:
			all = append(all, Problem{key, one.Name, "two issuers have this name; each needs one of its own"})
		}
		names[one.Name] = true
	}
	return all
}

// process are the keys and tables that belong to the process: what listens, what is told to operators, and bounds on connections.
func process() []string {
	return []string{
		"issuers", "telemetry", "metrics", "admin", "audit.node", "listen.address", "listen.ingress_networks",
		"listen_mtls.address", "listen_mtls.source", "listen_mtls.ingress_ca_file", "listen_mtls.ingress_name",
		"listen_mtls.ingress_networks", "listen_mtls.ingress_secret_file", "listen_mtls.ingress_old_secret_file",
		"listen_mtls.forwarded_for", "limits.header_bytes", "limits.read_header_timeout", "limits.read_timeout",
		"limits.write_timeout", "limits.idle_timeout", "limits.connections", "limits.drain_time", "limits.shutdown_timeout",
	}
}

// Inherit gives the TOML tree of an issuer's file what belongs to the process, from the main configuration, a struct with tags, and
// returns the keys of the tree that it must not have had. The TLS certificate is the main file's where the tree names none.
func Inherit(tree map[string]any, main any) (refused []string) {
	for _, key := range process() {
		path := strings.Split(key, ".")
		refused = append(refused, remove(tree, path)...)
		if key == "issuers" || key == "admin" {
			continue // they have none
		}
		if inherited, ok := lookUp(reflect.ValueOf(main), path); ok {
			set(tree, path, inherited)
		}
	}
	pair := [][]string{{"listen", "certificate_file"}, {"listen", "key_file"}}
	if has(tree, pair[0]) || has(tree, pair[1]) {
		return refused
	}
	for _, path := range pair {
		if inherited, ok := lookUp(reflect.ValueOf(main), path); ok {
			set(tree, path, inherited)
		}
	}
	return refused
}

// has reports whether a tree has a key.
func has(tree map[string]any, path []string) bool {
	if len(path) > 1 {
		below, _ := tree[path[0]].(map[string]any)
		return has(below, path[1:])
	}
	_, ok := tree[path[0]]
	return ok
}

// remove removes a key from a tree, and returns the full names of what was there: of a table those of its keys.
func remove(tree map[string]any, path []string) (found []string) {
	if !has(tree, path) {
		return nil
	}
	key := strings.Join(path, ".")
	for ; len(path) > 1; path = path[1:] {
		tree = tree[path[0]].(map[string]any)
	}
	switch removed := tree[path[0]].(type) {
	case map[string]any: // an empty one says nothing
		for _, name := range slices.Sorted(maps.Keys(removed)) {
			found = append(found, key+"."+name)
		}
	default:
		found = []string{key}
	}
	delete(tree, path[0])
	return found
}

// set sets a key of a tree. Where something else is in the place of a table nothing is set: that is said of the table.
func set(tree map[string]any, path []string, to any) {
	for ; len(path) > 1; path = path[1:] {
		if _, ok := tree[path[0]]; !ok {
			tree[path[0]] = map[string]any{}
		}
		below, ok := tree[path[0]].(map[string]any)
		if !ok {
			return
		}
		tree = below
	}
	tree[path[0]] = to
}

// lookUp finds the value of a key, as TOML has it; not ok where it is empty, or there is no such key.
func lookUp(table reflect.Value, path []string) (found any, ok bool) {
	for i := range table.NumField() {
		if table.Type().Field(i).Tag.Get("toml") != path[0] {
			continue
		}
		if len(path) == 1 {
			return decoded(table.Field(i))
		}
		return lookUp(table.Field(i), path[1:])
	}
	return nil, false
}

// decoded is a value as it would have been read from TOML. Names of files become absolute: the other file is in another folder.
func decoded(v reflect.Value) (found any, ok bool) {
	switch of := v.Interface().(type) {
	case value.Duration:
		return of.String(), true
	case value.File:
		return absolute(of.Path())
	case value.Secret:
		if of.IsCredential() {
			return string(of), true
		}
		return absolute(string(of))
	}
	switch v.Kind() {
	case reflect.Struct:
		return members(v), true
	case reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = members(v.Index(i))
		}
		return list, len(list) > 0
	case reflect.Bool:
		return v.Bool(), true
	case reflect.Int:
		return v.Int(), true
	case reflect.String:
		return v.String(), v.String() != ""
	}
	return nil, false
}

// members are the keys of a table.
func members(table reflect.Value) map[string]any {
	all := map[string]any{}
	for i := range table.NumField() {
		name, ok := table.Type().Field(i).Tag.Lookup("toml")
		if !ok {
			continue
		}
		if member, ok := decoded(table.Field(i)); ok {
			all[name] = member
		}
	}
	return all
}

func absolute(name string) (found any, ok bool) {
	if name == "" {
		return nil, false
	}
	if path, err := filepath.Abs(name); err == nil {
		name = path
	}
	return name, true
}
