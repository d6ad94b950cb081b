package main

import (
	"io"
	"net/url"
	"strings"
	"time"
)

// server is the authorization server under test, as its discovery document shows it.
type server struct {
	issuer string
	// resource is a protected resource, and mtlsResource the same on the listener that asks for certificates.
	resource, mtlsResource string
	username, password     string
}

// party is one of the two clients of a plan.
type party struct {
	id          string
	key         jwk
	certificate *certificate
}

// clientConfiguration is a client as the suite wants it.
type clientConfiguration struct {
	ClientID string           `json:"client_id"`
	Scope    string           `json:"scope"`
	JWKS     map[string][]jwk `json:"jwks"`
	// DPoPSigningAlg is the algorithm of the proofs that the suite makes.
	DPoPSigningAlg string `json:"dpop_signing_alg,omitempty"`
}

// configuration is what the suite is told about a plan.
type configuration struct {
	Alias       string              `json:"alias"`
	Description string              `json:"description"`
	Server      map[string]string   `json:"server"`
	Client      clientConfiguration `json:"client"`
	Client2     clientConfiguration `json:"client2"`
	MTLS        *certificate        `json:"mtls,omitempty"`
	MTLS2       *certificate        `json:"mtls2,omitempty"`
	Resource    map[string]string   `json:"resource"`
	Options     map[string]bool     `json:"options"`
	Browser     []script            `json:"browser"`
	Override    map[string]any      `json:"override"`
}

// script plays the person for the addresses that it matches.
type script struct {
	Match string `json:"match"`
	// Limit is how often the script is used before the next one is; 0 is without limit.
	Limit int    `json:"match-limit,omitempty"`
	Tasks []task `json:"tasks"`
}

type task struct {
	Task     string  `json:"task"`
	Match    string  `json:"match"`
	Optional bool    `json:"optional,omitempty"`
	Commands [][]any `json:"commands"`
}

// scope is what a plan's clients ask for.
func (p plan) scope() string {
	if p.openID() {
		return "openid accounts offline_access"
	}
	return "accounts offline_access" // plain OAuth must not ask for openid
}

// newParty makes a client: the first signs with PS256 (the suite's RS256 tests need an RSA key), the second with
// ES256, so that both are tried.
func newParty(random io.Reader, p plan, alias, suffix string, ca *authority, now time.Time) (party, error) {
	made := party{id: alias + suffix}
	newKey := newPS256
	if suffix == "-2" {
		newKey = newES256
	}
	var err error
	if made.key, err = newKey(random, made.id+"-key"); err != nil {
		return party{}, err
	}
	if p.usesCertificate() {
		issued, err := ca.issue(random, made.id, now)
		if err != nil {
			return party{}, err
		}
		made.certificate = &issued
	}
	return made, nil
}

// registration is a client's metadata (RFC 7591 §2) with its identifier and profile.
func (p plan) registration(c party, redirectURIs []string) map[string]any {
	m := map[string]any{
		"client_id": c.id, "client_name": "Conformance suite " + c.id, "profile": "fapi2-security",
		"redirect_uris": redirectURIs, "scope": p.scope(),
		"grant_types": []string{"authorization_code", "refresh_token"}, "response_types": []string{"code"},
	}
	if p.variant["client_auth_type"] == "mtls" {
		m["token_endpoint_auth_method"] = "tls_client_auth"
		m["tls_client_auth_subject_dn"] = "CN=" + c.id
	} else {
		m["token_endpoint_auth_method"] = "private_key_jwt"
		m["jwks"] = map[string][]jwk{"keys": {c.key.public()}}
	}
	if p.variant["sender_constrain"] == "mtls" {
		m["tls_client_certificate_bound_access_tokens"] = true
	} else {
		m["dpop_bound_access_tokens"] = true
	}
	return m
}

// redirectURIs are the two that the suite uses for an alias.
func redirectURIs(suiteURL, alias string) []string {
	callback := suiteURL + "/test/a/" + url.PathEscape(alias) + "/callback"
	return []string{callback, callback + "?dummy1=lorem&dummy2=ipsum"}
}

// configure writes a plan's configuration.
func (p plan) configure(s server, alias string, first, second party) configuration {
	side := func(c party) clientConfiguration {
		made := clientConfiguration{ClientID: c.id, Scope: p.scope(), JWKS: map[string][]jwk{"keys": {c.key}}}
		if p.variant["sender_constrain"] == "dpop" {
			made.DPoPSigningAlg = c.key["alg"]
		}
		return made
	}
	resource := s.resource
	if p.usesCertificate() {
		resource = s.mtlsResource
	}
	return configuration{
		Alias: alias, Description: "Countersign " + p.name,
		Server: map[string]string{"discoveryUrl": s.issuer + "/.well-known/openid-configuration"},
		Client: side(first), Client2: side(second), MTLS: first.certificate, MTLS2: second.certificate,
		Resource: map[string]string{"resourceUrl": resource},
		Options:  map[string]bool{"browsercontrol_css_enable": false},
		Browser:  []script{s.script("allow", 0)},
		Override: map[string]any{
			prefix(p) + "user-rejects-authentication": map[string]any{"browser": []script{s.script("deny", 0)}},
			prefix(p) + "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": map[string]any{
				"browser": []script{s.look(1), s.script("allow", 0)},
			},
		},
	}
}

// prefix begins the names of a plan's modules.
func prefix(p plan) string { return strings.TrimSuffix(p.suitePlan, "test-plan") }

// script signs in, decides, and waits for the suite's own page. Sign-in and decision have the same address; a person
// who is signed in already sees only the second. An error that the server shows itself is photographed.
func (s server) script(decision string, limit int) script {
	return script{Match: s.issuer + "/authorize*", Limit: limit, Tasks: []task{
		{Task: "Sign in", Match: s.issuer + "/interaction/*", Optional: true, Commands: [][]any{
			{"text", "id", "username", s.username, "optional"},
			{"text", "id", "password", s.password, "optional"},
			{"click", "id", "sign-in", "optional"},
		}},
		{Task: "Decide", Match: s.issuer + "/interaction/*", Optional: true, Commands: [][]any{{"click", "id", decision, "optional"}}},
		{Task: "Error page", Match: s.issuer + "/authorize*", Optional: true, Commands: [][]any{
			{"wait", "xpath", "//*", 10, "(?i)correlation id", "update-image-placeholder-optional"},
		}},
		{Task: "Back at the suite", Match: "https://*/test/a/*/callback*", Optional: true, Commands: [][]any{
			{"wait", "id", "submission_complete", 10},
		}},
	}}
}

// look opens the sign-in page and leaves it.
func (s server) look(limit int) script {
	return script{Match: s.issuer + "/authorize*", Limit: limit, Tasks: []task{
		{Task: "Only look", Match: s.issuer + "/interaction/*", Commands: [][]any{}},
	}}
}
