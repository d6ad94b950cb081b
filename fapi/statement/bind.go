package statement

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"countersign/fapi/client"
	"countersign/fapi/profile"
	"countersign/mtls/dn"
)

// problem is a problem with a member of client metadata.
func problem(member, format string, arguments ...any) error {
	return &client.MemberError{Member: member, Text: fmt.Sprintf(format, arguments...)}
}

// Bind holds client metadata to the statement by a rule: members that the statement has take its values or have to be among
// them, and the scope is what the roles of the statement allow, of the values that exist. It changes members, and returns
// what is wrong with them, each a *[client.MemberError].
func (s *Statement) Bind(rule profile.RegistrationRule, members map[string]json.RawMessage, scopes []string) (problems []error) {
	for _, field := range rule.Fields {
		if err := s.bindField(field, members); err != nil {
			problems = append(problems, err)
		}
		// The same in a language that nobody vouched for (RFC 7591 §2.2) could say something else to users.
		maps.DeleteFunc(members, func(name string, _ json.RawMessage) bool { return strings.HasPrefix(name, field.Metadata+"#") })
	}
	if _, byValue := members["jwks"]; byValue && bindsKeys(rule) {
		problems = append(problems, problem("jwks", "must not be sent: the keys are those at the jwks_uri that the directory knows"))
	}
	if err := s.bindScope(rule, members, scopes); err != nil {
		problems = append(problems, err)
	}
	return problems
}

// bindsKeys reports whether the address of the keys is the statement's.
func bindsKeys(rule profile.RegistrationRule) bool { return KeysMember(rule) != "" }

// KeysMember is the member of a statement that has the address of the client's keys, or empty.
func KeysMember(rule profile.RegistrationRule) string {
	for _, field := range rule.Fields {
		if field.Metadata == "jwks_uri" {
			return field.Statement
		}
	}
	return ""
}

func (s *Statement) bindField(field profile.StatementField, members map[string]json.RawMessage) error {
	vouched, known := s.Members[field.Statement]
	if known && string(vouched) == "null" {
		known = false
	}
	sent, given := members[field.Metadata]
	switch field.Rule {
	case profile.FieldWins:
		if known {
			members[field.Metadata] = vouched
		}
		return nil
	case profile.FieldSubset, profile.FieldSubsetOrAll:
		return s.bindSubset(field, members)
	}
	switch {
	case !known && given:
		return problem(field.Metadata, "the software statement has no %s that it could be", field.Statement)
	case !known:
		return nil
	case given && !sameJSON(sent, vouched):
		return problem(field.Metadata, "must be the %s of the software statement; leave it out to take that", field.Statement)
	}
	members[field.Metadata] = vouched
	return nil
}

// sameJSON compares two values without regard to white space between their parts.
func sameJSON(a, b json.RawMessage) bool {
	var compactA, compactB bytes.Buffer
	if json.Compact(&compactA, a) != nil || json.Compact(&compactB, b) != nil {
		return false
	}
	if bytes.Equal(compactA.Bytes(), compactB.Bytes()) {
		return true
	}
	var textA, textB string // the same characters may be escaped in one of them
	return json.Unmarshal(a, &textA) == nil && json.Unmarshal(b, &textB) == nil && textA == textB
}

func (s *Statement) bindSubset(field profile.StatementField, members map[string]json.RawMessage) error {
	vouched, known := s.Texts(field.Statement)
	if !known {
		return problem(field.Metadata, "the software statement has no %s, of which it would have to be part", field.Statement)
	}
	sent, given := members[field.Metadata]
	if !given {
		if field.Rule == profile.FieldSubset {
			return problem(field.Metadata, "missing; it must be some of the %s of the software statement", field.Statement)
		}
		members[field.Metadata] = s.asMember(field.Metadata, vouched)
		return nil
	}
	values, ok := textsOf(sent)
	if !ok {
		return nil // has the wrong JSON type, which is reported as such
	}
	for _, value := range values {
		if !slices.Contains(vouched, value) {
			return problem(field.Metadata, "%q is not among the %s of the software statement", value, field.Statement)
		}
	}
	return nil
}

// asMember encodes values as a member of client metadata has them: scope is a string.
func (s *Statement) asMember(member string, values []string) json.RawMessage {
	var encoded []byte
	var err error
	if member == "scope" {
		encoded, err = json.Marshal(strings.Join(values, " "))
	} else {
		encoded, err = json.Marshal(values)
	}
	if err != nil {
		return nil // strings can be encoded
	}
	return encoded
}

// bindScope holds the scope to the roles. A client that asks for none gets all that they allow and that exist here.
func (s *Statement) bindScope(rule profile.RegistrationRule, members map[string]json.RawMessage, scopes []string) error {
	if len(rule.RoleScopes) == 0 {
		return nil
	}
	var allowed []string
	roles := s.Roles(rule)
	for _, role := range roles {
		for _, scope := range rule.RoleScopes[role] {
			if !slices.Contains(allowed, scope) {
				allowed = append(allowed, scope)
			}
		}
	}
	if len(allowed) == 0 {
		return problem("scope", "the roles of the software statement (%s) allow none", strings.Join(roles, " "))
	}
	sent, given := members["scope"]
	if !given {
		members["scope"] = s.asMember("scope", slices.DeleteFunc(allowed, func(scope string) bool { return !slices.Contains(scopes, scope) }))
		return nil
	}
	values, _ := textsOf(sent)
	for _, value := range values {
		if !slices.Contains(allowed, value) {
			return problem("scope", "%q is not allowed by the roles of the software statement; they allow %s", value, strings.Join(allowed, " "))
		}
	}
	return nil
}

// BindCertificate demands that the subject of a certificate is what the statement vouches for.
func (s *Statement) BindCertificate(rule profile.RegistrationRule, leaf *x509.Certificate) error {
	name, err := dn.OfSubject(leaf)
	if err != nil {
		return fmt.Errorf("the certificate has no readable subject: %w", err)
	}
	return s.BindName(rule, name)
}

// BindName is [Statement.BindCertificate] of a name.
func (s *Statement) BindName(rule profile.RegistrationRule, name dn.Name) error {
	for _, field := range rule.CertificateFields {
		oid, ok := dn.TypeOf(field.Attribute)
		if !ok {
			return fmt.Errorf("the profile's rule names %s, which is no attribute", field.Attribute)
		}
		wanted := s.Text(field.Statement)
		if wanted == "" {
			return fmt.Errorf("the software statement has no %s, which %s would have to be", field.Statement, field.Attribute)
		}
		if !name.Has(oid, field.Prefix+wanted) {
			return fmt.Errorf("%s is not %s, the %s of the software statement", field.Attribute, field.Prefix+wanted, field.Statement)
		}
	}
	return nil
}
