package client

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"countersign/fapi/profile"
)

// checkEcosystem checks a registration against what an ecosystem adds to its base profile: algorithms by use, encrypted ID tokens,
// pairwise subjects.
func (c *Client) checkEcosystem(full profile.Profile, problem func(string, string, ...any)) {
	m := &c.Metadata
	if len(m.GrantTypes) == 0 { // a resource server: its operator's own, and no participant
		return
	}
	checkOneOf("id_token_signed_response_alg", m.IDTokenSignedResponseAlg, full.IDTokenAlgorithms, problem)
	checkOneOf("request_object_signing_alg", m.RequestObjectSigningAlg, full.RequestObjectAlgorithms, problem)
	checkOneOf("backchannel_authentication_request_signing_alg", m.BackchannelSigningAlg, full.RequestObjectAlgorithms, problem)
	for member, wanted := range map[string]Encryption{
		"id_token_encrypted_response": m.IDTokenEncryption(), "userinfo_encrypted_response": m.UserInfoEncryption(),
		"authorization_encrypted_response": m.ResponseEncryption(),
	} {
		if wanted.Alg == "" {
			continue
		}
		checkOneOf(member+"_alg", wanted.Alg, full.KeyEncryption, problem)
		checkOneOf(member+"_enc", wanted.Effective().Enc, full.ContentEncryption, problem)
	}
	front := slices.ContainsFunc(m.ResponseTypes, func(kind string) bool { return slices.Contains(strings.Fields(kind), "id_token") })
	needed := full.EncryptIDToken == profile.EncryptIDTokenAlways && slices.Contains(c.Scopes, "openid") ||
		full.EncryptIDToken == profile.EncryptIDTokenFront && front
	if needed && m.IDTokenEncryptedResponseAlg == "" {
		problem("id_token_encrypted_response_alg", "missing; the profile %s demands encrypted ID tokens", full.Name)
	}
}

// CheckMembers returns what a dynamic registration (RFC 7591) has of members that the profile refuses, and lacks of those that it
// demands. A client that the operator adds is not asked: whoever adds it knows whose keys they are.
func CheckMembers(sent map[string]json.RawMessage, full profile.Profile) (problems []error) {
	for _, name := range full.RefusedMetadata {
		if _, has := sent[name]; has {
			problems = append(problems, &MemberError{name, fmt.Sprintf("the profile %s has no such member; leave it out", full.Name)})
		}
	}
	for _, name := range full.RequiredMetadata {
		if value, has := sent[name]; !has || string(value) == `""` || string(value) == "null" {
			problems = append(problems, &MemberError{name, fmt.Sprintf("missing; the profile %s demands it", full.Name)})
		}
	}
	return problems
}

// checkOneOf checks a value that is given against a list that allows any where it is empty.
func checkOneOf(member, value string, allowed []string, problem func(string, string, ...any)) {
	if value != "" && len(allowed) > 0 {
		checkAllowed(member, []string{value}, allowed, problem)
	}
}

// applyPairwise has a client of a profile with pairwise subjects only have them, unless it registered the other.
func (c *Client) applyPairwise(full profile.Profile, problem func(string, string, ...any)) {
	m := &c.Metadata
	withUsers := slices.Contains(m.GrantTypes, profile.AuthorizationCode) || slices.Contains(m.GrantTypes, profile.CIBA)
	switch {
	case !full.Pairwise || !withUsers:
	case m.SubjectType == "":
		m.SubjectType = SubjectPairwise
	case m.SubjectType != SubjectPairwise:
		problem("subject_type", "must be %s: the profile %s has no others", SubjectPairwise, full.Name)
	}
}

// RequestAlgorithms returns the algorithms that the client may sign requests with: the registered one, or else those of its profile
// for them.
func (c *Client) RequestAlgorithms(registered string) []string {
	switch own := c.Profile.RequestObjectAlgorithms; {
	case registered != "":
		return []string{registered}
	case len(own) > 0:
		return own
	}
	return c.Profile.Algorithms
}
