package upstream

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"

	"countersign/fapi/authorize"
	"countersign/rp/client"
	"countersign/store"
)

// SubjectOf is the subject here of a provider's user: the same for ever, and another one for each provider. It is a digest of issuer and
// sub alone, so that whoever knows both can say who it is before the first sign-in; e-mail addresses and names, which change hands, are
// no part of it.
func SubjectOf(issuer, sub string) string {
	digest := sha256.Sum256([]byte("countersign upstream subject\x00" + issuer + "\x00" + sub))
	return "up-" + base64.RawURLEncoding.EncodeToString(digest[:])
}

// linkOf names a session at the provider; zero where it has no name.
func linkOf(issuer, sid string) store.Digest {
	if sid == "" {
		return store.Digest{}
	}
	return store.DigestOf("countersign upstream session\x00" + issuer + "\x00" + sid)
}

const (
	// maxClaims bounds what is taken over about a user, in bytes, and maxClaim one of it.
	maxClaims, maxClaim = 16 << 10, 4 << 10
	// maxMethods and maxMethod bound amr, as package handoff does.
	maxMethods, maxMethod = 10, 32
	// maxName is the length of a name, in bytes.
	maxName = 255
)

// read makes the answer of a verified ID token and, where it was asked for, of UserInfo. The error is errUnmet.
func (s Settings) read(who *client.Identity, info json.RawMessage) (authorize.Answer, error) {
	class, ok := s.classOf(who.ACR, who.AMR)
	if !ok {
		return authorize.Answer{}, errUnmet
	}
	answer := authorize.Answer{
		Subject: SubjectOf(who.Issuer, who.Subject), ACR: class.ACR, AMR: methodsOf(who.AMR), AuthTime: who.AuthTime,
		Upstream: linkOf(who.Issuer, who.SessionID),
	}
	if len(answer.AMR) == 0 {
		answer.AMR = class.AMR
	}
	said := map[string]json.RawMessage{}
	for _, raw := range []json.RawMessage{who.Raw, info} {
		if raw != nil && json.Unmarshal(raw, &said) != nil {
			return authorize.Answer{}, errUnmet // it is an object, or package client would not have taken it
		}
	}
	answer.Username = nameIn(said[s.Username])
	about := map[string]json.RawMessage{}
	size := 0
	for _, claim := range s.Claims {
		value, there := said[claim.From]
		if size += len(value); there && string(value) != "null" && len(value) <= maxClaim && size <= maxClaims {
			about[claim.Name] = value
		}
	}
	if len(s.Claims) > 0 {
		answer.Claims, _ = json.Marshal(about) // of JSON it cannot fail
	}
	return answer, nil
}

// classOf is what a sign-in counts as.
func (s Settings) classOf(acr string, amr []string) (Class, bool) {
	for _, class := range s.Classes {
		missing := slices.ContainsFunc(class.With, func(method string) bool { return !slices.Contains(amr, method) })
		if class.Upstream == acr && !missing {
			return class, true
		}
	}
	return Class{}, false
}

// methodsOf are the methods that can be told to clients.
func methodsOf(amr []string) []string {
	var all []string
	for _, method := range amr {
		odd := strings.ContainsFunc(method, func(r rune) bool { return r <= 0x20 || r > 0x7e })
		if method != "" && len(method) <= maxMethod && !odd && len(all) < maxMethods && !slices.Contains(all, method) {
			all = append(all, method)
		}
	}
	return all
}

// nameIn is a name that can be shown, or empty.
func nameIn(raw json.RawMessage) string {
	var name string
	if json.Unmarshal(raw, &name) != nil || len(name) > maxName || !utf8.ValidString(name) ||
		strings.TrimSpace(name) != name || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7f }) {
		return ""
	}
	return name
}
