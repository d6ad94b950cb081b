// Package sample is a protected resource with invented content.
package sample

import (
	"context"
	"countersign/fapi/resource"
)

// Accounts is a protected resource with invented content, for trying the flow of plain OAuth.
func Accounts() resource.Resource {
	return resource.Resource{Path: "/accounts", Scope: "accounts", Answer: func(_ context.Context, access resource.Access) (any, error) {
		return accountList{
			Subject: access.ClientSubject,
			Accounts: []account{
				{ID: "1", Name: "Everyday account", Currency: "EUR", Balance: "1204.15"},
				{ID: "2", Name: "Savings", Currency: "EUR", Balance: "8800.00"},
			},
		}, nil
	}}
}

type accountList struct {
	Subject  string    `json:"sub,omitempty"`
	Accounts []account `json:"accounts"`
}

type account struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
	// Balance is a decimal number as text: amounts of money are no floating-point numbers.
	Balance string `json:"balance"`
}
