package main

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"countersign/conformance/results"
	"countersign/conformance/suite"
)

// plan is one test plan of the suite in one variant.
type plan struct {
	// name is how users select it.
	name string
	// suitePlan is the suite's own name of the plan.
	suitePlan string
	variant   map[string]string
	// scopes are what the plan's clients ask for, if not the scopes of its profile.
	scopes string
}

// fapi1 reports whether the plan is of the first generation of FAPI, which knows no other bound than certificates.
func (p plan) fapi1() bool {
	return p.suitePlan == fapi1Advanced || p.suitePlan == fapi1BrazilDCR || p.backchannel()
}

// usesCertificate reports whether the plan's clients call through the mTLS listener.
func (p plan) usesCertificate() bool {
	return p.variant["client_auth_type"] == "mtls" || p.bindsToCertificate() || p.national()
}

// bindsToCertificate reports whether access tokens are bound to certificates; otherwise they are bound by DPoP.
func (p plan) bindsToCertificate() bool { return p.fapi1() || p.variant["sender_constrain"] == "mtls" }

// signedResponses reports whether answers come back signed (JARM).
func (p plan) signedResponses() bool { return p.variant["fapi_response_mode"] == "jarm" }

// clientCredentials reports whether the plan's clients act for themselves, without a user.
func (p plan) clientCredentials() bool {
	return p.variant["fapi_profile"] == "fapi_client_credentials_grant"
}

// openID reports whether the plan asks for ID tokens.
func (p plan) openID() bool { return p.variant["openid"] == "openid_connect" || p.fapi1() }

// rich reports whether the plan uses authorization_details (RFC 9396).
func (p plan) rich() bool { return p.variant["authorization_request_type"] == "rar" }

// profileAxis is the axis of the profiles, those of countries by the suite's names of them.
func profileAxis(parameter string, national ...string) suite.Axis {
	return suite.Axis{
		Parameter: parameter, Values: append([]string{"plain_fapi"}, national...),
		Names: map[string]string{"plain_fapi": "", "fapi_client_credentials_grant": "client_credentials"},
	}
}

// securityProfile lists the parameters of the Security Profile's plan.
func securityProfile() []suite.Axis {
	return []suite.Axis{
		profileAxis("fapi_profile", "fapi_client_credentials_grant", ukOpenBanking, auCDR, brazil),
		{Parameter: "client_auth_type", Values: []string{"private_key_jwt", "mtls"}},
		{Parameter: "sender_constrain", Values: []string{"dpop", "mtls"}},
		{Parameter: "openid", Values: []string{"openid_connect", "plain_oauth"}},
		{Parameter: "authorization_request_type", Values: []string{"simple", "rar"}, Names: map[string]string{"simple": ""}},
	}
}

// The suite's names of the plans.
const (
	fapi2Security       = "fapi2-security-profile-final-test-plan"
	fapi2MessageSigning = "fapi2-message-signing-final-test-plan"
	fapi1Advanced       = "fapi1-advanced-final-test-plan"
	fapiCIBA            = "fapi-ciba-id1-test-plan"
	fapi1BrazilDCR      = "fapi1-advanced-final-brazil-dcr-test-plan"
	fapi2BrazilDCR      = "fapi2-security-profile-final-brazil-dcr-test-plan"
)

// messageSigning lists the parameters of Message Signing.
func messageSigning() []suite.Axis {
	axes := slices.DeleteFunc(securityProfile(), func(a suite.Axis) bool { return a.Parameter == "fapi_profile" })
	return append([]suite.Axis{profileAxis("fapi_profile", ukOpenBanking, auCDR, brazil, auConnectID, uae, ksaFAPI2)}, append(axes,
		suite.Axis{Parameter: "fapi_request_method", Values: []string{"signed_non_repudiation", "unsigned"}, Names: map[string]string{"signed_non_repudiation": "signed"}},
		suite.Axis{Parameter: "fapi_response_mode", Values: []string{"jarm", "plain_response"}, Names: map[string]string{"plain_response": "plain"}})...)
}

// advanced lists the parameters of FAPI 1.0 Advanced.
func advanced() []suite.Axis {
	return []suite.Axis{
		profileAxis("fapi_profile", ukOpenBanking, auCDR, brazil, brazilInsurance, ksaFAPI1),
		{Parameter: "client_auth_type", Values: []string{"private_key_jwt", "mtls"}},
		{Parameter: "fapi_auth_request_method", Values: []string{"by_value", "pushed"}},
		{Parameter: "fapi_response_mode", Values: []string{"plain_response", "jarm"}, Names: map[string]string{"plain_response": "plain"}},
	}
}

// allPlans lists what can be selected: what the suite makes and the server's preset takes.
func allPlans() []plan {
	plans := slices.DeleteFunc(possiblePlans(), func(p plan) bool { return !p.accepted() || p.refusal() != "" })
	return append(plans, paymentPlans(plans)...)
}

// possiblePlans are all combinations of values. The rows are data; everything else follows from the variant.
func possiblePlans() []plan {
	plans := combine("fapi2-sp", fapi2Security, securityProfile())
	plans = append(plans, combine("fapi2-ms", fapi2MessageSigning, messageSigning())...)
	plans = append(plans, combine("fapi1-adv", fapi1Advanced, advanced())...)
	plans = append(plans, combine("fapi-ciba", fapiCIBA, decoupled())...)
	return append(plans, registrationPlans()...)
}

// combine makes a plan of every combination of the axes' values.
func combine(family, suitePlan string, axes []suite.Axis) []plan {
	var plans []plan
	for _, c := range suite.Combine(axes) {
		plans = append(plans, plan{name: family + "/" + c.Name, suitePlan: suitePlan, variant: c.Variant})
	}
	return plans
}

// defaultPlans are run when none are selected.
const defaultPlans = "fapi2-sp/private_key_jwt+dpop+openid_connect,fapi2-sp/mtls+mtls+plain_oauth"

// eachEcosystem selects one plan of each family and national profile, but none that needs a directory.
const eachEcosystem = "ecosystems"

// selectPlans finds the plans that match a comma-separated list of names with * and ?.
func selectPlans(selectors string) ([]plan, error) {
	if selectors == "" {
		selectors = defaultPlans
	}
	var selected []plan
	for selector := range strings.SplitSeq(selectors, ",") {
		// A star also matches what follows a slash: fapi2-sp* is all of them.
		pattern, matched, seen := results.Flat(selector), false, map[string]bool{}
		if _, err := path.Match(pattern, ""); err != nil {
			return nil, fmt.Errorf("-plans: %q is not a pattern: %w", selector, err)
		}
		for _, p := range allPlans() {
			if !p.selected(pattern, seen) {
				continue
			}
			matched = true
			if !slices.ContainsFunc(selected, func(other plan) bool { return other.name == p.name }) {
				selected = append(selected, p)
			}
		}
		if !matched {
			return nil, notOffered(selector, pattern)
		}
	}
	return selected, nil
}

// notOffered says why a selector matches nothing.
func notOffered(selector, pattern string) error {
	err := fmt.Errorf("-plans: nothing matches %q; -list shows the names", selector)
	for _, p := range possiblePlans() {
		if fits, _ := path.Match(pattern, results.Flat(p.name)); !fits { // it was tried
			continue
		}
		switch why := p.refusal(); {
		case !p.accepted():
			err = fmt.Errorf("-plans: the suite does not make %s; -list shows the names", p.name)
		case why != "":
			return fmt.Errorf("-plans: the server does not register the clients of %s: %s", p.name, why)
		}
	}
	return err
}

// selected reports whether a pattern means the plan. A star alone does not mean the plans of ecosystems, which are judged
// against servers of their own: their profile is named, as in fapi2-ms/ksa*, and so are payments.
func (p plan) selected(pattern string, seen map[string]bool) bool {
	if pattern == eachEcosystem {
		each := p.suitePlan + p.profileOf()
		first := p.national() && !p.needsDirectory() && p.usual() && !seen[each]
		seen[each] = seen[each] || first
		return first
	}
	if fits, _ := path.Match(pattern, results.Flat(p.name)); !fits { // it was tried
		return false
	}
	family, variant, _ := strings.Cut(pattern, ":")
	named := variant != "" && !strings.HasPrefix(variant, "*") || p.statements() && strings.Contains(family, "dcr")
	return !p.national() || named && (!p.paying() || strings.Contains(variant, "payments"))
}
