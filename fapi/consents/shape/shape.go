// Package shape has the consent APIs of open-banking ecosystems as data: a row (rows/NAME.toml) says where an API is, what a request
// has to hold (rows/NAME.json, a JSON Schema), what of it is asked of the user, how states, answers and errors are written, and what
// is signed. Package consents serves what a row describes and knows no ecosystem.
package shape

import (
	"bytes"
	"cmp"
	"embed"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"countersign/fapi/rar"
	"countersign/fapi/rar/ready"
	"countersign/store"
)

//go:embed rows
var files embed.FS

// Verb is what an API does with a consent.
type Verb string

// The verbs.
const (
	// Create is POST at the collection, Read GET and Delete DELETE of one consent.
	Create Verb = "create"
	Read   Verb = "read"
	Delete Verb = "delete"
	// Patch is PATCH of one consent, which can do nothing but end it ([Shape.Ends]).
	Patch Verb = "patch"
	// Form is POST of a form by an authenticated client, which ends the grant that it names ([Ending]).
	Form Verb = "form"
)

// Shape is one API. Paths of members are names with a full stop between them.
type Shape struct {
	// Name is that of the row.
	Name string `toml:"-"`
	// Title is what people call the API, and API the ecosystem that it belongs to: that of profile.ConsentRule.
	Title string `toml:"title"`
	API   string `toml:"api"`
	// Sources are the texts that the row was made from.
	Sources []Source `toml:"sources"`
	// Schema is the file of the schema, Name by default.
	Schema string `toml:"schema"`
	// Path is that of the collection, below the issuer, and Verbs what it serves.
	Path  string `toml:"path"`
	Verbs []Verb `toml:"verbs"`
	// Scope is the scope value that the access token must have.
	Scope string `toml:"scope"`
	// Kind is that of the consents.
	Kind string `toml:"kind"`
	// ID is how consents are named, with {uuid} and {namespace}.
	ID string `toml:"id"`
	// InteractionIDRequired refuses calls without a UUID in x-fapi-interaction-id.
	InteractionIDRequired bool `toml:"interaction_id_required"`
	// IdempotencyRequired refuses to create without x-idempotency-key; with neither it is ignored.
	IdempotencyRequired bool `toml:"idempotency_required"`
	IdempotencyAllowed  bool `toml:"idempotency_allowed"`
	// Once says that a consent allows something once.
	Once bool `toml:"once"`
	// Gone hides consents that their client has ended, and Clears accepts that it ends one that has ended otherwise.
	Gone   bool `toml:"gone"`
	Clears bool `toml:"clears"`
	// Permissions is the member with the permissions; Supported are those that are given of the known ones (* at the end is any),
	// empty all.
	Permissions string   `toml:"permissions"`
	Supported   []string `toml:"supported"`
	// Rules are what permissions need and exclude.
	Rules []Rule `toml:"rules"`
	// Hints are the members that name the user, by claim.
	Hints map[string]string `toml:"hints"`
	Times Times             `toml:"times"`
	// Shown are the members that the user is shown, by their name in the kind's schema.
	Shown map[string]string `toml:"shown"`
	// Signed says what is signed; nil is nothing.
	Signed *Signed `toml:"signed"`
	// Ending is how [Patch] and [Form] name what they end.
	Ending Ending `toml:"ending"`
	// Status are the names of states, EndedBy those of who ended a consent, and Reasons why, by the state or "state.who";
	// "expired.early" is that of one that nobody authorised.
	Status  map[string]string `toml:"status"`
	EndedBy map[string]string `toml:"ended_by"`
	Reasons map[string]string `toml:"reasons"`
	// Answer are the members of an answer, and Created those that only the one to [Create] has: see [Shape.Render].
	Answer  map[string]string `toml:"answer"`
	Created map[string]string `toml:"created"`
	// ContentType is that of answers in JSON.
	ContentType string `toml:"content_type"`
	Errors      Errors `toml:"errors"`

	schema, patch *jsonschema.Schema
}

// Source is a text that a row was made from.
type Source struct {
	Address string `toml:"address"`
	Section string `toml:"section"`
	Date    string `toml:"date"`
}

// Rule is a rule about permissions. It applies to requests with one of If; empty to all. A name may end in * for any.
type Rule struct {
	If []string `toml:"if"`
	// NeedsOne are permissions of which there has to be one, Excludes those of which there must be none.
	NeedsOne []string `toml:"needs_one"`
	Excludes []string `toml:"excludes"`
	// NeedsMember is a member that has to be there, ExcludesMember one that must not.
	NeedsMember    string `toml:"needs_member"`
	ExcludesMember string `toml:"excludes_member"`
	// Groups demand that each permission is in a group of which all are asked for.
	Groups [][]string `toml:"groups"`
	// Problem is what it is otherwise.
	Problem Kind `toml:"problem"`
}

// Times bound a consent.
type Times struct {
	// Window is the time for the user's decision, and WindowMember a member that shortens it (HHH:MM:SS).
	Window       Duration `toml:"window"`
	WindowMember string   `toml:"window_member"`
	// EndsMember is when the consent ends (RFC 3339); without one it does not. Max bounds it, counted from now.
	EndsMember string   `toml:"ends_member"`
	Max        Duration `toml:"max"`
	// Lasts is how long it lasts once it was authorised.
	Lasts Duration `toml:"lasts"`
}

// Duration is a time as Go writes it.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	read, err := time.ParseDuration(string(text))
	*d = Duration(read)
	return err
}

// Signed says how messages are signed (RFC 7515): as application/jwt, or detached from JSON, in a header.
type Signed struct {
	// Header is the header with the signature that is detached from the body (RFC 7515, Appendix F); empty: the body is the JWT.
	// Prefix is what is before iat, iss and tan in the names of the JOSE header's members, and Anchor the value of tan, which names
	// whose keys they are. Such a request is held to MaxAge and not to be sent once: an idempotency key says that it is the same.
	Header string `toml:"header"`
	Prefix string `toml:"prefix"`
	Anchor string `toml:"anchor"`
	// Algorithm is the JWS algorithm of all messages; empty is any of the client's profile.
	Algorithm string `toml:"algorithm"`
	// Content is the claim that has the content; empty: the content is beside the claims about the message.
	Content string `toml:"content"`
	// Issuer and Audience are who a request is from and for: "client", "organisation" or "software" (organisation/software), and
	// "issuer" or "endpoint"; one that is detached has no audience.
	Issuer   string `toml:"issuer"`
	Audience string `toml:"audience"`
	// OrganisationKeys has the keys verify requests that a directory publishes for the client's organisation, beside the client's own.
	OrganisationKeys bool `toml:"organisation_keys"`
	// TypeRequired demands the typ JWT.
	TypeRequired bool `toml:"type_required"`
	// Required are claims that a request needs beside iss and aud.
	Required []string `toml:"required"`
	// MaxAge is how long ago a request may have been made: its iat or, without one, nbf.
	MaxAge Duration `toml:"max_age"`
	// Lifetime is that of an answer; 0 sends no exp and nbf.
	Lifetime Duration `toml:"lifetime"`
	// Problems are the statuses of errors that are signed too.
	Problems []int `toml:"problems"`
}

// Ending is how a call names what it ends.
type Ending struct {
	// Parameter is the one of a form, which names a grant.
	Parameter string `toml:"parameter"`
	// Metadata is the member of the discovery document that names the endpoint.
	Metadata string `toml:"metadata"`
	// StatusMember is what a patch says that the consent becomes: Withdrawn for one that was not authorised, Ended for others.
	StatusMember string `toml:"status_member"`
	Withdrawn    string `toml:"withdrawn"`
	Ended        string `toml:"ended"`
}

// Serves reports whether the API has a verb.
func (s *Shape) Serves(verb Verb) bool { return slices.Contains(s.Verbs, verb) }

// Signs reports whether requests and answers are signed.
func (s *Shape) Signs() bool { return s.Signed != nil }

// Detached reports whether signatures are in a header, and bodies JSON.
func (s *Shape) Detached() bool { return s.Signs() && s.Signed.Header != "" }

// all are the rows, read once. Only a broken build has a wrong one: tests read each.
var all = sync.OnceValue(func() []*Shape {
	entries, err := files.ReadDir("rows")
	if err != nil {
		panic(err)
	}
	var shapes []*Shape
	for _, entry := range entries {
		name, isRow := strings.CutSuffix(entry.Name(), ".toml")
		if !isRow {
			continue
		}
		one, err := load(name)
		if err != nil {
			panic(err)
		}
		shapes = append(shapes, one)
	}
	return shapes
})

// All returns the rows, sorted by name.
func All() []*Shape { return slices.Clone(all()) }

// Of returns the rows of ecosystems.
func Of(apis []string) []*Shape {
	return slices.DeleteFunc(All(), func(s *Shape) bool { return !slices.Contains(apis, s.API) })
}

// APIs returns the names of the ecosystems.
func APIs() []string {
	names := map[string]bool{}
	for _, s := range all() {
		names[s.API] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// Types returns how the kinds of consents are shown: ready types.
func Types() ([]rar.Type, error) {
	var types []rar.Type
	for _, s := range all() {
		known := slices.ContainsFunc(types, func(t rar.Type) bool { return t.Type == s.Kind })
		if known || !s.Serves(Create) {
			continue
		}
		schema, err := ready.Schema(s.Kind, s.Kind)
		if err != nil {
			return nil, err
		}
		types = append(types, rar.Type{Type: s.Kind, Schema: schema})
	}
	return types, nil
}

func load(name string) (*Shape, error) {
	raw, err := files.ReadFile("rows/" + name + ".toml")
	if err != nil {
		return nil, err
	}
	return parse(name, raw)
}

// parse reads a row.
func parse(name string, raw []byte) (*Shape, error) {
	var err error
	s := &Shape{Name: name}
	decoder := toml.NewDecoder(bytes.NewReader(raw)).DisallowUnknownFields()
	if err := decoder.Decode(s); err != nil {
		return nil, fmt.Errorf("rows/%s.toml: %w", name, err)
	}
	if s.Serves(Create) {
		if s.schema, err = compile(cmp.Or(s.Schema, name)); err != nil {
			return nil, err
		}
	}
	if s.Serves(Patch) {
		if s.patch, err = compile(name + "-patch"); err != nil {
			return nil, err
		}
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("rows/%s.toml: %w", name, err)
	}
	return s, nil
}

func compile(name string) (*jsonschema.Schema, error) {
	raw, err := files.ReadFile("rows/" + name + ".json")
	if err != nil {
		return nil, err
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("rows/%s.json: %w", name, err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.DefaultDraft(jsonschema.Draft2020)
	compiler.AssertFormat()
	compiler.UseLoader(noLoader{})
	address := "urn:countersign:consents:" + name
	if err := compiler.AddResource(address, document); err != nil {
		return nil, fmt.Errorf("rows/%s.json: %w", name, err)
	}
	compiled, err := compiler.Compile(address)
	if err != nil {
		return nil, fmt.Errorf("rows/%s.json: %w", name, err)
	}
	return compiled, nil
}

// noLoader refuses references out of a schema.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(address string) (any, error) {
	return nil, fmt.Errorf("the reference %q leaves the schema, and nothing is loaded", address)
}

var pathPattern = regexp.MustCompile(`^(/[a-z0-9.-]+)+$`)

// check refuses a row that lacks something.
func (s *Shape) check() error {
	var problems []error
	demand := func(ok bool, what string) {
		if !ok {
			problems = append(problems, errors.New(what))
		}
	}
	demand(s.Title != "" && s.API != "" && s.Kind != "" && len(s.Verbs) > 0, "title, api, kind and verbs are needed")
	demand(pathPattern.MatchString(s.Path), "path is needed")
	demand(len(s.Sources) > 0, "sources are needed")
	for _, source := range s.Sources {
		demand(strings.HasPrefix(source.Address, "https://") && source.Date != "", "each source has an address and a date")
	}
	if s.Serves(Create) {
		demand(strings.Contains(s.ID, "{uuid}"), "id with {uuid} is needed")
		demand(s.Scope != "" && s.Times.Window > 0 && s.ContentType != "", "scope, times.window and content_type are needed")
		for _, status := range []store.ConsentStatus{
			store.ConsentAwaiting, store.ConsentAuthorised, store.ConsentRejected, store.ConsentConsumed, store.ConsentRevoked, store.ConsentExpired,
		} {
			demand(s.Status[string(status)] != "", "status."+string(status)+" is needed")
		}
		for path, source := range s.members(true) {
			demand(knownSource(source), "answer: "+path+": there is no "+source)
		}
	}
	for _, rule := range s.Rules {
		_, known := s.Errors.Problems[rule.Problem]
		demand(known, "rules: there is no problem "+string(rule.Problem))
	}
	if s.Signed != nil {
		demand(slices.Contains([]string{"client", "organisation", "software"}, s.Signed.Issuer), "signed.issuer is client, organisation or software")
		demand(slices.Contains([]string{"issuer", "endpoint"}, s.Signed.Audience) != s.Detached(), "signed.audience is issuer or endpoint, or there is none")
		demand(!s.Detached() || s.Signed.Prefix != "" && s.Signed.Anchor != "" && s.IdempotencyRequired, "signed.header needs prefix, anchor and idempotency_required")
		demand(s.Signed.MaxAge > 0, "signed.max_age is needed")
	}
	for kind, text := range s.Errors.Problems {
		demand(slices.Contains(Kinds(), kind), "errors: there is no problem "+string(kind))
		demand(text.Status >= 400 && text.Status < 600, "errors."+string(kind)+": status is needed")
		demand(text.Bare || text.Code != "", "errors."+string(kind)+": code or bare is needed")
	}
	for _, kind := range Kinds() {
		_, known := s.Errors.Problems[kind]
		demand(known || !s.mayHave(kind), "errors."+string(kind)+" is needed")
	}
	return errors.Join(problems...)
}
