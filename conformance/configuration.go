package main

import (
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"countersign/conformance/keys"
)

// testClient is one of the clients of a plan.
type testClient struct {
	id  string
	key keys.JWK
	// decryption is the key that ID tokens are encrypted to, and organisation that of the client's organisation, where the
	// plan's profile has them.
	decryption, organisationKey keys.JWK
	certificate                 *certificate
	// software and organisation identify the client in the directory of its ecosystem.
	software, organisation string
}

// keys are all keys of the client.
func (c testClient) keys() []keys.JWK {
	if c.decryption == nil {
		return []keys.JWK{c.key}
	}
	return []keys.JWK{c.key, c.decryption}
}

func public(private []keys.JWK) map[string][]keys.JWK {
	var shown []keys.JWK
	for _, key := range private {
		shown = append(shown, key.Public())
	}
	return map[string][]keys.JWK{"keys": shown}
}

// clientConfiguration is a client as the suite wants it.
type clientConfiguration struct {
	ClientID string                `json:"client_id,omitempty"`
	Scope    string                `json:"scope"`
	JWKS     map[string][]keys.JWK `json:"jwks,omitempty"`
	// DPoPSigningAlg is the algorithm of the proofs that the suite makes.
	DPoPSigningAlg string `json:"dpop_signing_alg,omitempty"`
	// HintType and HintValue name the user who is asked (CIBA Core §7.1).
	HintType  string `json:"hint_type,omitempty"`
	HintValue string `json:"hint_value,omitempty"`
	// The rest is of a client that the suite registers itself.
	Name         string `json:"client_name,omitempty"`
	InitialToken string `json:"initial_access_token,omitempty"`
	ACR          string `json:"acr_value,omitempty"`
	// OrganisationKeys sign payments (Brazil).
	OrganisationKeys map[string][]keys.JWK `json:"org_jwks,omitempty"`
	// The rest is of ConnectID.
	LoginHint   string `json:"login_hint,omitempty"`
	CardNumber  string `json:"card_primary_account_number,omitempty"`
	Amount      string `json:"payment_amount,omitempty"`
	Currency    string `json:"payment_currency,omitempty"`
	Beneficiary string `json:"payment_beneficiary_name,omitempty"`
	Purpose     string `json:"payment_desc,omitempty"`
}

// configuration is what the suite is told about a plan.
type configuration struct {
	Alias       string              `json:"alias"`
	Description string              `json:"description"`
	Server      map[string]any      `json:"server"`
	Client      clientConfiguration `json:"client"`
	Client2     clientConfiguration `json:"client2"`
	MTLS        *certificate        `json:"mtls,omitempty"`
	MTLS2       *certificate        `json:"mtls2,omitempty"`
	Resource    protectedResource   `json:"resource"`
	Consent     map[string]string   `json:"consent,omitempty"`
	Directory   map[string]string   `json:"directory,omitempty"`
	Options     map[string]bool     `json:"options"`
	Browser     []script            `json:"browser,omitempty"`
	// Approval is the address with which the suite has a user allow or deny (CIBA).
	Approval string `json:"automated_ciba_approval_url,omitempty"`
	// Override replaces members for single modules.
	Override map[string]override `json:"override,omitempty"`
}

type override struct {
	Browser []script             `json:"browser"`
	Client  *clientConfiguration `json:"client,omitempty"`
	Client2 *clientConfiguration `json:"client2,omitempty"`
	MTLS    *certificate         `json:"mtls,omitempty"`
	MTLS2   *certificate         `json:"mtls2,omitempty"`
}

// protectedResource is what the suite uses tokens for.
type protectedResource struct {
	URL string `json:"resourceUrl"`
	// Rich are the authorization_details that each authorization request carries (RFC 9396 §2).
	Rich []map[string]any `json:"richAuthorizationRequest,omitempty"`
	// ConsentRequests and Accounts are the addresses of the UK and of Saudi Arabia, Consents that of Brazil.
	ConsentRequests string `json:"resourceUrlAccountRequests,omitempty"`
	Accounts        string `json:"resourceUrlAccountsResource,omitempty"`
	Consents        string `json:"consentUrl,omitempty"`
	// CPF is whom a consent of Brazil is about, Organisation the bank's identifier in the directory there.
	CPF            string         `json:"brazilCpf,omitempty"`
	Organisation   string         `json:"brazilOrganizationId,omitempty"`
	PaymentConsent map[string]any `json:"brazilPaymentConsent,omitempty"`
	Payment        map[string]any `json:"brazilPixPayment,omitempty"`
	// Version is that of the Australian API.
	Version string `json:"cdrVersion,omitempty"`
}

// script plays the user for the addresses that it matches.
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
	switch {
	case p.national():
		return p.nationalScope()
	case p.clientCredentials():
		return "accounts" // nobody signs in, and the suite warns of a refresh token (RFC 6749 §4.4.3)
	case p.openID():
		return "openid accounts offline_access"
	default:
		return "accounts offline_access" // plain OAuth must not ask for openid
	}
}

// authorizationDetails are what a plan with rich authorization requests asks for: the two types that
// `countersign init --dev` offers, as RFC 9396 §2 shows them.
func authorizationDetails() []map[string]any {
	return []map[string]any{
		{
			"type":    "account_information",
			"actions": []string{"list_accounts", "read_balances", "read_transactions"},
		},
		{
			"type":                              "payment_initiation",
			"actions":                           []string{"initiate", "status", "cancel"},
			"instructedAmount":                  map[string]string{"currency": "EUR", "amount": "123.50"},
			"creditorName":                      "Merchant A",
			"creditorAccount":                   map[string]string{"iban": "DE02100100109307118603"},
			"remittanceInformationUnstructured": "Ref Number Merchant",
		},
	}
}

// newClients makes a plan's clients: the two that the suite wants, and where there is a user two more that the user
// has allowed nothing yet, for the module in which the user refuses: a server need not ask again for what was allowed.
func newClients(random io.Reader, p plan, alias string, ca *authority, now time.Time) ([]testClient, error) {
	number := 4
	if p.clientCredentials() || p.backchannel() {
		number = 2
	}
	var made []testClient
	for i := range number {
		// The first signs with PS256 (the suite's RS256 tests need an RSA key), the second with ES256, so that both are
		// tried.
		newKey := keys.NewPS256
		if i%2 == 1 && !p.ecosystem().onlyPS256 {
			newKey = keys.NewES256
		}
		one, err := newClient(random, p, fmt.Sprintf("%s-%d", alias, i+1), newKey, ca, now)
		if err != nil {
			return nil, err
		}
		made = append(made, one)
	}
	return made, nil
}

func newClient(random io.Reader, p plan, id string, newKey func(io.Reader, string) (keys.JWK, error), ca *authority, now time.Time) (testClient, error) {
	made := testClient{id: id}
	var err error
	if made.key, err = newKey(random, made.id+"-key"); err != nil {
		return testClient{}, err
	}
	if p.encryptsIDTokens() {
		if made.decryption, err = keys.NewDecryption(random, made.id+"-enc"); err != nil {
			return testClient{}, err
		}
	}
	if p.ecosystem().organisation != "" {
		if made.organisationKey, err = keys.NewPS256(random, made.id+"-organisation"); err != nil {
			return testClient{}, err
		}
		made.software, made.organisation = newUUID(random), newUUID(random)
	}
	if p.usesCertificate() {
		issued, err := ca.issue(random, p.subject(made), now)
		if err != nil {
			return testClient{}, err
		}
		made.certificate = &issued
	}
	return made, nil
}

// redirectURIs are the two that the suite uses for an alias.
func redirectURIs(suiteURL, alias string) []string {
	callback := suiteURL + "/test/a/" + url.PathEscape(alias) + "/callback"
	return []string{callback, callback + "?dummy1=lorem&dummy2=ipsum"}
}

// configure writes a plan's configuration.
func (p plan) configure(s server, alias string, clients []testClient) configuration {
	resource := protectedResource{URL: s.resource}
	if p.usesCertificate() {
		resource.URL = s.mtlsResource
	}
	if p.rich() {
		resource.Rich = authorizationDetails()
	}
	if p.national() {
		resource = p.nationalResource(s, resource)
	}
	made := configuration{
		Alias: alias, Description: "Countersign " + p.name,
		Server: map[string]any{"discoveryUrl": s.issuer + discoveryPath},
		Client: p.clientConfiguration(clients[0]), Client2: p.clientConfiguration(clients[1]),
		MTLS: clients[0].certificate, MTLS2: clients[1].certificate,
		Resource: resource,
		Options:  map[string]bool{"browsercontrol_css_enable": false},
	}
	if p.national() {
		p.configureNational(&made, s, clients)
	}
	if p.backchannel() {
		p.configureBackchannel(&made, s)
	}
	if p.clientCredentials() || p.backchannel() {
		return made // no browser
	}
	refused, refused2 := p.clientConfiguration(clients[2]), p.clientConfiguration(clients[3])
	made.Browser = []script{s.script("allow", 0)}
	made.Override = map[string]override{
		prefix(p) + "user-rejects-authentication": {
			Browser: []script{s.script("deny", 0)}, Client: &refused, Client2: &refused2,
			MTLS: clients[2].certificate, MTLS2: clients[3].certificate,
		},
		prefix(p) + "par-ensure-reused-request-uri-prior-to-auth-completion-succeeds": {
			Browser: []script{s.look(1), s.script("allow", 0)},
		},
	}
	// A class that a password does not reach: the suite's browser has no passkey, and the user gives up (access_denied).
	if p.profileOf() == ukOpenBanking {
		made.Override[prefix(p)+"test-essential-acr-sca-claim"] = override{Browser: []script{s.giveUp()}}
	}
	// Where nothing came from the client, the server shows its error page, which the suite wants a picture of.
	shown := []string{
		"ensure-unsigned-authorization-request-without-using-par-fails", "ensure-authorization-request-without-request-object-fails",
		"par-attempt-to-use-request_uri-for-different-client",
	}
	if p.variant["fapi_auth_request_method"] == "by_value" {
		shown = append(shown,
			"ensure-registered-redirect-uri", "ensure-redirect-uri-in-authorization-request", "ensure-request-object-without-redirect-uri-fails")
	}
	for _, module := range shown {
		made.Override[prefix(p)+module] = override{Browser: []script{s.photograph()}}
	}
	return made
}

func (p plan) clientConfiguration(c testClient) clientConfiguration {
	made := clientConfiguration{ClientID: c.id, Scope: p.scope(), JWKS: map[string][]keys.JWK{"keys": c.keys()}}
	if p.variant["sender_constrain"] == "dpop" {
		made.DPoPSigningAlg = c.key["alg"]
	}
	return made
}

// prefix begins the names of a plan's modules. Message Signing has those of the Security Profile.
func prefix(p plan) string {
	if p.suitePlan == fapi2MessageSigning {
		return strings.TrimSuffix(fapi2Security, "test-plan")
	}
	return strings.TrimSuffix(p.suitePlan, "test-plan")
}

// pages matches the addresses at which the user signs in and decides.
func (s server) pages() string {
	if s.login != "" {
		return s.login + "/*"
	}
	return s.issuer + "/interaction/*"
}

// script signs in, decides, and waits for the suite's own page. Sign-in and decision have the same address; a user
// who is signed in already sees only the second. An error that the server shows itself is photographed.
func (s server) script(decision string, limit int) script {
	return script{Match: s.issuer + "/authorize*", Limit: limit, Tasks: []task{
		{Task: "Sign in", Match: s.pages(), Optional: true, Commands: [][]any{
			{"text", "id", "username", s.username, "optional"},
			{"text", "id", "password", s.password, "optional"},
			{"click", "id", "sign-in", "optional"},
		}},
		{Task: "Decide", Match: s.pages(), Optional: true, Commands: [][]any{{"click", "id", decision, "optional"}}},
		{Task: "Error page", Match: s.issuer + "/authorize*", Optional: true, Commands: [][]any{
			{"wait", "xpath", "//*", 10, "(?i)what you can do", "update-image-placeholder-optional"},
		}},
		{Task: "Back at the suite", Match: "https://*/test/a/*/callback*", Optional: true, Commands: [][]any{
			{"wait", "id", "submission_complete", 10},
		}},
	}}
}

// giveUp leaves a page that asks for what the user does not have.
func (s server) giveUp() script {
	return script{Match: s.issuer + "/authorize*", Tasks: []task{
		{Task: "Give up", Match: s.pages(), Optional: true, Commands: [][]any{{"click", "id", "cancel"}}},
		{Task: "Back at the suite", Match: "https://*/test/a/*/callback*", Optional: true, Commands: [][]any{
			{"wait", "id", "submission_complete", 10},
		}},
	}}
}

// photograph keeps the error page of a request whose redirect URI is not proven: it must not lead back to the suite.
func (s server) photograph() script {
	return script{Match: s.issuer + "/authorize*", Tasks: []task{
		{Task: "Error page", Match: s.issuer + "/authorize*", Commands: [][]any{
			{"wait", "xpath", "//*", 10, "(?i)what you can do", "update-image-placeholder"},
		}},
	}}
}

// look opens the sign-in page and leaves it.
func (s server) look(limit int) script {
	return script{Match: s.issuer + "/authorize*", Limit: limit, Tasks: []task{
		{Task: "Only look", Match: s.pages(), Commands: [][]any{}},
	}}
}
