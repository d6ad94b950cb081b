package fapitest

import (
	"testing"
)

// plainOpenID is a client that may ask for nothing but openid.
func PlainOpenID(c *Client, m map[string]any) { c.Scope, m["scope"] = "openid", "openid" }

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
