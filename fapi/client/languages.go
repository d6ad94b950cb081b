package client

import (
	"bytes"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"

	"countersign/internal/strictjson"
)

// localizable are the members that may be registered by language too, as client_name#pt-BR (RFC 7591 §2.2).
func localizable() []string {
	return []string{"client_name", "client_uri", "logo_uri", "policy_uri", "tos_uri"}
}

// maxLocalized bounds how many members are registered by language.
const maxLocalized = 100

var languageTag = regexp.MustCompile(`^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,7}$`)

// wireMetadata is [Metadata] without its methods.
type wireMetadata Metadata

// UnmarshalJSON implements [json.Unmarshaler]: it reads the members by language too.
func (m *Metadata) UnmarshalJSON(raw []byte) error {
	if err := strictjson.Decode(raw, (*wireMetadata)(m)); err != nil {
		return err
	}
	m.Localized = nil
	if !bytes.ContainsRune(raw, '#') {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return err
	}
	for name, value := range members {
		member, _, by := strings.Cut(name, "#")
		if !by || !slices.Contains(localizable(), member) {
			continue
		}
		var text string
		if err := json.Unmarshal(value, &text); err != nil {
			return err
		}
		if m.Localized == nil {
			m.Localized = map[string]string{}
		}
		m.Localized[name] = text
	}
	return nil
}

// MarshalJSON implements [json.Marshaler]: it writes the members by language after the others.
func (m Metadata) MarshalJSON() ([]byte, error) {
	raw, err := json.Marshal(wireMetadata(m))
	if err != nil || len(m.Localized) == 0 {
		return raw, err
	}
	localized, err := json.Marshal(m.Localized)
	return Join(raw, localized), err
}

// Join returns one JSON object with the members of two that have none in common.
func Join(first, second []byte) []byte {
	switch {
	case len(first) <= len("{}"):
		return second
	case len(second) <= len("{}"):
		return first
	}
	return slices.Concat(first[:len(first)-1], []byte(","), second[1:])
}

// ByLanguage returns the members that are registered by language: by name of the member, then by language tag.
func (m *Metadata) ByLanguage() map[string]map[string]string {
	if len(m.Localized) == 0 {
		return nil
	}
	texts := map[string]map[string]string{}
	for name, text := range m.Localized {
		member, tag, _ := strings.Cut(name, "#")
		if texts[member] == nil {
			texts[member] = map[string]string{}
		}
		texts[member][tag] = text
	}
	return texts
}

// checkLocalized checks the members by language as those without.
func checkLocalized(m *Metadata, problem func(string, string, ...any)) {
	if len(m.Localized) > maxLocalized {
		problem("client_name", "more than %d members are given by language", maxLocalized)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(m.Localized)) {
		member, tag, _ := strings.Cut(name, "#")
		switch {
		case !languageTag.MatchString(tag):
			problem(name, "%q is not a language tag (BCP 47), such as pt-BR", tag)
		case member == "client_name":
			checkName(name, m.Localized[name], problem)
		default:
			checkAddress(name, m.Localized[name], problem)
		}
	}
}
