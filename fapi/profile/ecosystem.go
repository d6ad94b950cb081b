package profile

import (
	"slices"
	"strings"
	"time"
)

// Ecosystem has the rules that ecosystems add to a base profile. Each zero field asks nothing. A preset
// (presets/NAME.toml) sets them; endpoints read them as they read the others.
type Ecosystem struct {
	// ACRNames are the names that clients ask authentication context classes by, by class ("urn:countersign:acr:passkey").
	// A name that several classes have is satisfied by each of them.
	ACRNames map[string][]string `rule:"acr_names,names"`
	// ACRRequired refuses authorization requests that ask for no acr, by acr_values or claims.
	ACRRequired bool `rule:"acr_required,demand"`
	// Scopes are scope values that the ecosystem names.
	Scopes []ScopeRule `rule:"scopes,names"`
	// Claims are claims that the ecosystem names, with where they come from and where they are put.
	Claims []ClaimRule `rule:"claims,names"`
	// Purpose is the rule for the request parameter purpose (ConnectID).
	Purpose TextRule `rule:"purpose"`
	// VerifiedClaims is the rule for verified_claims (OpenID Connect for Identity Assurance).
	VerifiedClaims VerifiedClaimsRule `rule:"verified_claims"`
	// Consent is how requests name the consent that they are for.
	Consent ConsentRule `rule:"consent"`

	// RefusedParameters are parameters of authorization requests that are refused (invalid_request), such as
	// id_token_hint; RequiredParameters are those without which a request is refused.
	RefusedParameters  []string `rule:"refused_parameters,names"`
	RequiredParameters []string `rule:"required_parameters,names"`
	// RefusedMetadata are members of client metadata (RFC 7591 §2) that are refused in a registration, such as jwks;
	// RequiredMetadata are those without which one is refused. A client without grant types (a resource server) and those
	// that the operator adds are not asked.
	RefusedMetadata  []string `rule:"refused_metadata,names"`
	RequiredMetadata []string `rule:"required_metadata,names"`

	// MinIDTokenLifetime and MaxIDTokenLifetime bound the lifetime of ID tokens.
	MinIDTokenLifetime time.Duration `rule:"min_id_token_lifetime,min"`
	MaxIDTokenLifetime time.Duration `rule:"max_id_token_lifetime,max"`
	// MaxRefreshLifetime bounds the lifetime of refresh tokens, counted from the user's decision.
	MaxRefreshLifetime time.Duration `rule:"max_refresh_lifetime,max"`
	// RefreshUntilConsentEnds makes refresh tokens end with the consent and not before.
	RefreshUntilConsentEnds bool `rule:"refresh_until_consent_ends,demand"`
	// DurationClaim is the claim of requests that says for how many seconds the user shares, such as sharing_duration; without
	// it, or with 0, there is no refresh token. Empty: none does.
	DurationClaim string `rule:"duration_claim,name"`
	// MaxAuthenticationAge bounds max_age: how long ago the user may have authenticated.
	MaxAuthenticationAge time.Duration `rule:"max_authentication_age,max"`

	// IDTokenAlgorithms and RequestObjectAlgorithms are the JWS algorithms of ID tokens and of request objects; empty
	// allows all of Algorithms.
	IDTokenAlgorithms       []string `rule:"id_token_algorithms,restrict"`
	RequestObjectAlgorithms []string `rule:"request_object_algorithms,restrict"`
	// KeyEncryption and ContentEncryption are the JWE algorithms (alg, enc); empty allows all that the server has.
	KeyEncryption     []string `rule:"key_encryption,restrict"`
	ContentEncryption []string `rule:"content_encryption,restrict"`
	// EncryptIDToken says which ID tokens have to be encrypted.
	EncryptIDToken EncryptIDToken `rule:"encrypt_id_token,stricter"`

	// RequireInteractionID refuses calls of resources and consent APIs without x-fapi-interaction-id.
	RequireInteractionID bool `rule:"require_interaction_id,demand"`
	// MTLSEverywhere refuses back-channel requests outside the mTLS listener, and such without a certificate; not at the
	// backchannel authentication endpoint, whose alias no ecosystem's clients have to use.
	MTLSEverywhere bool `rule:"mtls_everywhere,demand"`
	// Pairwise refuses registrations with subject_type public.
	Pairwise bool `rule:"pairwise,demand"`
	// Registration is the rule for dynamic registration.
	Registration RegistrationRule `rule:"registration"`
}

// ScopeRule is a scope value that an ecosystem names: a plain one, or one with a parameter, such as consent:{id}.
type ScopeRule struct {
	// Name is the value, or what is before the colon of one with a parameter.
	Name string `rule:"name"`
	// Descriptions are what consent pages say of it, by language (BCP 47).
	Descriptions map[string]string `rule:"descriptions"`
	// Parameter is a regular expression (RE2, for the whole parameter) for what follows "NAME:"; empty for a plain value.
	Parameter string `rule:"parameter"`
	// Registered are the plain scope values of which a client has to have registered one to ask for this one with a
	// parameter; empty means Name.
	Registered []string `rule:"registered"`
	// Consent says that the parameter is the id of a consent.
	Consent bool `rule:"consent"`
}

// RegisteredBy returns the plain scope values of which one has to be registered.
func (s ScopeRule) RegisteredBy() []string {
	if len(s.Registered) == 0 {
		return []string{s.Name}
	}
	return s.Registered
}

// Matches reports whether a scope value is this one with a parameter.
func (s ScopeRule) Matches(value string) bool {
	name, parameter, ok := strings.Cut(value, ":")
	return ok && s.Parameter != "" && name == s.Name && MatchesWhole(s.Parameter, parameter)
}

// MarksParameter reports whether the colon of a scope value is that of one with a parameter, known or not. Where the ecosystem
// has plain values with colons (bank:accounts:read), it is only after a name that has parameters.
func (e Ecosystem) MarksParameter(value string) bool {
	name, _, colon := strings.Cut(value, ":")
	if !colon {
		return false
	}
	plain := slices.ContainsFunc(e.Scopes, func(s ScopeRule) bool { return s.Parameter == "" && strings.Contains(s.Name, ":") })
	family := slices.ContainsFunc(e.Scopes, func(s ScopeRule) bool { return s.Parameter != "" && s.Name == name })
	return family || !plain
}

// ScopeWithParameter returns the rule of a scope value with a parameter, if there is one.
func (e Ecosystem) ScopeWithParameter(value string) (ScopeRule, bool) {
	for _, rule := range e.Scopes {
		if rule.Matches(value) {
			return rule, true
		}
	}
	return ScopeRule{}, false
}

// ClaimSource is where the value of a claim comes from.
type ClaimSource string

// The sources.
const (
	// FromRequest repeats the value that the request's claims parameter has for it.
	FromRequest ClaimSource = "request"
	// FromConsent is the consent's id, or its member of the claim's name.
	FromConsent ClaimSource = "consent"
	// FromGrant is the grant's id, which is the same as long as the arrangement lasts.
	FromGrant ClaimSource = "grant"
	// FromUser is what the directory of users or the claims source says.
	FromUser ClaimSource = "user"
	// FromTransaction is an identifier of this one transaction.
	FromTransaction ClaimSource = "transaction"
)

// Places of a claim ([ClaimRule.In]).
const (
	InIDToken       = "id_token"
	InUserinfo      = "userinfo"
	InTokenResponse = "token_response"
	InIntrospection = "introspection"
	InAccessToken   = "access_token"
)

// ClaimRule is a claim that an ecosystem names.
type ClaimRule struct {
	Name string `rule:"name"`
	// From is where its value comes from.
	From ClaimSource `rule:"from"`
	// In are the places where it is put ([InIDToken] and the others).
	In []string `rule:"in"`
	// Essential refuses requests that do not ask for it as essential.
	Essential bool `rule:"essential"`
	// Pattern is a regular expression (RE2, for the whole value) that its value has to match; empty allows any.
	Pattern string `rule:"pattern"`
	// Always puts it there without being asked.
	Always bool `rule:"always"`
}

// ClaimNames returns the names of the ecosystem's claims, each once.
func (e Ecosystem) ClaimNames() []string {
	var names []string
	for _, rule := range e.Claims {
		if !slices.Contains(names, rule.Name) {
			names = append(names, rule.Name)
		}
	}
	return names
}

// TextRule is a rule for a parameter that is a text for people. Lengths are in characters.
type TextRule struct {
	// Required refuses requests without it.
	Required bool `rule:"required,demand"`
	// Min and Max bound its length; zero does not.
	Min int `rule:"min,min"`
	Max int `rule:"max,max"`
	// Pattern is a regular expression (RE2, for the whole text); empty allows any.
	Pattern string `rule:"pattern,name"`
}

// HintRule is a kind of hint that backchannel authentication accepts.
type HintRule struct {
	// Parameter is login_hint, login_hint_token or id_token_hint.
	Parameter string `rule:"parameter"`
	// Pattern is a regular expression (RE2, for the whole hint); empty allows any. A hint that matches none of its
	// parameter's patterns is refused with invalid_request.
	Pattern string `rule:"pattern"`
	// Kind says what the hint is: "user" (also if empty), "consent" (a consent's id) or "card" (a card number).
	Kind string `rule:"kind"`
}

// VerifiedClaimsRule is a rule for verified_claims.
type VerifiedClaimsRule struct {
	// TrustFrameworks are the values of trust_framework that are known; empty offers no verified claims.
	TrustFrameworks []string `rule:"trust_frameworks,names"`
	// Claims are the names of the claims that can be verified.
	Claims []string `rule:"claims,names"`
}

// ConsentBy is how a request names a consent.
type ConsentBy string

// The ways.
const (
	// ByClaim names it in the claims parameter, such as openbanking_intent_id.
	ByClaim ConsentBy = "claim"
	// ByScope names it as the parameter of a scope value ([ScopeRule.Consent]).
	ByScope ConsentBy = "scope"
	// ByAuthorizationDetails names it in a member of an object of authorization_details.
	ByAuthorizationDetails ConsentBy = "authorization_details"
	// ByLoginHint names it in login_hint of a backchannel authentication request.
	ByLoginHint ConsentBy = "login_hint"
)

// ConsentRule says how requests name a consent that the client created before, and what it is for. Two things are no rule, since
// they are so of every consent: its tokens end with it, and whom it names (cpf, cnpj) has to be who decides.
type ConsentRule struct {
	// By is how an authorization request names it; empty: not at all.
	By ConsentBy `rule:"by,name"`
	// Backchannel is how a backchannel authentication request names it; empty: as By says, and then none is required there.
	Backchannel ConsentBy `rule:"backchannel,name"`
	// Claim is the name of the claim ([ByClaim]) or of the member of authorization_details.
	Claim string `rule:"claim,name"`
	// API is the shape of the consent API that is served for clients of this profile: "uk", "brazil", "ksa", "cdr",
	// "openinsurance" and others; empty serves none.
	API string `rule:"api,name"`
	// Required refuses requests that name none.
	Required bool `rule:"required,demand"`
	// Scopes are the scope values for which Required holds; empty: all requests.
	Scopes []string `rule:"scopes,names"`
	// Single are the kinds of consents that one authorization consumes, such as "payment".
	Single []string `rule:"single,names"`
}

// EncryptIDToken is a rule for encrypted ID tokens.
type EncryptIDToken string

// The rules, from the loosest to the strictest.
const (
	// EncryptIDTokenAsRegistered encrypts for clients that registered it.
	EncryptIDTokenAsRegistered EncryptIDToken = ""
	// EncryptIDTokenFront demands it of clients whose ID tokens pass through the browser (response_type code id_token).
	EncryptIDTokenFront EncryptIDToken = "front-channel"
	// EncryptIDTokenAlways demands it of all.
	EncryptIDTokenAlways EncryptIDToken = "always"
)

// SoftwareStatement is a rule for software_statement (RFC 7591 §2.3).
type SoftwareStatement string

// The rules, from the loosest to the strictest.
const (
	// SoftwareStatementIgnored is the rule of profiles that say nothing of it.
	SoftwareStatementIgnored SoftwareStatement = ""
	// SoftwareStatementAllowed verifies one that is sent.
	SoftwareStatementAllowed SoftwareStatement = "allowed"
	// SoftwareStatementRequired refuses registrations without one.
	SoftwareStatementRequired SoftwareStatement = "required"
)

// RegistrationRule is a rule for dynamic registration (RFC 7591) with a directory's software statements.
type RegistrationRule struct {
	SoftwareStatement SoftwareStatement `rule:"software_statement,stricter"`
	// MaxAge bounds how long ago iat of a statement may be.
	MaxAge time.Duration `rule:"max_age,max"`
	// Algorithms are the JWS algorithms of statements; empty allows those of the profile.
	Algorithms []string `rule:"algorithms,restrict"`
	// Fields bind metadata to members of the statement.
	Fields []StatementField `rule:"fields,names"`
	// RoleScopes are the scope values that a role of the statement allows; a client gets no others.
	RoleScopes map[string][]string `rule:"role_scopes,names"`
	// RevokedKeysMember is the member of the statement with the address of the revoked keys of the software; empty is none.
	RevokedKeysMember string `rule:"revoked_keys_member,name"`
	// OrganisationKeysMember is the member of the statement with the address of the organisation's keys, with which messages may be
	// signed beside those of the software; the value of the member OrganisationKeysWithout is left out of its path. Empty is none.
	OrganisationKeysMember  string `rule:"organisation_keys_member,name"`
	OrganisationKeysWithout string `rule:"organisation_keys_without,name"`
	// RolesMember is the member of the statement that has the roles.
	RolesMember string `rule:"roles_member,name"`
	// MTLS demands a TLS client certificate for registration and management.
	MTLS bool `rule:"mtls,demand"`
	// JWTBody demands that the body of a registration is a JWT, signed by a key of the statement's software.
	JWTBody bool `rule:"jwt_body,demand"`
	// CertificateFields bind the TLS client certificate to members of the statement.
	CertificateFields []CertificateField `rule:"certificate_fields,names"`
	// OnePerSoftware refuses a second client of one software.
	OnePerSoftware bool `rule:"one_per_software,demand"`
	// ManagementScope is the scope of an access token for the client itself with which it manages its registration, in place of
	// the registration access token (RFC 7592); empty is none.
	ManagementScope string `rule:"management_scope,name"`
}

// NeedsCertificate reports whether a client needs a TLS client certificate to register with a statement: the profile demands one, or
// binds it.
func (r RegistrationRule) NeedsCertificate() bool { return r.MTLS || len(r.CertificateFields) > 0 }

// StatementField binds a member of client metadata to a member of the software statement.
type StatementField struct {
	// Statement and Metadata are the names of the members.
	Statement string `rule:"statement"`
	Metadata  string `rule:"metadata"`
	// Rule is how: [FieldEqual], [FieldWins], [FieldSubset] or [FieldSubsetOrAll].
	Rule string `rule:"rule"`
}

// How a member of client metadata is bound to one of the statement.
const (
	// FieldEqual uses the statement's value, and refuses another one.
	FieldEqual = "equal"
	// FieldWins uses the statement's value in place of any other (RFC 7591 §2.3).
	FieldWins = "wins"
	// FieldSubset demands values, each of which has to be one of the statement's.
	FieldSubset = "subset"
	// FieldSubsetOrAll is FieldSubset where no value means all of the statement's.
	FieldSubsetOrAll = "subset_or_all"
)

// CertificateField binds an attribute of the certificate's subject to a member of the software statement.
type CertificateField struct {
	// Attribute is a short name (UID, OU) or a dotted object identifier (2.5.4.97).
	Attribute string `rule:"attribute"`
	// Statement is the name of the member, Prefix what is before its value in the certificate.
	Statement string `rule:"statement"`
	Prefix    string `rule:"prefix"`
}
