package fapitest

import (
	"encoding/json"
	"slices"
	"testing"

	"countersign/fapi/rar"
)

// Authorization details of the types in [DetailTypes].
const (
	OnePayment = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A"}`
	TwoActions = `{"type":"account_information","actions":["list_accounts","read_balances"]}`
	// ThreeAccounts and TwoToPayFrom have lists of which the user chooses.
	ThreeAccounts = `{"type":"account_information","actions":["list_accounts"],"accounts":["DE02100100109307118603","DE19999999990000123456","GB33BUKB20201555555555"]}`
	TwoToPayFrom  = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","debtorAccounts":[{"name":"Everyday","number":"4821"},{"name":"Household","number":"7730"}]}`

	OneAction = `{"type":"account_information","actions":["list_accounts"]}`
)

// Resource servers and authentication context classes of [NewFullWorld].
const (
	LedgerAPI  = "https://ledger.example/api"
	PaymentAPI = "urn:example:payments"

	ACRPassword = "urn:example:pwd"
	ACRKey      = "urn:example:key"
)

// DetailTypes are the types of authorization_details of [NewFullWorld] (RFC 9396).
func DetailTypes() []rar.Type {
	return []rar.Type{
		{Type: "payment_initiation", Schema: json.RawMessage(`{
			"x-display": {"kind": "payment", "times": "once", "heading": {"en": "Pay {amount} to {payee}?", "de": "{amount} an {payee} zahlen?"}},
			"type": "object",
			"properties": {
				"type": {"const": "payment_initiation"},
				"locations": {"type": "array", "items": {"type": "string"}, "x-display": {"label": {"en": "Where it works"}, "format": "host"}},
				"actions": {
					"type": "array", "items": {"enum": ["initiate", "status"]},
					"x-display": {"label": {"en": "What it may do"}, "values": {"initiate": {"en": "Start the payment"}, "status": {"en": "See whether it is paid"}}}
				},
				"instructedAmount": {
					"type": "object",
					"x-display": {"role": "amount", "format": "money", "amount": "amount", "currency": "currency"},
					"properties": {"currency": {"type": "string", "minLength": 3, "maxLength": 3}, "amount": {"type": "string"}},
					"required": ["currency", "amount"], "additionalProperties": false
				},
				"creditorName": {"type": "string", "maxLength": 70, "x-display": {"role": "payee"}},
				"debtorAccounts": {
					"type": "array", "maxItems": 5, "x-display": {"label": {"en": "Pay from"}, "choose": "one"},
					"items": {
						"type": "object", "required": ["name", "number"], "additionalProperties": false,
						"properties": {
							"name": {"type": "string", "x-display": {"label": {"en": "Account"}, "order": 1}},
							"number": {"type": "string", "x-display": {"label": {"en": "Number"}, "format": "account", "order": 2}}
						}
					}
				}
			},
			"required": ["type", "instructedAmount", "creditorName"], "additionalProperties": false
		}`)},
		{Type: "account_information", Schema: json.RawMessage(`{
			"x-display": {"kind": "access", "times": "until", "heading": {"en": "Share account information with {client}?", "de": "Kontodaten mit {client} teilen?"}},
			"type": "object",
			"properties": {
				"type": {"const": "account_information"},
				"locations": {"type": "array", "items": {"type": "string"}, "x-display": {"label": {"en": "Where it works"}, "format": "host"}},
				"actions": {
					"type": "array", "items": {"enum": ["list_accounts", "read_balances", "read_transactions"]},
					"x-display": {"label": {"en": "What it will see"}, "values": {
						"list_accounts": {"en": "Your accounts"}, "read_balances": {"en": "Balances"},
						"read_transactions": {"label": {"en": "Payments in and out"}, "detail": {"en": "Date, amount, and who paid or was paid"}}
					}}
				},
				"accounts": {"type": "array", "maxItems": 10, "items": {"type": "string"}, "x-display": {"label": {"en": "Which accounts", "de": "Welche Konten"}, "format": "iban", "choose": "some"}},
				"validUntil": {"type": "string", "format": "date-time", "x-display": {"label": {"en": "Until", "de": "Bis"}, "role": "until", "format": "date-time"}},
				"datatypes": {"type": "array", "items": {"type": "string"}, "x-display": {"label": {"en": "Kinds of data"}}}
			},
			"required": ["type", "actions"], "additionalProperties": false
		}`)},
	}
}

// ExampleDetail is an authorization detail of a type.
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

// OwnAccounts asks for accounts of the user's own, whichever the user chooses, and PayFromOwn for a payment from one of them; see
// [OfferingFrom].
const (
	OwnAccounts = `{"type":"own_accounts","accounts":[]}`
	PayFromOwn  = `{"type":"pay_from_own","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A","from":[]}`
)

// OfferingFrom adds the types of [OwnAccounts] and [PayFromOwn], whose lists are offered from a source.
func OfferingFrom(source rar.Source) Option {
	return func(c *Config) {
		c.AuthorizationDetailTypes = append(slices.Clone(c.AuthorizationDetailTypes), rar.Type{Type: "own_accounts", Accounts: source, Schema: json.RawMessage(`{
			"x-display": {"kind": "access", "times": "until", "life": "P30D", "heading": {"en": "Share account information with {client}?"}},
			"type": "object",
			"properties": {
				"type": {"const": "own_accounts"},
				"accounts": {
					"type": "array", "maxItems": 10, "items": {"type": "string", "pattern": "^[A-Z]{2}[0-9A-Z]{13,32}$"},
					"x-display": {"label": {"en": "Which accounts"}, "role": "account", "format": "ending", "choose": "some", "offer": true}
				}
			},
			"required": ["type", "accounts"], "additionalProperties": false
		}`)}, rar.Type{Type: "pay_from_own", Accounts: source, Schema: json.RawMessage(`{
			"x-display": {"kind": "payment", "times": "once", "heading": {"en": "Pay {amount} to {payee}?"}},
			"type": "object",
			"properties": {
				"type": {"const": "pay_from_own"},
				"instructedAmount": {
					"type": "object", "x-display": {"role": "amount", "format": "money", "amount": "amount", "currency": "currency"},
					"properties": {"currency": {"type": "string", "minLength": 3, "maxLength": 3}, "amount": {"type": "string"}},
					"required": ["currency", "amount"], "additionalProperties": false
				},
				"creditorName": {"type": "string", "maxLength": 70, "x-display": {"role": "payee"}},
				"from": {
					"type": "array", "maxItems": 5, "x-display": {"label": {"en": "Pay from"}, "choose": "one", "offer": true},
					"items": {
						"type": "object", "required": ["iban"], "additionalProperties": false,
						"properties": {"iban": {"type": "string", "x-display": {"label": {"en": "IBAN"}, "format": "iban"}}}
					}
				}
			},
			"required": ["type", "instructedAmount", "creditorName", "from"], "additionalProperties": false
		}`)})
	}
}

// ForOwnAccounts lets a client ask for every scope, and for the types of [OfferingFrom].
func ForOwnAccounts(c *Client, m map[string]any) {
	AllScopes(c, m)
	m["authorization_details_types"] = []string{"payment_initiation", "account_information", "own_accounts", "pay_from_own"}
}

// Offered are accounts, as a source offers them: two for [OwnAccounts], and two for [PayFromOwn].
func Offered() []map[string]any {
	return []map[string]any{
		{"type": "own_accounts", "value": "DE02100100109307118603", "name": "Everyday", "kind": map[string]string{"en": "Current account", "de": "Girokonto"},
			"number": "DE•• 8603", "balance": map[string]string{"amount": "1234.50", "currency": "EUR"}},
		{"type": "own_accounts", "value": "GB33BUKB20201555555555", "name": "Savings", "kind": "Savings account"},
		{"type": "pay_from_own", "value": map[string]string{"iban": "DE02100100109307118603"}, "name": "Everyday"},
		{"type": "pay_from_own", "value": map[string]string{"iban": "GB33BUKB20201555555555"}, "name": "Savings", "balance": map[string]string{"amount": "7", "currency": "GBP"}},
	}
}
