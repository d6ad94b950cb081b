package fapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"countersign/internal/jose"
	"countersign/internal/oauth"
)

// Bounds on authorization_details.
const (
	maxDetailsSize  = 16 << 10
	maxDetails      = 10
	maxDetailsDepth = 8
)

// DetailType is an authorization_details type that the server knows (RFC 9396 §2).
type DetailType struct {
	// Type is the value of the member "type".
	Type string
	// Title is the sentence that people read above what is asked for.
	Title string
	// Schema is the JSON Schema (draft 2020-12) of one object of the type, "type" included. It must say
	// "additionalProperties": false, because unknown members are to be refused (§5).
	Schema json.RawMessage
}

// detailTypes are the known types with their compiled schemas, in the order of the configuration.
type detailTypes struct {
	types   []DetailType
	schemas map[string]*jsonschema.Schema
}

// newDetailTypes compiles the schemas. Nothing is loaded from anywhere: a reference has to stay within its schema.
func newDetailTypes(types []DetailType) (*detailTypes, error) {
	known := &detailTypes{types: types, schemas: map[string]*jsonschema.Schema{}}
	var mistakes []error
	for _, t := range types {
		mistake := func(format string, arguments ...any) {
			mistakes = append(mistakes, fmt.Errorf("fapi: the authorization_details type %q: %s", t.Type, fmt.Sprintf(format, arguments...)))
		}
		if t.Type == "" || len(t.Type) > 200 || strings.ContainsFunc(t.Type, func(r rune) bool { return r <= 0x20 || r > 0x7e }) {
			mistake("a type is named by 1 to 200 visible ASCII characters")
			continue
		}
		if known.schemas[t.Type] != nil {
			mistake("it is there twice")
			continue
		}
		schema, err := compile(t)
		if err != nil {
			mistake("%v", err)
			continue
		}
		known.schemas[t.Type] = schema
	}
	return known, errors.Join(mistakes...)
}

func compile(t DetailType) (*jsonschema.Schema, error) {
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(t.Schema))
	if err != nil {
		return nil, fmt.Errorf("its schema is not JSON: %w", err)
	}
	object, ok := document.(map[string]any)
	if !ok || object["additionalProperties"] != false {
		return nil, errors.New(`its schema must be an object that says "additionalProperties": false, so that unknown members are refused (RFC 9396 §5)`)
	}
	const address = "urn:countersign:schema"
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(nowhere{})
	if err := compiler.AddResource(address, document); err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	schema, err := compiler.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("its schema: %w", err)
	}
	return schema, nil
}

// nowhere refuses references out of a schema.
type nowhere struct{}

// Load implements jsonschema.URLLoader.
func (nowhere) Load(address string) (any, error) {
	return nil, fmt.Errorf("the reference %q leaves the schema, and nothing is loaded", address)
}

// names are the known types.
func (t *detailTypes) names() []string {
	var names []string
	for _, known := range t.types {
		names = append(names, known.Type)
	}
	return names
}

// title is the sentence for a type.
func (t *detailTypes) title(name string) string {
	for _, known := range t.types {
		if known.Type == name {
			return known.Title
		}
	}
	return ""
}

// details are checked authorization_details: JSON objects in one canonical form, so that what a person is shown, what is
// stored and what stands in tokens are the same bytes.
type details []json.RawMessage

// read checks the authorization_details parameter (RFC 9396 §2, §5): known types that are also among those allowed,
// each object valid against its type's schema.
func (t *detailTypes) read(raw string, allowed []string) (details, error) {
	refuse := func(format string, arguments ...any) (details, error) {
		return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "authorization_details "+format, arguments...)
	}
	if len(raw) > maxDetailsSize {
		return refuse("is longer than %d bytes", maxDetailsSize)
	}
	var objects []json.RawMessage
	if err := jose.DecodeStrict([]byte(raw), &objects); err != nil {
		return refuse("is not a correct JSON array of objects (RFC 9396 §2)")
	}
	if len(objects) == 0 || len(objects) > maxDetails {
		return refuse("must hold 1 to %d objects", maxDetails)
	}
	var read details
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
		read = append(read, canonical)
	}
	return read, nil
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

// violation says where and how an object breaks its schema: the first cause, in words.
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

// narrow gives the part of what was granted that is asked for. An object is asked for whole: only equal ones are
// within a grant, and each as often as it was granted (RFC 9396 §6).
func (d details) narrow(asked details) (details, error) {
	left := slices.Clone(d)
	for _, each := range asked {
		i := slices.IndexFunc(left, func(granted json.RawMessage) bool { return bytes.Equal(granted, each) })
		if i < 0 {
			return nil, oauth.Errorf(oauth.InvalidAuthorizationDetails, "authorization_details can only name objects that were granted, each as it was granted (RFC 9396 §6)")
		}
		left = slices.Delete(left, i, i+1)
	}
	return asked, nil
}

// forResource leaves out what is meant for other resources: objects with locations go only into tokens for one of these
// (RFC 9396 §9).
func (d details) forResource(audience []string) details {
	var kept details
	for _, each := range d {
		var object struct {
			Locations []string `json:"locations"`
		}
		// A type may use the name for something else; then it says nothing about resources.
		if json.Unmarshal(each, &object) != nil || len(object.Locations) == 0 ||
			slices.ContainsFunc(object.Locations, func(location string) bool { return slices.Contains(audience, location) }) {
			kept = append(kept, each)
		}
	}
	return kept
}

// DetailView is one object of authorization_details for a person to read.
type DetailView struct {
	Type string
	// Title is the sentence of the type.
	Title string
	Lines []DetailLine
}

// DetailLine is one value of an object with the path to it.
type DetailLine struct{ Label, Value string }

// view shows every value of every object, in the canonical order.
func (d details) view(t *detailTypes) []DetailView {
	var views []DetailView
	for _, each := range d {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(each))
		object, ok := value.(map[string]any)
		if err != nil || !ok {
			continue // read made it
		}
		view := DetailView{}
		view.Type, _ = object["type"].(string)
		view.Title = t.title(view.Type)
		delete(object, "type")
		view.add("", object)
		views = append(views, view)
	}
	return views
}

// add shows a value below a path. Words of a name are set apart: "creditorName" reads "creditor name".
func (v *DetailView) add(path string, value any) {
	below := func(name string) string {
		if path == "" {
			return name
		}
		return path + " › " + name
	}
	// What is empty is shown too: to the resource server it may mean everything.
	if list, ok := value.([]any); ok && len(list) == 0 {
		value = nil
	} else if object, ok := value.(map[string]any); ok && len(object) == 0 && path != "" {
		value = nil
	}
	switch value := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(value))
		for name := range value {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			v.add(below(inWords(name)), value[name])
		}
	case []any:
		if texts, ok := onlyTexts(value); ok {
			v.Lines = append(v.Lines, DetailLine{path, strings.Join(texts, ", ")})
			return
		}
		for i, each := range value {
			v.add(below(strconv.Itoa(i+1)), each)
		}
	case nil:
		v.Lines = append(v.Lines, DetailLine{path, "none"})
	case string:
		v.Lines = append(v.Lines, DetailLine{path, value})
	default: // a number as it was written, or a truth value
		v.Lines = append(v.Lines, DetailLine{path, fmt.Sprint(value)})
	}
}

// onlyTexts gives the strings of a list of nothing else, without commas that could pass for ours.
func onlyTexts(values []any) ([]string, bool) {
	var texts []string
	for _, value := range values {
		text, ok := value.(string)
		if !ok || strings.Contains(text, ",") {
			return nil, false
		}
		texts = append(texts, text)
	}
	return texts, len(texts) > 0
}

// inWords writes a name of JSON as a person would: "instructedAmount" and "instructed_amount" as "instructed amount".
func inWords(name string) string {
	var words strings.Builder
	for i, r := range name {
		switch {
		case r == '_' || r == '-':
			words.WriteByte(' ')
		case r >= 'A' && r <= 'Z' && i > 0 && name[i-1] >= 'a' && name[i-1] <= 'z':
			words.WriteByte(' ')
			words.WriteRune(r + 'a' - 'A')
		default:
			words.WriteRune(r)
		}
	}
	return words.String()
}
