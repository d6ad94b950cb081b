package fapi

import (
	"slices"
	"strings"
)

// checkMessages holds what a client registers about signed requests and answers to its profile.
func (c *Client) checkMessages(profile Profile, mistake func(string, string, ...any)) {
	m := &c.Metadata
	asked := m.RequireSignedRequestObject
	switch {
	case asked == nil:
	case *asked && profile.RequestObjects == RequestObjectsRefused:
		mistake("require_signed_request_object", "signed request objects do not belong to the profile %s", profile.Name)
	case !*asked && profile.RequestObjects == RequestObjectsRequired:
		mistake("require_signed_request_object", "the profile %s always requires them", profile.Name)
	}
	if narrow(profile, *m).RequestObjects == RequestObjectsRequired && slices.Contains(m.GrantTypes, AuthorizationCode) && m.JWKSURI == "" && len(c.keys.Keys()) == 0 {
		mistake("jwks", "missing; signed request objects need the client's public keys, in jwks or at jwks_uri")
	}
	if m.ResponseModes == nil {
		return
	}
	for _, kind := range m.ResponseTypes {
		if allowed := profile.ResponseModes[kind]; len(allowed) > 0 && len(intersect(allowed, m.ResponseModes)) == 0 {
			mistake("response_modes", "none of them can answer response_type %q; possible are %s", kind, strings.Join(allowed, ", "))
		}
	}
}
