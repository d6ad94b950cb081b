package relyingparty

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// plan is one test plan of the suite for relying parties, in one variant.
type plan struct {
	// name is how users select it.
	name string
	// suitePlan is the suite's own name of the plan.
	suitePlan string
	variant   map[string]string
}

// The suite's names of the plans.
const (
	fapi2Security       = "fapi2-security-profile-final-client-test-plan"
	fapi2MessageSigning = "fapi2-message-signing-final-client-test-plan"
	fapi1Advanced       = "fapi1-advanced-final-client-test-plan"
	fapiCIBA            = "fapi-ciba-id1-client-test-plan"
	oidcBasic           = "oidcc-client-basic-certification-test-plan"
	oidcFormPost        = "oidcc-client-formpost-basic-certification-test-plan"
	oidcConfig          = "oidcc-client-config-certification-test-plan"
	oidcRPLogout        = "oidcc-client-rp-initiated-logout-rp-basic"
	oidcBackLogout      = "oidcc-client-back-channel-logout-rp-basic"
)

// The suite's names of the profiles that are run beside plain_fapi.
const (
	clientCredentials = "fapi_client_credentials_grant"
	ukOpenBanking     = "openbanking_uk"
	auCDR             = "consumerdataright_au"
	uae               = "cbuae"
	auConnectID       = "connectid_au"
)

func (p plan) is(parameter, value string) bool { return p.variant[parameter] == value }

// profile is the ecosystem's, or plain_fapi.
func (p plan) profile() string {
	if p.suitePlan == fapiCIBA {
		return p.variant["fapi_ciba_profile"]
	}
	return p.variant["fapi_profile"]
}

// plainOIDC reports whether the plan is of OpenID Connect without FAPI.
func (p plan) plainOIDC() bool {
	switch p.suitePlan {
	case oidcBasic, oidcFormPost, oidcConfig, oidcRPLogout, oidcBackLogout:
		return true
	}
	return false
}

// fapi2 reports whether the plan is of FAPI 2.0.
func (p plan) fapi2() bool {
	return p.suitePlan == fapi2Security || p.suitePlan == fapi2MessageSigning
}

// logout reports whether the plan is about the end of a session, for which the client is a web application.
func (p plan) logout() bool { return p.suitePlan == oidcRPLogout || p.suitePlan == oidcBackLogout }

// openID reports whether the client gets ID tokens.
func (p plan) openID() bool {
	return !p.is("fapi_client_type", "plain_oauth") && p.profile() != clientCredentials
}

// signed reports whether the client signs its requests.
func (p plan) signed() bool {
	return p.is("fapi_request_method", "signed_non_repudiation") || p.is("request_type", "request_object") || p.suitePlan == fapi1Advanced || p.suitePlan == fapiCIBA
}

// jarm reports whether the suite signs its authorization responses.
func (p plan) jarm() bool { return p.is("fapi_response_mode", "jarm") }

// usesCertificate reports whether the client has a certificate.
func (p plan) usesCertificate() bool {
	return p.is("client_auth_type", "mtls") || p.bindsToCertificate()
}

// bindsToCertificate reports whether access tokens are bound to it.
func (p plan) bindsToCertificate() bool {
	return p.is("sender_constrain", "mtls") || p.suitePlan == fapi1Advanced || p.suitePlan == fapiCIBA
}

// short are the names that the suite's values have in the names of plans; others are as they are.
func short() map[string]string {
	return map[string]string{
		"plain_fapi": "", clientCredentials: "client_credentials", "simple": "", "signed_non_repudiation": "signed", "plain_response": "plain",
		"static_client": "static", "plain_http_request": "plain", "oidc": "openid_connect",
	}
}

func axis(parameter string, values ...string) suite.Axis {
	return suite.Axis{Parameter: parameter, Values: values, Names: short()}
}

// families lists the plans and the values of their parameters, of which every combination is tried that the suite accepts.
func families() []family {
	security := []suite.Axis{
		axis("fapi_profile", "plain_fapi", clientCredentials, ukOpenBanking, auCDR),
		axis("client_auth_type", "private_key_jwt", "mtls"),
		axis("sender_constrain", "dpop", "mtls"),
		axis("fapi_client_type", "oidc", "plain_oauth"),
		axis("authorization_request_type", "simple", "rar"),
	}
	signing := append([]suite.Axis{axis("fapi_profile", "plain_fapi", ukOpenBanking, auCDR, uae, auConnectID)}, security[1:]...)
	signing = append(signing, axis("fapi_request_method", "signed_non_repudiation", "unsigned"), axis("fapi_response_mode", "jarm", "plain_response"))
	basic := []suite.Axis{axis("client_registration", "static_client"), axis("request_type", "plain_http_request", "request_object")}
	further := []suite.Axis{
		axis("client_auth_type", "private_key_jwt", "client_secret_basic"), axis("response_mode", "default"),
		axis("client_registration", "static_client"), axis("request_type", "plain_http_request"),
	}
	return []family{
		{"fapi2-sp", fapi2Security, security},
		{"fapi2-ms", fapi2MessageSigning, signing},
		{"fapi1-adv", fapi1Advanced, []suite.Axis{
			axis("fapi_profile", "plain_fapi", ukOpenBanking, auCDR),
			axis("client_auth_type", "private_key_jwt", "mtls"),
			axis("fapi_auth_request_method", "by_value", "pushed"),
			axis("fapi_response_mode", "plain_response", "jarm"),
			axis("fapi_client_type", "oidc", "plain_oauth"),
		}},
		{"fapi-ciba", fapiCIBA, []suite.Axis{
			axis("fapi_ciba_profile", "plain_fapi", ukOpenBanking),
			axis("client_auth_type", "private_key_jwt", "mtls"),
			axis("ciba_mode", "poll", "ping"),
		}},
		{"oidc-basic", oidcBasic, basic},
		{"oidc-formpost", oidcFormPost, basic},
		{"oidc-config", oidcConfig, further},
		{"oidc-rp-logout", oidcRPLogout, further},
		{"oidc-backchannel-logout", oidcBackLogout, further},
	}
}

// family is a plan of the suite with the parameters of its variants.
type family struct {
	name, suitePlan string
	axes            []suite.Axis
}

// allPlans lists what can be selected.
func allPlans() []plan {
	var plans []plan
	for _, f := range families() {
		for _, c := range suite.Combine(f.axes) {
			p := plan{name: f.name + "/" + c.Name, suitePlan: f.suitePlan, variant: c.Variant}
			if p.accepted() && p.passable() {
				plans = append(plans, p)
			}
		}
	}
	return plans
}

// accepted reports whether the suite makes the plan: it refuses combinations that its ecosystem does not know, and in FAPI 1.0 OAuth
// without ID tokens where only an ID token signs the response.
func (p plan) accepted() bool {
	keyed, bound, signed, plain := p.is("client_auth_type", "private_key_jwt"), p.is("sender_constrain", "mtls"), p.signed(), !p.jarm()
	if p.suitePlan == fapi1Advanced && plain && !p.openID() {
		return false
	}
	switch p.profile() {
	case ukOpenBanking:
		return plain && (p.suitePlan != fapi1Advanced || p.is("fapi_auth_request_method", "by_value"))
	case auCDR:
		return keyed && plain
	case uae:
		return keyed && bound && signed && plain && p.is("authorization_request_type", "rar")
	case auConnectID:
		return keyed && bound && signed && plain
	}
	return true
}

// passable is whether a client can pass at all. Ecosystems want a certificate at every endpoint: with DPoP the suite looks for it at
// an endpoint whose connections ask for none, and refuses the one whose connections do. In those of the United Kingdom in FAPI 2.0 it breaks at its own
// consents, which its ID tokens need. ConnectID is about ID tokens. Those plans are in notRun.
func (p plan) passable() bool {
	if !p.fapi2() {
		return true
	}
	bound := p.is("sender_constrain", "mtls")
	switch p.profile() {
	case ukOpenBanking:
		return bound && !p.openID()
	case auCDR, uae:
		return bound
	case auConnectID:
		return bound && p.openID()
	}
	return true
}

// reason says why plans of the suite are not run.
type reason struct{ plans, why string }

// notRun lists the suite's plans for relying parties that are not run.
func notRun() []reason {
	return []reason{
		{"fapi2-*-final-client, openbanking_uk with openid_connect", "no client can pass them: the suite (5.2.4) breaks at its own endpoint for consents, which its ID tokens name"},
		{"fapi2-*-final-client, openbanking_uk and consumerdataright_au with dpop", "no client can pass them: the suite wants the client's certificate at the resource, and refuses the address at which connections ask for one"},
		{"fapi2-*-final-client, fapi1-advanced-final-client, fapi-ciba-id1-client: openbanking_brazil, openinsurance_brazil", "the flow begins at the ecosystem's consents and payments API and at its directory, which package rp does not speak"},
		{"fapi2-message-signing-final-client, fapi1-advanced-final-client: ksa, openbanking_ksa", "the flow begins at the ecosystem's consents API, with requests signed as its own JWT"},
		{"fapi-ciba-id1-client: connectid_au", "verified_claims of OpenID Identity Assurance are judged, which package rp hands on unread"},
		{"oidcc-client-*: front-channel logout, session management", "they need third-party cookies in iframes, which browsers no longer send; back-channel logout takes their place"},
		{"oidcc-client-*: implicit, hybrid", "tokens in the browser's address (RFC 9700 §2.1.2); code id_token is there for FAPI 1.0 only"},
		{"oidcc-client-*: dynamic registration, request_uri, 3rd-party-init-login", "package rp registers no clients and serves no request objects; logins that others begin are its own tests'"},
	}
}

// defaultPlans are run when none are selected.
const defaultPlans = "*"

// selectPlans finds the plans that match a comma-separated list of names with * and ?.
func selectPlans(selectors string) ([]plan, error) {
	var selected []plan
	for selector := range strings.SplitSeq(selectors, ",") {
		pattern, matched := results.Flat(selector), false
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("-plans: %q is not a pattern: %w", selector, err)
		}
		for _, p := range allPlans() {
			fits, _ := path.Match(pattern, results.Flat(p.name)) // it was tried
			if !fits {
				continue
			}
			matched = true
			if !slices.ContainsFunc(selected, func(other plan) bool { return other.name == p.name }) {
				selected = append(selected, p)
			}
		}
		if !matched {
			return nil, fmt.Errorf("-plans: nothing matches %q; -list shows the names", selector)
		}
	}
	return selected, nil
}
