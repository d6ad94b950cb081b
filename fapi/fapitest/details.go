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
	OneAction  = `{"type":"account_information","actions":["list_accounts"]}`
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
		{Type: "payment_initiation", Title: "Make one payment", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "payment_initiation"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["initiate", "status"]}},
				"instructedAmount": {
					"type": "object",
					"properties": {"currency": {"type": "string", "minLength": 3, "maxLength": 3}, "amount": {"type": "string"}},
					"required": ["currency", "amount"], "additionalProperties": false
				},
				"creditorName": {"type": "string", "maxLength": 70}
			},
			"required": ["type", "instructedAmount", "creditorName"], "additionalProperties": false
		}`)},
		{Type: "account_information", Title: "See accounts", Schema: json.RawMessage(`{
			"type": "object",
			"properties": {
				"type": {"const": "account_information"},
				"locations": {"type": "array", "items": {"type": "string"}},
				"actions": {"type": "array", "items": {"enum": ["list_accounts", "read_balances", "read_transactions"]}},
				"datatypes": {"type": "array", "items": {"type": "string"}}
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
