package fapitest

import (
	"testing"
)

// probedWorld is a running server, and the person who sits before every browser.
type ProbedWorld struct {
	*World
	Person *Person
}

// prober shows that one value of the discovery document works.
type Prober func(t *testing.T, w ProbedWorld, value string)

// plainOpenID is a client that may ask for nothing but openid.
func PlainOpenID(c *Client, m map[string]any) { c.Scope, m["scope"] = "openid", "openid" }

// at sends something harmless to an endpoint and tells whether the client was let in.
func (c *Client) At(endpoint string) Reply {
	c.W.T.Helper()
	switch endpoint {
	case "introspection_endpoint":
		return c.Introspect("unknown", nil)
	case "revocation_endpoint":
		return c.Revoke("unknown", nil)
	}
	return c.Redeem(c.Authorize(), nil)
}

// exampleDetail is an authorization detail of a type.
func ExampleDetail(t *testing.T, kind string) string {
	t.Helper()
	switch kind {
	case "payment_initiation":
		return `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A"}`
	case "account_information":
		return `{"type":"account_information","actions":["list_accounts","read_balances"]}`
	}
	t.Fatalf("there is no example of %q", kind)
	return ""
}
