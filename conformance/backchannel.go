package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"

	"countersign/conformance/suite"
)

// backchannel reports whether clients ask without a browser (CIBA).
func (p plan) backchannel() bool { return p.suitePlan == fapiCIBA }

// notified reports whether the server calls the suite when a request is decided.
func (p plan) notified() bool { return p.variant["ciba_mode"] == "ping" }

// registersItself reports whether the suite registers the plan's clients (RFC 7591).
func (p plan) registersItself() bool {
	return p.variant["client_registration"] == "dynamic_client" || p.statements()
}

// decoupled lists the parameters of FAPI-CIBA. There is none with push, which FAPI does not allow.
func decoupled() []suite.Axis {
	return []suite.Axis{
		profileAxis("fapi_ciba_profile", ukOpenBanking, brazil, auConnectID),
		{Parameter: "client_auth_type", Values: []string{"private_key_jwt", "mtls"}},
		{Parameter: "ciba_mode", Values: []string{"poll", "ping"}},
		{Parameter: "client_registration", Values: []string{"static_client", "dynamic_client"}, Names: map[string]string{"static_client": "static", "dynamic_client": "dynamic"}},
	}
}

// askBackchannel completes the metadata of a client (CIBA Core §4). The suite listens for notifications beside the
// redirect URI.
func (p plan) askBackchannel(m map[string]any, c testClient, redirectURI string) {
	m["grant_types"], m["response_types"] = []string{"urn:openid:params:grant-type:ciba", "refresh_token"}, []string{}
	m["backchannel_token_delivery_mode"] = p.variant["ciba_mode"]
	m["backchannel_authentication_request_signing_alg"] = c.key["alg"]
	if p.variant["ciba_mode"] == "ping" {
		m["backchannel_client_notification_endpoint"] = strings.TrimSuffix(redirectURI, "callback") + "ciba-notification-endpoint"
	}
}

// configureBackchannel tells the suite who is asked and how to have the user answer.
func (p plan) configureBackchannel(c *configuration, s server) {
	c.Approval = s.approval
	for n, client := range []*clientConfiguration{&c.Client, &c.Client2} {
		if p.registersItself() {
			*client = clientConfiguration{Scope: client.Scope, OrganisationKeys: client.OrganisationKeys, Name: fmt.Sprintf("%s client %d", c.Alias, n+1), InitialToken: s.initialToken}
		}
		client.HintType, client.HintValue = "login_hint", s.username
		switch p.profileOf() {
		case auConnectID:
			client.HintType, client.HintValue, client.LoginHint, client.CardNumber = "", "", s.username, cardNumber
			client.Amount, client.Currency, client.Beneficiary, client.Purpose = "10.50", "AUD", "Test Merchant", "Conformance test payment"
		case brazil: // the hint is the consent, which the suite asks for
			client.HintType, client.HintValue = "", ""
		}
	}
	c.Client2.ACR = cmp.Or(p.ecosystem().acr, s.acr) // the suite asks for a class in the name of the second client only
	if p.profileOf() == brazil {                     // here for both
		c.Client.ACR = c.Client2.ACR
	}
	if p.registersItself() { // with keys and certificates of its own
		c.MTLS, c.MTLS2 = nil, nil
	}
}

// initialToken gets a token with which the suite registers clients, from a command that prints it.
func (r *runner) initialToken(ctx context.Context, organisation string, p plan) (string, error) {
	arguments := make([]string, len(r.tokens))
	for i, argument := range r.tokens {
		arguments[i] = strings.NewReplacer("{organisation}", organisation, "{profile}", p.profile()).Replace(argument)
	}
	command := exec.CommandContext(ctx, arguments[0], arguments[1:]...)
	var problems strings.Builder
	command.Stderr = &problems
	output, err := command.Output()
	token := strings.TrimSpace(string(output))
	if err == nil && token == "" {
		err = errors.New("it printed no token")
	}
	if err != nil {
		return "", fmt.Errorf("-initial-token: %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(problems.String()))
	}
	return token, nil
}
