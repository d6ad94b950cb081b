package profile

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"countersign/internal/suggest"
)

// How a rule of a preset changes a field is the second word of the field's tag. Each way can only tighten a profile or
// give something a name; a value that would widen it is an error.
const (
	// subset is an intersection: values that the profile does not have are refused.
	asSubset = "subset"
	// subsets is one for each key of a map.
	asSubsets = "subsets"
	// restrict is an intersection where an empty list is no rule.
	asRestriction = "restrict"
	// max lowers an upper bound, min raises a lower one; zero is no bound.
	asMax, asMin = "max", "min"
	// demand switches something on.
	asDemand = "demand"
	// stricter goes on in a list from the loosest to the strictest.
	asStricter = "stricter"
	// names adds to a list, or to the lists of a map.
	asNames = "names"
	// name says what had no name.
	asName = "name"
)

// parseTag returns the name of a field in presets, and how rules change it ("" for a table of further fields).
func parseTag(field reflect.StructField) (name, way string) {
	name, way, _ = strings.Cut(field.Tag.Get("rule"), ",")
	return name, way
}

// fields calls yield with each field that a rule can name: a dotted name, the way, and the index of the field.
func fields(t reflect.Type, prefix string, index []int, yield func(name, way string, index []int)) {
	for i := range t.NumField() {
		field := t.Field(i)
		at := append(slices.Clone(index), i)
		name, way := parseTag(field)
		switch {
		case field.Anonymous:
			fields(field.Type, prefix, at, yield)
		case name == "":
		case way == "":
			fields(field.Type, prefix+name+".", at, yield)
		default:
			yield(prefix+name, way, at)
		}
	}
}

// RuleNames returns the names of all rules that a preset can have, in the order of the fields.
func RuleNames() []string {
	var names []string
	fields(reflect.TypeFor[Profile](), "", nil, func(name, _ string, _ []int) { names = append(names, name) })
	return names
}

// Value returns what the profile has for a rule, as text, empty for nothing; ok is false if there is no such rule.
func (p Profile) Value(rule string) (text string, ok bool) {
	fields(reflect.TypeFor[Profile](), "", nil, func(name, _ string, index []int) {
		if name != rule {
			return
		}
		ok = true
		if value := reflect.ValueOf(p).FieldByIndex(index); !value.IsZero() {
			text = show(value)
		}
	})
	return text, ok
}

// tighten applies a rule with a value of TOML. A table is applied member by member.
func (p *Profile) tighten(rule string, value any) error {
	var way string
	var target reflect.Value
	known, inside := []string{}, []string{}
	fields(reflect.TypeFor[Profile](), "", nil, func(name, w string, index []int) {
		known = append(known, name)
		if name == rule {
			way, target = w, reflect.ValueOf(p).Elem().FieldByIndex(index)
		}
		if strings.HasPrefix(name, rule+".") {
			inside = append(inside, name)
		}
	})
	table, isTable := value.(map[string]any)
	switch {
	case way == "" && len(inside) > 0 && isTable:
		for _, member := range sorted(table) {
			if err := p.tighten(rule+"."+member, table[member]); err != nil {
				return err
			}
		}
		return nil
	case way == "":
		return fmt.Errorf("there is no rule %s; %s", rule, suggest.Hint(rule, known, "fapi/profile has them"))
	}
	wanted := reflect.New(target.Type()).Elem()
	if err := decode(value, wanted); err != nil {
		return fmt.Errorf("%s: %w", rule, err)
	}
	if err := apply(way, target, wanted); err != nil {
		return fmt.Errorf("%s: %w", rule, err)
	}
	return nil
}

func apply(way string, have, want reflect.Value) error {
	switch way {
	case asSubset:
		return intersect(have, want, false)
	case asRestriction:
		return intersect(have, want, true)
	case asSubsets:
		return intersectEach(have, want)
	case asMax, asMin:
		return bound(way, have, want)
	case asDemand:
		if !want.Bool() {
			return fmt.Errorf("false would widen the profile; a preset can only demand")
		}
		have.SetBool(true)
		return nil
	case asStricter:
		return goStricter(have, want)
	case asNames:
		return addNames(have, want)
	case asName:
		if !have.IsZero() && have.String() != want.String() {
			return fmt.Errorf("the profile has %q already", have.String())
		}
		have.Set(want)
		return nil
	}
	return fmt.Errorf("rules cannot change it %q", way) // a tag that is wrong
}

func intersect(have, want reflect.Value, emptyIsAll bool) error {
	if want.Len() == 0 {
		return fmt.Errorf("an empty list")
	}
	if emptyIsAll && have.Len() == 0 {
		have.Set(want)
		return nil
	}
	for i := range want.Len() {
		if !contains(have, want.Index(i)) {
			return fmt.Errorf("%q would widen the profile, which has %s", want.Index(i).String(), show(have))
		}
	}
	have.Set(want)
	return nil
}

func contains(list, element reflect.Value) bool {
	for i := range list.Len() {
		if list.Index(i).Equal(element) {
			return true
		}
	}
	return false
}

func intersectEach(have, want reflect.Value) error {
	result := reflect.MakeMap(have.Type())
	for _, key := range have.MapKeys() {
		result.SetMapIndex(key, have.MapIndex(key))
	}
	for _, key := range want.MapKeys() {
		of := have.MapIndex(key)
		if !of.IsValid() {
			return fmt.Errorf("%q would widen the profile", key.String())
		}
		list := reflect.New(of.Type()).Elem()
		list.Set(of)
		if err := intersect(list, want.MapIndex(key), false); err != nil {
			return fmt.Errorf("%s: %w", key.String(), err)
		}
		result.SetMapIndex(key, list)
	}
	have.Set(result)
	return nil
}

func bound(way string, have, want reflect.Value) error {
	switch {
	case want.Int() <= 0:
		return fmt.Errorf("not a bound: %s", show(want))
	case way == asMax && !have.IsZero() && want.Int() > have.Int(), way == asMin && want.Int() < have.Int():
		return fmt.Errorf("%s would widen the profile, which has %s", show(want), show(have))
	}
	have.Set(want)
	return nil
}

// stricter has, for a value of an enumeration, those that are as strict or stricter.
func stricter(from any) []string {
	switch from := from.(type) {
	case RequestObjects:
		if from == RequestObjectsAllowed {
			return []string{string(RequestObjectsAllowed), string(RequestObjectsRefused), string(RequestObjectsRequired)}
		}
		return []string{string(from)}
	case PKCE:
		return fromHere(from, PKCEPushed, PKCEAlways)
	case AssertionAudience:
		return fromHere(from, IssuerOrEndpoint, IssuerString)
	case EncryptIDToken:
		return fromHere(from, EncryptIDTokenAsRegistered, EncryptIDTokenFront, EncryptIDTokenAlways)
	case SoftwareStatement:
		return fromHere(from, SoftwareStatementIgnored, SoftwareStatementAllowed, SoftwareStatementRequired)
	}
	return nil
}

func fromHere[T ~string](from T, order ...T) []string {
	var names []string
	for _, each := range order[max(0, slices.Index(order, from)):] {
		names = append(names, string(each))
	}
	return names
}

func goStricter(have, want reflect.Value) error {
	if allowed := stricter(have.Interface()); !slices.Contains(allowed, want.String()) {
		return fmt.Errorf("%q would widen the profile or is not known; it can be %s", want.String(), strings.Join(allowed, ", "))
	}
	have.Set(want)
	return nil
}

// addNames adds elements to a list, or to the lists of a map. An element of the same name as another is refused.
func addNames(have, want reflect.Value) error {
	if want.Len() == 0 {
		return fmt.Errorf("an empty list")
	}
	if have.Kind() == reflect.Map {
		result := reflect.MakeMap(have.Type())
		for _, key := range have.MapKeys() {
			result.SetMapIndex(key, have.MapIndex(key))
		}
		for _, key := range want.MapKeys() {
			list := reflect.New(have.Type().Elem()).Elem()
			if of := have.MapIndex(key); of.IsValid() {
				list.Set(of)
			}
			if err := addNames(list, want.MapIndex(key)); err != nil {
				return err
			}
			result.SetMapIndex(key, list)
		}
		have.Set(result)
		return nil
	}
	result := reflect.MakeSlice(have.Type(), 0, have.Len()+want.Len())
	result = reflect.AppendSlice(result, have)
	for i := range want.Len() {
		for j := range result.Len() {
			if reflect.DeepEqual(result.Index(j).Interface(), want.Index(i).Interface()) {
				return fmt.Errorf("%s is there already", show(want.Index(i)))
			}
		}
		result = reflect.Append(result, want.Index(i))
	}
	have.Set(result)
	return nil
}

// decode puts a value of TOML into a field: durations from texts such as "10m", structs from tables.
func decode(value any, into reflect.Value) error {
	wrong := fmt.Errorf("%v (%T) is not a %s", value, value, into.Type())
	switch v := value.(type) {
	case string:
		if into.Type() == reflect.TypeFor[time.Duration]() {
			duration, err := time.ParseDuration(v)
			if err != nil {
				return err
			}
			into.SetInt(int64(duration))
			return nil
		}
		if into.Kind() != reflect.String {
			return wrong
		}
		into.SetString(v)
	case bool:
		if into.Kind() != reflect.Bool {
			return wrong
		}
		into.SetBool(v)
	case int64:
		if into.Kind() != reflect.Int {
			return wrong
		}
		into.SetInt(v)
	case []any:
		if into.Kind() != reflect.Slice {
			return wrong
		}
		into.Set(reflect.MakeSlice(into.Type(), len(v), len(v)))
		for i, element := range v {
			if err := decode(element, into.Index(i)); err != nil {
				return err
			}
		}
	case map[string]any:
		return decodeTable(v, into, wrong)
	default:
		return wrong
	}
	return nil
}

func decodeTable(table map[string]any, into reflect.Value, wrong error) error {
	switch into.Kind() {
	case reflect.Map:
		into.Set(reflect.MakeMap(into.Type()))
		for _, key := range sorted(table) {
			element := reflect.New(into.Type().Elem()).Elem()
			if err := decode(table[key], element); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
			into.SetMapIndex(reflect.ValueOf(key), element)
		}
		return nil
	case reflect.Struct:
		members, names := map[string]int{}, []string{}
		for i := range into.NumField() {
			name, _ := parseTag(into.Type().Field(i))
			members[name], names = i, append(names, name)
		}
		for _, key := range sorted(table) {
			at, ok := members[key]
			if !ok {
				return fmt.Errorf("there is no member %s; %s", key, suggest.Hint(key, names, "known are "+strings.Join(names, ", ")))
			}
			if err := decode(table[key], into.Field(at)); err != nil {
				return fmt.Errorf("%s: %w", key, err)
			}
		}
		return nil
	}
	return wrong
}
