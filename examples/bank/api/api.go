package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"time"
)

// holder is who a request comes for, as its access token says: the customer, and what the customer allowed.
type holder struct {
	Subject string
	Details []detail
}

// detail is an element of authorization_details (RFC 9396 §2) of the two types that this API knows.
type detail struct {
	Type     string           `json:"type"`
	Actions  []string         `json:"actions"`
	Accounts []accountAddress `json:"accounts"`

	Amount    money          `json:"instructedAmount"`
	Payee     string         `json:"creditorName"`
	Account   accountAddress `json:"creditorAccount"`
	Reference string         `json:"remittanceInformationUnstructured"`
}

type accountAddress struct {
	IBAN string `json:"iban"`
}

type money struct {
	Currency string `json:"currency"`
	Amount   string `json:"amount"`
}

// The types of authorization_details.
const (
	accountInformation = "account_information"
	paymentInitiation  = "payment_initiation"
)

// may reports whether the customer allowed an action for an account.
func (h holder) may(action, iban string) bool {
	return slices.ContainsFunc(h.Details, func(d detail) bool {
		return d.Type == accountInformation && slices.Contains(d.Actions, action) && slices.Contains(d.Accounts, accountAddress{iban})
	})
}

// api serves the accounts and the payments.
type api struct {
	books *books
	// who reads what package rs has checked of the request's access token.
	who func(ctx context.Context) (holder, error)
	now func() time.Time
}

// routes are the resources; each is behind package rs.
func (a *api) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /accounts", a.listAccounts)
	mux.HandleFunc("GET /accounts/{iban}/transactions", a.listTransactions)
	mux.HandleFunc("POST /payments", a.pay)
	return mux
}

type accountAnswer struct {
	IBAN     string `json:"iban"`
	Name     string `json:"name"`
	Currency string `json:"currency"`
	Balance  string `json:"balance,omitempty"`
}

// listAccounts shows the accounts that the customer chose, with their balances if that was allowed.
func (a *api) listAccounts(w http.ResponseWriter, r *http.Request) {
	h, err := a.who(r.Context())
	if err != nil {
		refuse(w, http.StatusUnauthorized, "invalid_token", "the token says nothing that this API understands")
		return
	}
	found := []accountAnswer{}
	for _, each := range a.books.of(h.Subject) {
		if !h.may("list_accounts", each.IBAN) {
			continue
		}
		answer := accountAnswer{IBAN: each.IBAN, Name: each.Name, Currency: "EUR"}
		if h.may("read_balances", each.IBAN) {
			answer.Balance = each.balance().String()
		}
		found = append(found, answer)
	}
	write(w, http.StatusOK, map[string]any{"accounts": found})
}

type entryAnswer struct {
	When     time.Time `json:"when"`
	Who      string    `json:"who"`
	What     string    `json:"what"`
	Currency string    `json:"currency"`
	Amount   string    `json:"amount"`
}

// listTransactions shows the payments in and out of one account, the newest first.
func (a *api) listTransactions(w http.ResponseWriter, r *http.Request) {
	h, err := a.who(r.Context())
	if err != nil {
		refuse(w, http.StatusUnauthorized, "invalid_token", "the token says nothing that this API understands")
		return
	}
	iban := r.PathValue("iban")
	accounts := a.books.of(h.Subject)
	at := slices.IndexFunc(accounts, func(each account) bool { return each.IBAN == iban })
	if at < 0 || !h.may("read_transactions", iban) {
		// Whether the account exists is told to nobody who may not see it.
		refuse(w, http.StatusForbidden, "insufficient_scope", "the customer did not share this account's payments")
		return
	}
	found := []entryAnswer{}
	for _, each := range accounts[at].Entries {
		found = append(found, entryAnswer{each.When, each.Who, each.What, "EUR", each.Amount.String()})
	}
	write(w, http.StatusOK, map[string]any{"transactions": found})
}

// pay makes the payment that the request names, if it is to the letter the one that the customer confirmed.
func (a *api) pay(w http.ResponseWriter, r *http.Request) {
	h, err := a.who(r.Context())
	if err != nil {
		refuse(w, http.StatusUnauthorized, "invalid_token", "the token says nothing that this API understands")
		return
	}
	var asked detail
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, 16<<10))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", "the body is no payment")
		return
	}
	amount, err := parseCents(asked.Amount.Amount)
	if err != nil || asked.Amount.Currency != "EUR" || amount == 0 {
		refuse(w, http.StatusBadRequest, "invalid_request", "the amount is not one of euros such as 123.50")
		return
	}
	if !slices.ContainsFunc(h.Details, func(d detail) bool {
		return d.Type == paymentInitiation && d.Amount == asked.Amount && d.Payee == asked.Payee && d.Account == asked.Account && d.Reference == asked.Reference
	}) {
		refuse(w, http.StatusForbidden, "insufficient_scope", "the customer did not confirm this payment")
		return
	}
	made, err := a.books.pay(h.Subject, payment{asked.Payee, asked.Account.IBAN, asked.Reference, amount}, newNumber, a.now())
	switch {
	case errors.Is(err, errPaidAlready): // sent twice: the answer is what it was
		write(w, http.StatusOK, receiptAnswer(made))
	case err != nil:
		refuse(w, http.StatusConflict, "payment_refused", err.Error())
	default:
		write(w, http.StatusCreated, receiptAnswer(made))
	}
}

// newNumber names a payment.
func newNumber() string { return rand.Text()[:12] }

func receiptAnswer(r receipt) map[string]any {
	return map[string]any{"payment_id": r.ID, "made_at": r.When, "from": r.From}
}

func write(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the response started already
}

// refuse answers as OAuth's resources do, in JSON.
func refuse(w http.ResponseWriter, status int, code, description string) {
	write(w, status, map[string]string{"error": code, "error_description": description})
}
