// Package rar validates, compares and displays rich authorization requests (RFC 9396).
//
// A server has a number of types, each with a JSON Schema ([Types]). Requested authorization_details are validated
// against them and brought into one canonical form ([Details]): what users are shown, what is stored and what is in
// tokens are the same bytes.
package rar

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"countersign/fapi/rar/display"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
)

// Bounds on authorization_details.
const (
	maxDetailsSize  = 16 << 10
	maxDetails      = 10
	maxDetailsDepth = 8
)

// Type is an authorization_details type that the server knows (RFC 9396 §2).
type Type struct {
	// Type is the value of the member "type".
	Type string
	// Schema is the JSON Schema (draft 2020-12) of one object of the type, "type" included. It must have
	// "additionalProperties": false, because unknown members are refused (§5), and the annotations "x-display", which say how
	// users read it; see package display.
	Schema json.RawMessage
	// Accounts is from where the lists that a request leaves empty get their entries, which the user chooses.
	Accounts Source
}

// Types are the known types with their compiled schemas, in the order of the configuration.
type Types struct {
	types     []Type
	schemas   map[string]*jsonschema.Schema
	shown     map[string]*display.Type
	languages *display.Languages
}

// NewTypes compiles the schemas, and reads how they are shown in the languages; nil is all that there are, English first.
// References out of a schema are refused; nothing is loaded. Errors join all problems.
func NewTypes(types []Type, languages *display.Languages) (*Types, error) {
	known := &Types{
		types: types, schemas: map[string]*jsonschema.Schema{}, shown: map[string]*display.Type{}, languages: languages,
	}
	var problems []error
	if languages == nil {
		var err error
		if known.languages, err = display.NewLanguages(nil, nil, nil); err != nil {
			return nil, err
		}
	}
	for _, t := range types {
		problem := func(format string, arguments ...any) {
			problems = append(problems,
				fmt.Errorf("fapi: the authorization_details type %q: %s", t.Type, fmt.Sprintf(format, arguments...)))
		}
		if t.Type == "" || len(t.Type) > 200 ||
			strings.ContainsFunc(t.Type, func(r rune) bool { return r <= 0x20 || r > 0x7e }) {
			problem("a type is named by 1 to 200 visible ASCII characters")
			continue
		}
		if known.schemas[t.Type] != nil {
			problem("it is configured twice")
			continue
		}
		schema, err := compile(t)
		if err != nil {
			problem("%v", err)
			continue
		}
		shown, err := display.Parse(t.Type, t.Schema, known.languages)
		if err != nil {
			problem("its schema: %v", err)
			continue
		}
		if err := t.checkSource(shown); err != nil {
			problem("%v", err)
		}
		known.schemas[t.Type], known.shown[t.Type] = schema, shown
	}
	return known, errors.Join(problems...)
}

func compile(t Type) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.Schema))
	if err != nil {
		return nil, fmt.Errorf("its schema is not JSON: %w", err)
	}
	object, ok := document.(map[string]any)
	if !ok || object["additionalProperties"] != false {
		return nil, errors.New(`its schema must be an object with "additionalProperties": false, so that unknown members are refused (RFC 9396 §5)`)
	}
	const address = "urn:countersign:schema"
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	if err := compiler.AddResource(address, document); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	schema, err := compiler.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return schema, nil
}

// noLoader refuses references out of a schema.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(address string) (any, error) {
	return nil, fmt.Errorf("the reference %q leaves the schema, and nothing is loaded", address)
}

// Names returns the known types, in the order of the configuration.
func (t *Types) Names() []string {
	var names []string
	for _, known := range t.types {
		names = append(names, known.Type)
	}
	return names
}

// Details are checked authorization_details: JSON objects in canonical form.
type Details []json.RawMessage

// Read validates the authorization_details parameter (RFC 9396 §2, §5): the types must be known and allowed, and each
// object valid against the schema of its type. Errors are *[oauth.Error] with invalid_authorization_details.
func (t *Types) Read(raw string, allowed []string) (Details, error) {
	refuse := func(format string, arguments ...any) (Details, error) {
		return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "authorization_details "+format, arguments...)
	}
	if len(raw) > maxDetailsSize {
		return refuse("is longer than %d bytes", maxDetailsSize)
	}
	var objects []json.RawMessage
	if err := strictjson.Decode([]byte(raw), &objects); err != nil {
		return refuse("is not a correct JSON array of objects (RFC 9396 §2)")
	}
	if len(objects) == 0 || len(objects) > maxDetails {
		return refuse("must hold 1 to %d objects", maxDetails)
	}
	var read Details
	for i, each := range objects {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(each))
		object, ok := value.(map[string]any)
		if err != nil || !ok {
			return refuse("[%d] is not an object (RFC 9396 §2)", i)
		}
		name, ok := object["type"].(string)
		schema := t.schemas[name]
		switch {
		case !ok:
			return refuse("[%d] has no type, or one that is not a string (RFC 9396 §2)", i)
		case schema == nil || !slices.Contains(allowed, name):
			return refuse("[%d] has a type that is unknown or not registered for this client (RFC 9396 §5)", i)
		case depth(value) > maxDetailsDepth:
			return refuse("[%d] is nested deeper than %d", i, maxDetailsDepth)
		}
		if err := schema.Validate(value); err != nil {
			return refuse("[%d] is not a correct %s: %s", i, name, violation(err))
		}
		canonical, err := json.Marshal(value) // sorts the members and keeps numbers as they are
		if err != nil {
			return nil, err
		}
		if t.Source(name) == FromRequest && t.open(canonical) {
			return refuse("[%d] leaves a list empty for accounts that the server offers, and this one offers none for a %s: name them", i, name)
		}
		read = append(read, canonical)
	}
	return read, nil
}

// Canonical returns an object in the form in which [Types.Read] returns it.
func Canonical(raw json.RawMessage) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if err := strictjson.Decode(raw, &object); err != nil {
		return nil, err
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	return json.Marshal(value)
}

func depth(value any) int {
	deepest := 0
	switch value := value.(type) {
	case map[string]any:
		for _, inner := range value {
			deepest = max(deepest, depth(inner))
		}
	case []any:
		for _, inner := range value {
			deepest = max(deepest, depth(inner))
		}
	default:
		return 0
	}
	return deepest + 1
}

// violation describes where and how an object violates its schema: the first cause.
func violation(err error) string {
	cause, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return "it does not fit the type's schema"
	}
	for len(cause.Causes) > 0 {
		cause = cause.Causes[0]
	}
	where := "the object"
	if len(cause.InstanceLocation) > 0 {
		where = strings.Join(cause.InstanceLocation, ".")
	}
	return where + ": " + cause.ErrorKind.LocalizedString(message.NewPrinter(language.English))
}

// Subset returns the requested part of what was granted, or invalid_authorization_details. Objects are compared as a
// whole, and each can be requested as often as it was granted (RFC 9396 §6).
func (d Details) Subset(requested Details) (Details, error) {
	left := slices.Clone(d)
	for _, each := range requested {
		i := slices.IndexFunc(left, func(granted json.RawMessage) bool { return bytes.Equal(granted, each) })
		if i < 0 {
			return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails,
				"authorization_details can only name objects that were granted, each as it was granted (RFC 9396 §6)")
		}
		left = slices.Delete(left, i, i+1)
	}
	return requested, nil
}

// ForResource returns the objects that apply to an audience: those with locations only if one of them is in it (RFC
// 9396 §9).
func (d Details) ForResource(audience []string) Details {
	var kept Details
	for _, each := range d {
		var object struct {
			Locations []string `json:"locations"`
		}
		// A type may use the member locations otherwise; then it does not restrict resources.
		if json.Unmarshal(each, &object) != nil || len(object.Locations) == 0 ||
			slices.ContainsFunc(object.Locations, func(location string) bool { return slices.Contains(audience, location) }) {
			kept = append(kept, each)
		}
	}
	return kept
}

// TypeOf returns the type of an object, or "".
func TypeOf(object json.RawMessage) string {
	var of struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(object, &of) != nil {
		return ""
	}
	return of.Type
}

// View puts the objects into the words of a language, one of those of the types (see [display.Languages]), for asker. Errors are
// of details that do not fit the schemas, which the configuration has changed since.
func (d Details) View(t *Types, language string, asker display.Asker) ([]display.View, error) {
	var views []display.View
	for _, each := range d {
		shown, err := t.of(each)
		if err != nil {
			return nil, err
		}
		view, err := shown.View(each, language, asker)
		if err != nil {
			return nil, err
		}
		views = append(views, view)
	}
	return views, nil
}

// Life returns how long what the objects allow may last: the shortest of their lives. Errors are of stored objects that the
// configuration does not fit any more, and of values that are no times.
func (d Details) Life(t *Types) (display.Life, error) {
	var life display.Life
	for _, each := range d {
		shown, err := t.of(each)
		if err != nil {
			return life, err
		}
		one, err := shown.Life(each)
		if err != nil {
			return life, err
		}
		life = life.Shorter(one)
	}
	return life, nil
}

// Languages are those that objects can be put into.
func (t *Types) Languages() *display.Languages { return t.languages }
