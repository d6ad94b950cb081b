package shape

import (
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"countersign/store"
)

// stamp writes a time as all the APIs do: UTC, whole seconds, Z (RFC 3339).
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// sources are what members of an answer can be.
var sources = []string{
	"id", "status", "created", "changed", "over", "permissions", "request", "self", "now", "ended_by", "reason",
}

// knownSource reports whether a source, without its condition, is known; see [Shape.Render].
func knownSource(source string) bool {
	name, states, conditional := strings.Cut(source, "@")
	if conditional {
		for state := range strings.SplitSeq(states, ",") {
			if !slices.Contains([]string{"awaiting", "authorised", "rejected", "consumed", "revoked", "expired"}, state) {
				return false
			}
		}
	}
	if literal, constant := strings.CutPrefix(name, "="); constant {
		return json.Valid([]byte(literal))
	}
	return slices.Contains(sources, name)
}

// members are those of an answer.
func (s *Shape) members(created bool) map[string]string {
	all := maps.Clone(s.Answer)
	if created {
		maps.Copy(all, s.Created)
	}
	return all
}

// Render writes a consent as the API answers it. Each member has a source: id, status (its name), created, changed, over (when
// it will be over as it is now, or was), permissions (those that are given), request (the same member of the
// content), self (the address), now, ended_by, reason, or a constant (= and JSON). What has no value is left out. A source may have a
// condition, @ and states with commas between: it is left out in every other state. A name that ends in [] is a list of one object.
func (s *Shape) Render(c store.LodgedConsent, self string, now time.Time, created bool) (map[string]any, error) {
	c = c.At(now)
	content, err := read(c.Content)
	if err != nil {
		return nil, fmt.Errorf("consents: the content of a stored consent: %w", err)
	}
	return build(maps.All(s.members(created)), func(path, source string) (any, bool) {
		source, states, conditional := strings.Cut(source, "@")
		if conditional && !slices.Contains(strings.Split(states, ","), string(c.Status)) {
			return nil, false
		}
		return s.value(c, content, path, source, self, now)
	}), nil
}

func (s *Shape) value(c store.LodgedConsent, content any, path, source, self string, now time.Time) (any, bool) {
	text := func(text string) (any, bool) { return text, text != "" }
	date := func(at time.Time) (any, bool) { return stamp(at), !at.IsZero() }
	switch source {
	case "id":
		return text(c.ID)
	case "status":
		return text(nameOf(s.Status, c))
	case "created":
		return date(c.CreatedAt)
	case "changed":
		return date(c.ChangedAt)
	case "over":
		if at := c.Over(); !at.IsZero() {
			return date(at)
		}
		return date(c.ChangedAt)
	case "permissions":
		return c.Permissions, len(c.Permissions) > 0
	case "request":
		return find(content, path)
	case "self":
		return text(self)
	case "now":
		return date(now)
	case "ended_by":
		return text(s.EndedBy[c.EndedBy])
	case "reason":
		return text(nameOf(s.Reasons, c))
	}
	return nil, false
}

// nameOf is the name of a consent's state, or of why it has ended.
func nameOf(names map[string]string, c store.LodgedConsent) string {
	if named := names["expired.early"]; named != "" && c.Status == store.ConsentExpired && c.GrantID == "" {
		return named
	}
	if named := names[string(c.Status)+"."+c.EndedBy]; named != "" {
		return named
	}
	return names[string(c.Status)]
}

// build makes an object of members, each with a path and a source.
func build(members iter.Seq2[string, string], value func(path, source string) (any, bool)) map[string]any {
	root := map[string]any{}
	for path, source := range members {
		var one any
		if literal, constant := strings.CutPrefix(source, "="); constant {
			if json.Unmarshal([]byte(literal), &one) != nil {
				continue // refused when the row was read
			}
		} else {
			var ok bool
			if one, ok = value(path, source); !ok {
				continue
			}
		}
		put(root, strings.Split(path, "."), one)
	}
	return root
}

func put(into map[string]any, path []string, value any) {
	name, list := strings.CutSuffix(path[0], "[]")
	if len(path) == 1 {
		into[name] = value
		return
	}
	var inner map[string]any
	if list {
		if held, ok := into[name].([]any); ok {
			inner = held[0].(map[string]any)
		} else {
			inner = map[string]any{}
			into[name] = []any{inner}
		}
	} else if inner, _ = into[name].(map[string]any); inner == nil {
		inner = map[string]any{}
		into[name] = inner
	}
	put(inner, path[1:], value)
}

// find returns the member of a value at a path.
func find(value any, path string) (any, bool) {
	if path == "" {
		return value, true
	}
	for name := range strings.SplitSeq(path, ".") {
		object, ok := value.(map[string]any)
		if !ok {
			return nil, false
		}
		if value, ok = object[name]; !ok {
			return nil, false
		}
	}
	return value, true
}
