package profile

import (
	"fmt"
	"slices"

	"countersign/internal/set"
)

// Registration is the part of a registration (RFC 7591 §2) that can restrict the profile.
type Registration struct {
	// AuthMethod is token_endpoint_auth_method.
	AuthMethod string
	// SenderConstraints are the ways in which the client's access tokens are bound.
	SenderConstraints []SenderConstraint
	GrantTypes        []string
	ResponseTypes     []string
	// ResponseModes is nil when the registration has no response_modes: then all remain (FAPI 2.0 Message Signing §5.3.3).
	ResponseModes []string
	// UnsignedRequests reports whether require_signed_request_object is false (RFC 9101 §10.5).
	UnsignedRequests bool
	// RequirePushed is require_pushed_authorization_requests (RFC 9126 §6).
	RequirePushed bool
	// DeliveryMode is backchannel_token_delivery_mode (CIBA Core §4).
	DeliveryMode string
	// SignsBackchannel reports whether backchannel_authentication_request_signing_alg is registered.
	SignsBackchannel bool
}

// Restrict returns the profile of a client with this registration: the intersection of both.
func (p Profile) Restrict(r Registration) Profile {
	p.ClientAuthMethods = set.Intersect(p.ClientAuthMethods, []string{r.AuthMethod})
	p.SenderConstraints = set.Intersect(p.SenderConstraints, r.SenderConstraints)
	p.GrantTypes = set.Intersect(p.GrantTypes, r.GrantTypes)
	p.ResponseTypes = set.Intersect(p.ResponseTypes, r.ResponseTypes)
	modes := map[string][]string{}
	for _, kind := range p.ResponseTypes {
		modes[kind] = p.ResponseModes[kind]
		if r.ResponseModes != nil {
			modes[kind] = set.Intersect(modes[kind], r.ResponseModes)
		}
	}
	p.ResponseModes = modes
	if p.RequestObjects == RequestObjectsAllowed && !r.UnsignedRequests {
		p.RequestObjects = RequestObjectsRequired
	}
	// Signing is required if the client registered an algorithm (CIBA Core §4) or signs its other requests.
	if p.Backchannel.Signed == RequestObjectsAllowed &&
		(r.SignsBackchannel || p.RequestObjects == RequestObjectsRequired) {
		p.Backchannel.Signed = RequestObjectsRequired
	}
	p.Backchannel.DeliveryModes = set.Intersect(p.Backchannel.DeliveryModes, []string{r.DeliveryMode})
	p.RequirePushed = p.RequirePushed || r.RequirePushed
	return p
}

// Offer is what a server offers in addition to its profiles.
type Offer struct {
	// Backchannel is true with a backchannel authentication endpoint, MTLS with an mTLS listener.
	Backchannel, MTLS bool
}

// Offered returns the union of the named profiles, for the discovery document. What only some of them
// require is not announced as required. There must be at least one name.
func Offered(names []string, offer Offer) Profile {
	p, _ := Lookup(names[0])
	for _, name := range names[1:] {
		other, _ := Lookup(name)
		p.ClientAuthMethods = set.Union(p.ClientAuthMethods, other.ClientAuthMethods)
		p.Algorithms = set.Union(p.Algorithms, other.Algorithms)
		p.SenderConstraints = set.Union(p.SenderConstraints, other.SenderConstraints)
		p.GrantTypes = set.Union(p.GrantTypes, other.GrantTypes)
		p.ResponseTypes = set.Union(p.ResponseTypes, other.ResponseTypes)
		modes := map[string][]string{}
		for _, kind := range p.ResponseTypes {
			modes[kind] = set.Union(p.ResponseModes[kind], other.ResponseModes[kind])
		}
		p.ResponseModes = modes
		p.RequirePushed = p.RequirePushed && other.RequirePushed
		if p.RequestObjects != other.RequestObjects {
			p.RequestObjects = RequestObjectsAllowed
		}
		p.Backchannel = p.Backchannel.union(other.Backchannel)
		p.GrantManagement = p.GrantManagement.union(other.GrantManagement)
		p.Ecosystem = p.Ecosystem.union(other.Ecosystem)
	}
	if !offer.Backchannel {
		p.GrantTypes = slices.DeleteFunc(slices.Clone(p.GrantTypes), func(grant string) bool { return grant == CIBA })
	}
	if !offer.MTLS {
		p.ClientAuthMethods = []string{PrivateKeyJWT}
		p.SenderConstraints = []SenderConstraint{ByDPoP}
	}
	return p
}

// union is what some client may do under either: what one of them does not restrict is not restricted.
func (e Ecosystem) union(other Ecosystem) Ecosystem {
	names := map[string][]string{}
	for _, each := range []map[string][]string{e.ACRNames, other.ACRNames} {
		for class, list := range each {
			names[class] = set.Union(names[class], list)
		}
	}
	return Ecosystem{
		ACRNames:    names,
		ACRRequired: e.ACRRequired && other.ACRRequired,
		Scopes:      unite(e.Scopes, other.Scopes, func(a, b ScopeRule) bool { return a.Name == b.Name && a.Parameter == b.Parameter }),
		Claims:      unite(e.Claims, other.Claims, func(a, b ClaimRule) bool { return a.Name == b.Name }),
		VerifiedClaims: VerifiedClaimsRule{
			TrustFrameworks: set.Union(e.VerifiedClaims.TrustFrameworks, other.VerifiedClaims.TrustFrameworks),
			Claims:          set.Union(e.VerifiedClaims.Claims, other.VerifiedClaims.Claims),
		},
		RefusedParameters:       set.Intersect(e.RefusedParameters, other.RefusedParameters),
		RequiredParameters:      set.Intersect(e.RequiredParameters, other.RequiredParameters),
		RefusedMetadata:         set.Intersect(e.RefusedMetadata, other.RefusedMetadata),
		RequiredMetadata:        set.Intersect(e.RequiredMetadata, other.RequiredMetadata),
		IDTokenAlgorithms:       uniteRestrictions(e.IDTokenAlgorithms, other.IDTokenAlgorithms),
		RequestObjectAlgorithms: uniteRestrictions(e.RequestObjectAlgorithms, other.RequestObjectAlgorithms),
		KeyEncryption:           uniteRestrictions(e.KeyEncryption, other.KeyEncryption),
		ContentEncryption:       uniteRestrictions(e.ContentEncryption, other.ContentEncryption),
		RequireInteractionID:    e.RequireInteractionID && other.RequireInteractionID,
		MTLSEverywhere:          e.MTLSEverywhere && other.MTLSEverywhere,
		Pairwise:                e.Pairwise && other.Pairwise,
		Registration: RegistrationRule{
			MTLS: e.Registration.MTLS && other.Registration.MTLS,
		},
	}
}

func (b BackchannelRules) union(other BackchannelRules) BackchannelRules {
	b.DeliveryModes = set.Union(b.DeliveryModes, other.DeliveryModes)
	if b.Signed != other.Signed {
		b.Signed = RequestObjectsAllowed
	}
	b.ClaimsParameter = b.ClaimsParameter || other.ClaimsParameter
	return b
}

// uniteRestrictions unites lists of which an empty one allows all.
func uniteRestrictions(a, b []string) []string {
	if len(a) == 0 || len(b) == 0 {
		return nil
	}
	return set.Union(a, b)
}

func unite[T any](a, b []T, same func(a, b T) bool) []T {
	all := slices.Clone(a)
	for _, each := range b {
		if !slices.ContainsFunc(all, func(have T) bool { return same(have, each) }) {
			all = append(all, each)
		}
	}
	return all
}

// CheckOffered returns what is wrong with the names of the profiles that a server offers. withMTLS reports whether there is a listener that
// asks for client certificates.
func CheckOffered(names []string, withMTLS bool) []error {
	var problems []error
	for _, name := range names {
		known, ok := Lookup(name)
		switch {
		case ok && !withMTLS && !slices.Contains(known.SenderConstraints, ByDPoP):
			problems = append(problems,
				fmt.Errorf("fapi: the profile %s binds access tokens to certificates only: it needs MTLSIssuer", name))
		case ok && !withMTLS && known.MTLSEverywhere:
			problems = append(problems,
				fmt.Errorf("fapi: the profile %s wants client certificates in all of the back channel: it needs MTLSIssuer", name))
		case !ok:
			problems = append(problems, fmt.Errorf("fapi: Profiles: %w", Unknown(name)))
		}
	}
	return problems
}
