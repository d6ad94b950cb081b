package shape

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"
	"golang.org/x/text/language"
	"golang.org/x/text/message"

	"countersign/internal/strictjson"
	"countersign/store"
)

// read decodes JSON and keeps numbers as they are.
func read(raw []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	var value any
	return value, decoder.Decode(&value)
}

// Lodged reads the content of a request to create a consent: what is checked by the schema and the rules becomes a consent without
// the members that name it and its client. Errors are *[Problem].
func (s *Shape) Lodged(raw []byte, now time.Time) (store.LodgedConsent, error) {
	content, canonical, err := s.valid(s.schema, raw)
	if err != nil {
		return store.LodgedConsent{}, err
	}
	c := store.LodgedConsent{Kind: s.Kind, Content: canonical, Once: s.Once, CreatedAt: now.UTC().Truncate(time.Microsecond)}
	if err := s.permissions(&c, content); err != nil {
		return store.LodgedConsent{}, err
	}
	if err := s.times(&c, content, now); err != nil {
		return store.LodgedConsent{}, err
	}
	for claim, path := range s.Hints {
		if value, ok := find(content, path); ok {
			if c.Hints == nil {
				c.Hints = map[string]string{}
			}
			if text, ok := value.(string); ok {
				c.Hints[claim] = text
			}
		}
	}
	c.Shown, err = s.shown(c, content)
	return c, err
}

// valid reads a body and holds it to a schema.
func (s *Shape) valid(schema *jsonschema.Schema, raw []byte) (content any, canonical json.RawMessage, err error) {
	var object map[string]json.RawMessage
	if err := strictjson.DecodeObject(raw, &object); err != nil {
		return nil, nil, Problemf(Format, "", "the body is not a JSON object that can be read in one way").Because(err)
	}
	if content, err = read(raw); err != nil {
		return nil, nil, Problemf(Format, "", "the body is not JSON").Because(err)
	}
	if err := schema.Validate(content); err != nil {
		return nil, nil, violation(err)
	}
	canonical, err = json.Marshal(content) // sorts the members
	return content, canonical, err
}

// violation is the problem of what violates a schema: the first cause.
func violation(err error) *Problem {
	cause, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return Problemf(Format, "", "the body does not fit the schema").Because(err)
	}
	for len(cause.Causes) > 0 {
		cause = cause.Causes[0]
	}
	path := strings.Join(cause.InstanceLocation, ".")
	below := func(name string) string { return strings.TrimPrefix(path+"."+name, ".") }
	switch what := cause.ErrorKind.(type) {
	case *kind.Required:
		return Problemf(Missing, below(what.Missing[0]), "%s is missing", below(what.Missing[0]))
	case *kind.AdditionalProperties:
		name := printable(what.Properties[0])
		return Problemf(Unexpected, below(name), "%s is not a member here", below(name))
	case *kind.Format:
		if what.Want == "date-time" || what.Want == "date" {
			return Problemf(BadDate, path, "%s is not a %s (RFC 3339)", path, what.Want)
		}
	}
	return Problemf(Invalid, path, "%s: %s", path, printable(cause.ErrorKind.LocalizedString(message.NewPrinter(language.English))))
}

// printable keeps the visible ASCII of a text, which may be the client's.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, text)
}

// permissions checks and takes the permissions: those that are supported.
func (s *Shape) permissions(c *store.LodgedConsent, content any) error {
	if s.Permissions == "" {
		return nil
	}
	asked := texts(content, s.Permissions)
	for _, rule := range s.Rules {
		if !rule.holds(asked, content) {
			return Problemf(rule.Problem, s.Permissions, "%s: %s", s.Permissions, rule)
		}
	}
	for _, one := range asked {
		if len(s.Supported) == 0 || matches(s.Supported, one) {
			c.Permissions = append(c.Permissions, one)
		}
	}
	if len(c.Permissions) == 0 {
		return Problemf(NoneLeft, s.Permissions, "none of the permissions is supported")
	}
	return nil
}

// texts are the strings of a list.
func texts(content any, path string) []string {
	value, _ := find(content, path)
	list, _ := value.([]any)
	var read []string
	for _, each := range list {
		if text, ok := each.(string); ok && !slices.Contains(read, text) {
			read = append(read, text)
		}
	}
	return read
}

// matches reports whether a name is one of a list, whose names may end in *.
func matches(names []string, one string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		if prefix, any := strings.CutSuffix(name, "*"); any {
			return strings.HasPrefix(one, prefix)
		}
		return name == one
	})
}

func (r Rule) holds(asked []string, content any) bool {
	has := func(names []string) bool {
		return slices.ContainsFunc(asked, func(one string) bool { return matches(names, one) })
	}
	if len(r.If) > 0 && !has(r.If) {
		return true
	}
	if len(r.NeedsOne) > 0 && !has(r.NeedsOne) || has(r.Excludes) {
		return false
	}
	if r.NeedsMember != "" {
		if _, there := find(content, r.NeedsMember); !there {
			return false
		}
	}
	if r.ExcludesMember != "" {
		if _, there := find(content, r.ExcludesMember); there {
			return false
		}
	}
	if len(r.Groups) == 0 {
		return true
	}
	whole := map[string]bool{}
	for _, group := range r.Groups {
		if !slices.ContainsFunc(group, func(one string) bool { return !slices.Contains(asked, one) }) {
			for _, one := range group {
				whole[one] = true
			}
		}
	}
	return !slices.ContainsFunc(asked, func(one string) bool { return !whole[one] })
}

// String says what the rule asks.
func (r Rule) String() string {
	text := ""
	if len(r.If) > 0 {
		text = "with " + strings.Join(r.If, " or ") + " "
	}
	switch {
	case len(r.NeedsOne) > 0:
		return text + "there has to be one of " + strings.Join(r.NeedsOne, ", ")
	case len(r.Excludes) > 0:
		return text + "there must be none of " + strings.Join(r.Excludes, ", ")
	case r.NeedsMember != "":
		return text + r.NeedsMember + " is needed"
	case r.ExcludesMember != "":
		return text + "there must be no " + r.ExcludesMember
	}
	return text + "each has to come with all the others of its group"
}

var windowPattern = regexp.MustCompile(`^([0-9]{3}):([0-5][0-9]):([0-5][0-9])$`)

// times sets when the time for the decision ends, and when the consent does.
func (s *Shape) times(c *store.LodgedConsent, content any, now time.Time) error {
	window := time.Duration(s.Times.Window)
	if text, ok := textAt(content, s.Times.WindowMember); ok {
		parts := windowPattern.FindStringSubmatch(text)
		if parts == nil {
			return Problemf(Invalid, s.Times.WindowMember, "%s is not of the form HHH:MM:SS", s.Times.WindowMember)
		}
		var wanted time.Duration
		for i, unit := range []time.Duration{time.Hour, time.Minute, time.Second} {
			number, err := strconv.Atoi(parts[i+1])
			if err != nil {
				return err
			}
			wanted += time.Duration(number) * unit
		}
		window = min(window, wanted)
	}
	if window <= 0 {
		return Problemf(Invalid, s.Times.WindowMember, "%s leaves no time for the decision", s.Times.WindowMember)
	}
	c.ExpiresAt = c.CreatedAt.Add(window)
	c.Lasts = time.Duration(s.Times.Lasts)
	text, ok := textAt(content, s.Times.EndsMember)
	if !ok {
		return nil
	}
	path := s.Times.EndsMember
	ends, err := time.Parse(time.RFC3339, text)
	switch {
	case err != nil:
		return Problemf(BadDate, path, "%s is not a time (RFC 3339)", path)
	case !ends.After(now):
		return Problemf(BadDate, path, "%s is over", path)
	case s.Times.Max > 0 && ends.Sub(now) > time.Duration(s.Times.Max):
		return Problemf(BadDate, path, "%s is later than %d days from now", path, time.Duration(s.Times.Max)/(24*time.Hour))
	}
	c.EndsAt = ends.UTC().Truncate(time.Microsecond)
	c.ExpiresAt = earlier(c.ExpiresAt, c.EndsAt)
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func textAt(content any, path string) (string, bool) {
	if path == "" {
		return "", false
	}
	value, _ := find(content, path)
	text, ok := value.(string)
	return text, ok
}

// shown is what the user is shown: an object of the kind.
func (s *Shape) shown(c store.LodgedConsent, content any) (json.RawMessage, error) {
	object := map[string]any{"type": s.Kind}
	for name, path := range s.Shown {
		if path == s.Permissions && path != "" {
			object[name] = c.Permissions
		} else if value, ok := find(content, path); ok {
			object[name] = value
		}
	}
	return json.Marshal(object)
}

// Ends reads what a [Patch] ends: a consent of a state. Errors are *[Problem].
func (s *Shape) Ends(raw []byte, state store.ConsentStatus) error {
	content, _, err := s.valid(s.patch, raw)
	if err != nil {
		return err
	}
	wanted, ok := textAt(content, s.Ending.StatusMember)
	fits := s.Ending.Ended
	if state == store.ConsentAwaiting {
		fits = s.Ending.Withdrawn
	}
	switch {
	case !ok:
		return Problemf(Missing, s.Ending.StatusMember, "%s is missing: nothing else can be changed", s.Ending.StatusMember)
	case wanted != fits:
		return Problemf(Ended, s.Ending.StatusMember, "a consent in this state can become %s and nothing else", fits)
	}
	return nil
}

// SameContent reports whether two requests have the same content.
func SameContent(a, b json.RawMessage) bool { return bytes.Equal(canonical(a), canonical(b)) }

func canonical(raw json.RawMessage) []byte {
	value, err := read(raw)
	if err != nil {
		return raw
	}
	sorted, err := json.Marshal(value)
	if err != nil {
		return raw
	}
	return sorted
}

// NameOf makes the name of a consent.
func (s *Shape) NameOf(namespace, uuid string) string {
	return strings.NewReplacer("{namespace}", namespace, "{uuid}", uuid).Replace(s.ID)
}

// namespacePattern is what a namespace may be (RFC 8141 §2: an NID).
var namespacePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,30}[a-z0-9]$`)

// CheckNamespace checks the name of the institution in the names of consents.
func CheckNamespace(name string) error {
	if !namespacePattern.MatchString(name) {
		return fmt.Errorf("%q is not 2 to 32 letters in lower case, digits or hyphens (RFC 8141 §2)", name)
	}
	return nil
}
