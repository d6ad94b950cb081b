package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// bankAPI calls the bank's accounts and payments with the HTTP client of a session or of a confirmed payment, which adds the access
// token and proves whose it is.
type bankAPI struct {
	base string
}

// errEnded is for a token that the bank takes no more: the customer has ended what it was for.
var errEnded = errors.New("the bank takes this token no more")

// bankAccount is an account as the bank shows it.
type bankAccount struct {
	IBAN    string `json:"iban"`
	Name    string `json:"name"`
	Balance string `json:"balance"`
}

// bankEntry is a line of a statement.
type bankEntry struct {
	When   time.Time `json:"when"`
	Who    string    `json:"who"`
	What   string    `json:"what"`
	Amount string    `json:"amount"`
}

func (b bankAPI) accounts(ctx context.Context, as *http.Client) ([]bankAccount, error) {
	var answer struct {
		Accounts []bankAccount `json:"accounts"`
	}
	err := b.call(ctx, as, http.MethodGet, "/accounts", nil, &answer)
	return answer.Accounts, err
}

func (b bankAPI) entries(ctx context.Context, as *http.Client, iban string) ([]bankEntry, error) {
	var answer struct {
		Entries []bankEntry `json:"transactions"`
	}
	err := b.call(ctx, as, http.MethodGet, "/accounts/"+url.PathEscape(iban)+"/transactions", nil, &answer)
	return answer.Entries, err
}

func (b bankAPI) pay(ctx context.Context, as *http.Client, wanted bill) (*paid, error) {
	details := wanted.details()
	var made paid
	return &made, b.call(ctx, as, http.MethodPost, "/payments", details, &made)
}

// details are the authorization details of a bill (RFC 9396 §2): what the bank asks the user, and what its API then pays.
func (b bill) details() map[string]any {
	return map[string]any{
		"type": "payment_initiation", "instructedAmount": map[string]string{"currency": "EUR", "amount": b.Amount}, "creditorName": b.Payee,
		"creditorAccount": map[string]string{"iban": b.IBAN}, "remittanceInformationUnstructured": b.Reference,
	}
}

// maxAnswer bounds what is read of an answer, in bytes.
const maxAnswer = 1 << 20

func (b bankAPI) call(ctx context.Context, as *http.Client, method, path string, send, into any) error {
	var body io.Reader = http.NoBody
	if send != nil {
		written, err := json.Marshal(send)
		if err != nil {
			return err
		}
		body = bytes.NewReader(written)
	}
	r, err := http.NewRequestWithContext(ctx, method, b.base+path, body)
	if err != nil {
		return err
	}
	if send != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	response, err := as.Do(r)
	if err != nil {
		return fmt.Errorf("call the bank: %w", err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("call the bank: %w", err)
	case response.StatusCode == http.StatusUnauthorized:
		return errEnded
	case response.StatusCode/100 != 2:
		return fmt.Errorf("the bank answers %s: %.200s", response.Status, answer)
	}
	return json.Unmarshal(answer, into)
}
