package fapitest

import (
	"encoding/json"
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
