// Package statement reads software statements (RFC 7591 §2.3), the JWTs by which a directory of participants vouches for an
// application, and holds the registration of a client to them: its metadata, its scope and its certificate.
//
// [Parse] reads a statement and trusts nothing of it. Who may use it verifies its signature ([Statement.Token]) with the keys of
// the directory that it names, then its times ([Statement.Check]), and then binds a registration to it ([Statement.Bind],
// [Statement.BindName]). How is data of the client's profile: [profile.RegistrationRule].
package statement

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/strictjson"
	"countersign/store"
)

// defaultMaxAge is the age of the oldest statement where neither the rule nor the statement bounds it: as long as a one-time
// value is remembered.
const defaultMaxAge = 24 * time.Hour

// maxName bounds the iss and the jti of a statement, in bytes.
const maxName = 255

// KindStatement is the kind of the one-time value of a statement (RFC 7519 §4.1.7).
const KindStatement = "software_statement"

// Statement is a software statement that was read. Nothing in it may be trusted before its token was verified.
type Statement struct {
	// Raw is the statement as it was sent.
	Raw string
	// Issuer is iss, ID is jti or empty.
	Issuer, ID string
	// Token is what is to be verified.
	Token *jose.Token
	// Members are all claims.
	Members map[string]json.RawMessage

	issued, expires, notBefore *jose.NumericDate
}

// refusal is invalid_software_statement (RFC 7591 §3.2.2).
func refusal(format string, arguments ...any) *oauth.Error {
	return oauth.Errorf(oauth.InvalidSoftwareStatement, "software_statement: "+format, arguments...)
}

// Unapproved is unapproved_software_statement (RFC 7591 §3.2.2): the statement is one, and not one that this server takes.
func Unapproved(format string, arguments ...any) *oauth.Error {
	return oauth.Errorf(oauth.UnapprovedSoftwareStatement, "software_statement: "+format, arguments...)
}

// Parse reads a statement that is signed with one of the algorithms; errors are invalid_software_statement.
func Parse(raw string, algorithms []string) (*Statement, error) {
	token, err := jose.Parse(raw, jose.ParseOptions{Algorithms: algorithms})
	if err != nil {
		return nil, refusal("not a JWT that is signed with one of %s: %v", strings.Join(algorithms, ", "), err).Because(err)
	}
	s := &Statement{Raw: raw, Token: token}
	var claims struct {
		Issuer    string            `json:"iss"`
		ID        string            `json:"jti"`
		IssuedAt  *jose.NumericDate `json:"iat"`
		Expires   *jose.NumericDate `json:"exp"`
		NotBefore *jose.NumericDate `json:"nbf"`
	}
	if err := token.Claims(&claims); err != nil {
		return nil, refusal("%v", err).Because(err)
	}
	if err := token.Claims(&s.Members); err != nil {
		return nil, refusal("%v", err).Because(err)
	}
	switch {
	case claims.Issuer == "":
		return nil, refusal("it has no iss")
	case len(claims.Issuer) > maxName || len(claims.ID) > maxName:
		return nil, refusal("its iss and jti may have %d bytes", maxName)
	}
	s.Issuer, s.ID = claims.Issuer, claims.ID
	s.issued, s.expires, s.notBefore = claims.IssuedAt, claims.Expires, claims.NotBefore
	return s, nil
}

// maxAge is the age of the oldest statement under a rule.
func maxAge(rule profile.RegistrationRule) time.Duration {
	if rule.MaxAge > 0 {
		return min(rule.MaxAge, defaultMaxAge)
	}
	return defaultMaxAge
}

// Check holds the times of a statement to a rule, at a time; they may be a little ahead. Errors are invalid_software_statement.
func (s *Statement) Check(rule profile.RegistrationRule, now time.Time, ahead time.Duration) error {
	if s.issued == nil {
		return refusal("it has no iat")
	}
	issued, oldest := s.issued.Time(), maxAge(rule)
	switch {
	case issued.After(now.Add(ahead)):
		return refusal("its iat is in the future")
	case now.Sub(issued) > oldest:
		return refusal("it was issued (iat) more than %s ago; get a new one from the directory", oldest)
	case s.expires != nil && !now.Before(s.expires.Time()):
		return refusal("it has expired (exp); get a new one from the directory")
	case s.notBefore != nil && s.notBefore.Time().After(now.Add(ahead)):
		return refusal("it is not valid yet (nbf)")
	}
	return nil
}

// OneTimes is what makes the statement usable once, for a registration: its jti or, without one, all that was signed.
func (s *Statement) OneTimes(rule profile.RegistrationRule) []store.OneTime {
	if s.issued == nil {
		return nil // and no statement that passes Check
	}
	id := s.ID
	if id == "" {
		id = "\x00" + s.Token.SigningInput() // no jti begins so
	}
	until := s.issued.Time().Add(maxAge(rule))
	if s.expires != nil && s.expires.Time().Before(until) {
		until = s.expires.Time()
	}
	return []store.OneTime{{Kind: KindStatement, Key: keyOf(s.Issuer, id), Until: until.Add(clockMargin)}}
}

// clockMargin is what a one-time value is remembered longer, for nodes whose clocks differ.
const clockMargin = time.Minute

// keyOf is the digest of what makes a JWT unique.
func keyOf(issuer, id string) store.Digest {
	return store.DigestOf(fmt.Sprintf("%d %s %s", len(issuer), issuer, id))
}

// Text returns a member that is a string, or empty.
func (s *Statement) Text(member string) string {
	var text string
	if raw, ok := s.Members[member]; !ok || strictjson.Decode(raw, &text) != nil {
		return ""
	}
	return text
}

// Texts returns a member that is an array of strings, or a string of several separated by spaces.
func (s *Statement) Texts(member string) (values []string, ok bool) {
	raw, there := s.Members[member]
	if !there {
		return nil, false
	}
	return textsOf(raw)
}

// textsOf reads an array of strings, or a string of several separated by spaces.
func textsOf(raw json.RawMessage) (values []string, ok bool) {
	if strictjson.Decode(raw, &values) == nil && values != nil {
		return values, true
	}
	var text string
	if strictjson.Decode(raw, &text) != nil {
		return nil, false
	}
	return strings.Fields(text), true
}

// activeRole is the status of a role that counts.
const activeRole = "active"

// Roles are those of the statement under a rule: an array of names, one name, or an array of objects with role and status, of
// which those that are active count (Open Finance Brasil DCR 1.0, clause 7.2).
func (s *Statement) Roles(rule profile.RegistrationRule) []string {
	var objects []struct {
		Role   string `json:"role"`
		Status string `json:"status"`
	}
	if raw, ok := s.Members[rule.RolesMember]; ok && strictjson.Decode(raw, &objects) == nil {
		var roles []string
		for _, each := range objects {
			if strings.EqualFold(each.Status, activeRole) {
				roles = append(roles, each.Role)
			}
		}
		return roles
	}
	roles, _ := s.Texts(rule.RolesMember)
	return roles
}
