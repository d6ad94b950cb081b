package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

const customer = "customer-4711"

var testTime = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// call sends a request of a holder to the API.
func call(t *testing.T, books *books, h holder, method, path, body string) (int, map[string]any) {
	t.Helper()
	a := &api{books: books, now: func() time.Time { return testTime }, who: func(context.Context) (holder, error) {
		if h.Subject == "" {
			return holder{}, errors.New("nobody")
		}
		return h, nil
	}}
	w := httptest.NewRecorder()
	a.routes().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body)))
	var answer map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &answer); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
	return w.Code, answer
}

func sharing(actions []string, ibans ...string) holder {
	d := detail{Type: accountInformation, Actions: actions}
	for _, each := range ibans {
		d.Accounts = append(d.Accounts, accountAddress{each})
	}
	return holder{Subject: customer, Details: []detail{d}}
}

const (
	everyday  = "DE24999999990000124821"
	household = "DE51999999990000127730"
	rainyDay  = "DE55999999990000120092"
	wholeBill = `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Fernhill Cycles",` +
		`"creditorAccount":{"iban":"DE19999999990000123456"},"remittanceInformationUnstructured":"Order 20816"}`
)

// confirmed is a holder whose customer confirmed a payment.
func confirmed(t *testing.T, bill string) holder {
	t.Helper()
	var d detail
	if err := json.Unmarshal([]byte(bill), &d); err != nil {
		t.Fatal(err)
	}
	return holder{Subject: customer, Details: []detail{d}}
}

// Covers: RB-01. TestAccounts: the API shows what was shared, and of that what was allowed.
func TestAccounts(t *testing.T) {
	books := openBooks(customer, testTime)
	all := []string{"list_accounts", "read_balances", "read_transactions"}
	t.Run("accepts the accounts that were chosen", func(t *testing.T) {
		status, answer := call(t, books, sharing(all, everyday, household), http.MethodGet, "/accounts", "")
		listed, _ := answer["accounts"].([]any)
		if status != http.StatusOK || len(listed) != 2 {
			t.Fatalf("%d %v", status, answer)
		}
		first, _ := listed[0].(map[string]any)
		if first["iban"] != everyday || first["balance"] != "2480.15" || first["currency"] != "EUR" {
			t.Errorf("%v", first)
		}
	})
	t.Run("refuses balances that were not allowed", func(t *testing.T) {
		_, answer := call(t, books, sharing([]string{"list_accounts"}, everyday), http.MethodGet, "/accounts", "")
		if listed, _ := answer["accounts"].([]any); len(listed) != 1 || listed[0].(map[string]any)["balance"] != nil {
			t.Errorf("%v", answer)
		}
	})
	t.Run("refuses all accounts of somebody else", func(t *testing.T) {
		other := sharing(all, everyday)
		other.Subject = "customer-0815"
		if status, answer := call(t, books, other, http.MethodGet, "/accounts", ""); status != http.StatusOK || len(answer["accounts"].([]any)) != 0 {
			t.Errorf("%d %v", status, answer)
		}
	})
	t.Run("accepts a statement, the newest first", func(t *testing.T) {
		status, answer := call(t, books, sharing(all, everyday), http.MethodGet, "/accounts/"+everyday+"/transactions", "")
		lines, _ := answer["transactions"].([]any)
		if status != http.StatusOK || len(lines) != 9 || lines[0].(map[string]any)["who"] != "Saltbox Bakery" || lines[0].(map[string]any)["amount"] != "-42.20" {
			t.Errorf("%d %v", status, answer)
		}
	})
	for name, try := range map[string]struct {
		h    holder
		iban string
	}{
		"refuses a statement of an account that was not chosen":  {sharing(all, everyday), rainyDay},
		"refuses a statement of an account that there is not":    {sharing(all, "DE69999999990000770031"), "DE69999999990000770031"},
		"refuses a statement where statements were not allowed":  {sharing([]string{"list_accounts"}, everyday), everyday},
		"refuses a statement with a token for a payment":         {confirmed(t, wholeBill), everyday},
		"refuses a statement of a chosen account to another one": {holder{"customer-0815", sharing(all, everyday).Details}, everyday},
	} {
		t.Run(name, func(t *testing.T) {
			if status, answer := call(t, books, try.h, http.MethodGet, "/accounts/"+try.iban+"/transactions", ""); status != http.StatusForbidden || answer["error"] != "insufficient_scope" {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	t.Run("refuses a token that says nothing", func(t *testing.T) {
		for _, path := range []string{"/accounts", "/accounts/" + everyday + "/transactions"} {
			if status, answer := call(t, books, holder{}, http.MethodGet, path, ""); status != http.StatusUnauthorized || answer["error"] != "invalid_token" {
				t.Errorf("%d %v", status, answer)
			}
		}
	})
}

// Covers: RB-02. TestPayment: paid is to the letter what was confirmed, and once.
func TestPayment(t *testing.T) {
	books := openBooks(customer, testTime)
	t.Run("accepts what was confirmed, once, however often and at once it is sent", func(t *testing.T) {
		var (
			wait    sync.WaitGroup
			mu      sync.Mutex
			numbers = map[any]int{}
			created int
		)
		for range 8 {
			wait.Go(func() {
				status, answer := call(t, books, confirmed(t, wholeBill), http.MethodPost, "/payments", wholeBill)
				mu.Lock()
				defer mu.Unlock()
				numbers[answer["payment_id"]]++
				if status == http.StatusCreated {
					created++
				}
			})
		}
		wait.Wait()
		if balance := books.of(customer)[0].balance(); len(numbers) != 1 || created != 1 || balance != 248015-12350 {
			t.Errorf("paid as %v, %d made, and %s are left", numbers, created, balance)
		}
	})
	before := books.of(customer)[0].balance()
	for name, body := range map[string]string{
		"refuses another amount":    strings.Replace(wholeBill, "123.50", "1235.00", 1),
		"refuses another writing":   strings.Replace(wholeBill, "123.50", "0123.50", 1),
		"refuses another currency":  strings.Replace(wholeBill, "EUR", "USD", 1),
		"refuses another payee":     strings.Replace(wholeBill, "Fernhill", "Fernhil1", 1),
		"refuses another account":   strings.Replace(wholeBill, "DE19", "DE20", 1),
		"refuses another reference": strings.Replace(wholeBill, "20816", "20817", 1),
		"refuses a further member":  strings.Replace(wholeBill, `{"type"`, `{"urgent":true,"type"`, 1),
		"refuses no payment":        `{}`,
		"refuses no JSON":           `pay`,
		"refuses nothing":           strings.Replace(wholeBill, "123.50", "0", 1),
	} {
		t.Run(name, func(t *testing.T) {
			status, answer := call(t, books, confirmed(t, wholeBill), http.MethodPost, "/payments", body)
			if status != http.StatusForbidden && status != http.StatusBadRequest || answer["error"] == nil || books.of(customer)[0].balance() != before {
				t.Errorf("%d %v, %s left", status, answer, books.of(customer)[0].balance())
			}
		})
	}
	for name, try := range map[string]struct {
		h      holder
		status int
	}{
		"refuses a token for account information": {sharing([]string{"list_accounts"}, everyday), http.StatusForbidden},
		"refuses who has no account here":         {holder{"customer-0815", confirmed(t, wholeBill).Details}, http.StatusConflict},
		"refuses a token that says nothing":       {holder{}, http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			if status, answer := call(t, books, try.h, http.MethodPost, "/payments", wholeBill); status != try.status || answer["error"] == nil {
				t.Errorf("%d %v", status, answer)
			}
		})
	}
	t.Run("refuses more than there is", func(t *testing.T) {
		large := strings.Replace(wholeBill, "123.50", "99999.00", 1)
		if status, answer := call(t, books, confirmed(t, large), http.MethodPost, "/payments", large); status != http.StatusConflict || answer["error"] != "payment_refused" {
			t.Errorf("%d %v", status, answer)
		}
	})
}

// TestCents: amounts are read and written without loss, and what is no amount is refused.
func TestCents(t *testing.T) {
	for text, want := range map[string]cents{"0": 0, "7": 700, "123.50": 12350, "0.05": 5, "9999999999999.99": 999999999999999} {
		if got, err := parseCents(text); err != nil || got != want {
			t.Errorf("%s is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", ".", "1.", "1.5", "1.505", ".50", "-1.00", "+1.00", "1,50", "1e3", " 1.00", "1.0a", "99999999999999.00"} {
		if got, err := parseCents(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
	for amount, want := range map[cents]string{0: "0.00", 5: "0.05", -4220: "-42.20", 248015: "2480.15"} {
		if got := amount.String(); got != want {
			t.Errorf("%d is written %s", int64(amount), got)
		}
	}
}
