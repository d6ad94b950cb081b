package main

import (
	"slices"
	"strings"

	"countersign/conformance/suite"
)

// ecosystem is what the plans of a national profile need beside those of plain FAPI.
type ecosystem struct {
	// preset is the server's name of it.
	preset string
	// scope is what clients ask for beside openid, further what they may have besides that.
	scope, further string
	// onlyPS256 makes both clients sign with PS256.
	onlyPS256 bool
	// encrypted are the families of plans in which ID tokens are encrypted to the client.
	encrypted []string
	// organisation is the prefix of organisations in the certificates of their software, where those name them.
	organisation string
	// metadata are members of the server's metadata that the ecosystem names, and the suite does not know.
	metadata []string
	// bound is set where the preset binds access tokens to certificates only, pushed where it wants requests pushed.
	bound, pushed bool
	// acr is a name of an authentication context class that plans of CIBA ask for.
	acr string
	// user signs in, if not the one of the options; {cpf} is the number of the options.
	user string
}

// The suite's names of the national profiles that differ in more than data.
const (
	ukOpenBanking   = "openbanking_uk"
	auCDR           = "consumerdataright_au"
	auConnectID     = "connectid_au"
	brazil          = "openbanking_brazil"
	brazilInsurance = "openinsurance_brazil"
	ksaFAPI1        = "openbanking_ksa"
	ksaFAPI2        = "ksa"
	uae             = "cbuae"
)

// ecosystems are the national profiles, by the suite's names of them.
func ecosystems() map[string]ecosystem {
	return map[string]ecosystem{
		ukOpenBanking: {preset: "uk-openbanking", scope: "accounts", acr: "urn:openbanking:psd2:sca"},
		auCDR: {preset: "au-cdr", bound: true, pushed: true, scope: "bank:accounts.basic:read", further: "common:customer.basic:read",
			encrypted: []string{fapi2Security, fapi2MessageSigning, fapi1Advanced}, metadata: []string{"cdr_arrangement_revocation_endpoint"}},
		auConnectID: {preset: "au-connectid", user: cardNumber, onlyPS256: true, metadata: []string{"trust_frameworks_supported", "documents_supported", "evidence_supported", "claims_in_verified_claims_supported", "verified_claims_supported"}},
		brazil: {preset: "brazil-openfinance", scope: "accounts", further: "consents resources payments", onlyPS256: true,
			encrypted: []string{fapi1Advanced, fapi1BrazilDCR, fapiCIBA}, organisation: "OFBBR", user: "{cpf}", acr: "urn:brasil:openbanking:loa2"},
		brazilInsurance: {preset: "brazil-openinsurance", scope: "resources", further: "consents", onlyPS256: true,
			encrypted: []string{fapi1Advanced, fapi1BrazilDCR}, organisation: "OPIBR", user: "{cpf}"},
		ksaFAPI1: {preset: "ksa-sama", scope: "accounts", onlyPS256: true, user: nationalID},
		ksaFAPI2: {preset: "ksa-sama", scope: "accounts", onlyPS256: true, user: nationalID},
		uae:      {preset: "uae-cbuae", scope: "accounts", onlyPS256: true},
	}
}

// profileOf is the suite's name of the plan's profile.
func (p plan) profileOf() string {
	switch p.suitePlan {
	case fapiCIBA:
		return p.variant["fapi_ciba_profile"]
	case fapi2BrazilDCR:
		return brazil
	}
	return p.variant["fapi_profile"]
}

// ecosystem returns what the plan's national profile needs; the zero value for plain FAPI.
func (p plan) ecosystem() ecosystem { return ecosystems()[p.profileOf()] }

// national reports whether the plan has the profile of a country.
func (p plan) national() bool { return p.ecosystem().preset != "" }

// consents reports whether the plan's clients ask for a consent before they send a user.
func (p plan) consents() bool {
	return slices.Contains([]string{ukOpenBanking, brazil, brazilInsurance, ksaFAPI1, ksaFAPI2}, p.profileOf())
}

// usual reports whether the plan is one that participants of its ecosystem could run: access tokens are bound to certificates
// everywhere. In the UK's plans with DPoP the suite gets the token for a consent without a proof, which no server can let pass.
func (p plan) usual() bool { return p.variant["sender_constrain"] != "dpop" }

// paying reports whether the plan is about payments.
func (p plan) paying() bool { return p.scopes == "payments" }

// encryptsIDTokens reports whether ID tokens are encrypted to the plan's clients.
func (p plan) encryptsIDTokens() bool { return slices.Contains(p.ecosystem().encrypted, p.suitePlan) }

// accepted reports whether the suite makes the plan: what it refuses is written in its certificationProfileName of each plan.
func (p plan) accepted() bool {
	is := func(parameter, value string) bool { return p.variant[parameter] == value }
	jwt, plain := is("client_auth_type", "private_key_jwt"), is("fapi_response_mode", "plain_response")
	signed, bound := is("fapi_request_method", "signed_non_repudiation"), is("sender_constrain", "mtls")
	openID := is("openid", "openid_connect")
	byCode, advanced := is("fapi_auth_request_method", "by_value"), p.suitePlan == fapi1Advanced || p.suitePlan == fapi1BrazilDCR
	switch p.profileOf() {
	case "fapi_client_credentials_grant":
		// With an ID token there is no user whom it could be about (OpenID Connect Core §2).
		return !openID
	case ukOpenBanking:
		return p.suitePlan != fapi2MessageSigning && !advanced || plain && (!advanced || byCode)
	case auCDR:
		return jwt && (p.suitePlan == fapi2Security || advanced != plain)
	case brazil, brazilInsurance:
		if p.backchannel() {
			return jwt && is("ciba_mode", "ping")
		}
		return !advanced || jwt && plain && !byCode
	case auConnectID:
		if p.backchannel() {
			return jwt && is("ciba_mode", "poll")
		}
		return jwt && signed && bound && openID && plain
	case uae:
		return jwt && signed && bound && openID && plain && is("authorization_request_type", "rar")
	case ksaFAPI2:
		return signed && bound && openID && plain && is("authorization_request_type", "simple")
	case ksaFAPI1:
		return plain && !byCode
	}
	return true
}

// refusal says why the server's preset does not take clients of the plan that the suite makes; nothing if it does.
func (p plan) refusal() string {
	e := p.ecosystem()
	switch {
	case e.bound && p.variant["sender_constrain"] == "dpop":
		return "the preset " + e.preset + " binds access tokens to certificates only"
	case e.pushed && p.variant["fapi_auth_request_method"] == "by_value":
		return "the preset " + e.preset + " wants requests pushed"
	}
	return ""
}

// registrationPlans are those in which the suite registers clients with the statements of a directory.
func registrationPlans() []plan {
	only := func(a suite.Axis, values ...string) suite.Axis {
		return suite.Axis{Parameter: a.Parameter, Values: values}
	}
	first := advanced()
	first[0] = only(first[0], brazil, brazilInsurance)
	plans := combine("fapi1-dcr", fapi1BrazilDCR, first)
	second := messageSigning()
	second[0] = only(second[0], brazil)
	more := combine("fapi2-dcr", fapi2BrazilDCR, second)
	for _, p := range more {
		delete(p.variant, second[0].Parameter) // the plan sets it, and refuses whoever does too
	}
	return append(plans, more...)
}

// needsDirectory reports whether the plan reaches the directory of its ecosystem, which has names that the suite fixes.
func (p plan) needsDirectory() bool { return p.paying() || p.statements() }

// statements reports whether the suite registers the plan's clients with software statements.
func (p plan) statements() bool {
	return p.suitePlan == fapi1BrazilDCR || p.suitePlan == fapi2BrazilDCR
}

// paymentPlans are the plans of Brazil once more, about payments: the suite knows them by the scope that their clients ask for.
func paymentPlans(plans []plan) []plan {
	var paying []plan
	for _, p := range plans {
		if p.profileOf() == brazil && !p.backchannel() {
			p.scopes = "payments"
			p.name += "+payments"
			paying = append(paying, p)
		}
	}
	return paying
}

// nationalID is whom the suite's consents of Saudi Arabia are about (NationalIdentificationNumber).
const nationalID = "1111111111"

// cardNumber is a card of the user in the plans of ConnectID, whose login_hint is one; it passes the check of Luhn.
const cardNumber = "4111111111111111"

// base is the built-in profile of the server for the plan.
func (p plan) base() string {
	switch p.suitePlan {
	case fapi1Advanced, fapiCIBA, fapi1BrazilDCR:
		return "fapi1-advanced"
	case fapi2MessageSigning:
		return "fapi2-message-signing"
	case fapi2BrazilDCR:
		if p.variant["fapi_request_method"] != "unsigned" || p.signedResponses() {
			return "fapi2-message-signing"
		}
	}
	return "fapi2-security"
}

// profile is the server's profile that the plan's clients are held to.
func (p plan) profile() string {
	if p.national() {
		return p.ecosystem().preset + "/" + p.base()
	}
	return p.base()
}

// profiles are all that a deployment of the plans offers.
func profiles(plans []plan) string {
	var all []string
	for _, p := range plans {
		if !slices.Contains(all, p.profile()) {
			all = append(all, p.profile())
		}
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}
