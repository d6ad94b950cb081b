package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// cents is an amount of euros, in cents: money is never a floating-point number.
type cents int64

// parseCents reads an amount as authorization_details and the API write it, such as 123.50: digits, with two behind the point
// or no point at all.
func parseCents(text string) (cents, error) {
	whole, fraction, point := strings.Cut(text, ".")
	if point && len(fraction) != 2 || !digits(whole) || point && !digits(fraction) || len(whole) > 13 {
		return 0, fmt.Errorf("%q is no amount such as 123.50", text)
	}
	euros, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || !point {
		return cents(euros * 100), err
	}
	rest, err := strconv.ParseInt(fraction, 10, 64)
	return cents(euros*100 + rest), err
}

func digits(text string) bool {
	return text != "" && strings.Trim(text, "0123456789") == ""
}

// String writes the amount, with a sign if it is negative.
func (c cents) String() string {
	sign := ""
	if c < 0 {
		sign, c = "-", -c
	}
	return fmt.Sprintf("%s%d.%02d", sign, int64(c)/100, int64(c)%100)
}

// entry is a line of an account's statement.
type entry struct {
	When   time.Time
	Who    string
	What   string
	Amount cents
}

// account is one account of a customer.
type account struct {
	IBAN, Name string
	Entries    []entry
}

// balance is what all entries come to.
func (a *account) balance() cents {
	var sum cents
	for _, each := range a.Entries {
		sum += each.Amount
	}
	return sum
}

// payment is what a customer has confirmed: the authorization details of the token say it, and nothing else is paid.
type payment struct {
	Payee, IBAN, Reference string
	Amount                 cents
}

// The reasons not to pay.
var (
	errPaidAlready = errors.New("this was paid already")
	errNotEnough   = errors.New("the account does not hold that much")
	errNoAccount   = errors.New("the customer has no account")
)

// books are the accounts of all customers, by the subject that the authorization server knows them as.
type books struct {
	mu       sync.Mutex
	accounts map[string][]*account
	// paid is what was paid: once, however many tokens say so.
	paid map[string]receipt
}

// receipt is a payment that was made.
type receipt struct {
	ID   string
	When time.Time
	From string
}

// openBooks gives one customer the accounts that the example shows.
func openBooks(subject string, now time.Time) *books {
	day := func(ago int, hour int) time.Time {
		at := now.AddDate(0, 0, -ago)
		return time.Date(at.Year(), at.Month(), at.Day(), hour, 0, 0, 0, at.Location())
	}
	return &books{paid: map[string]receipt{}, accounts: map[string][]*account{subject: {
		{IBAN: "DE24999999990000124821", Name: "Everyday account", Entries: []entry{
			{day(60, 9), "Northfold Bank", "Carried forward", 95030},
			{day(29, 8), "Harbour Studio", "Salary", 284000},
			{day(27, 10), "Kestrel Homes", "Rent", -98000},
			{day(20, 18), "Fernhill Market", "Groceries", -8415},
			{day(12, 13), "Tern Railway", "Tickets", -4680},
			{day(8, 19), "Fernhill Market", "Groceries", -6920},
			{day(3, 7), "Quillmere Energy", "Electricity", -6130},
			{day(2, 20), "Lantern Cinema", "Two seats", -2650},
			{day(1, 12), "Saltbox Bakery", "Bread", -4220},
		}},
		{IBAN: "DE51999999990000127730", Name: "Household", Entries: []entry{
			{day(60, 9), "Northfold Bank", "Carried forward", 52140},
			{day(28, 9), "Everyday account", "For the household", 30000},
			{day(15, 11), "Wren & Daughters", "Plumber", -14800},
			{day(5, 16), "Fernhill Market", "Groceries", -5850},
		}},
		{IBAN: "DE55999999990000120092", Name: "Rainy day", Entries: []entry{
			{day(60, 9), "Northfold Bank", "Carried forward", 910000},
			{day(28, 9), "Everyday account", "Set aside", 20000},
		}},
	}}}
}

// of finds a customer's accounts.
func (b *books) of(subject string) []account {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []account
	for _, each := range b.accounts[subject] {
		copied := *each
		copied.Entries = slices.SortedStableFunc(slices.Values(each.Entries), func(x, y entry) int { return cmp.Compare(y.When.Unix(), x.When.Unix()) })
		all = append(all, copied)
	}
	return all
}

// pay makes a payment from the customer's first account, once: the same payment again is errPaidAlready, with the first one's
// receipt. number names a new one.
func (b *books) pay(subject string, p payment, number func() string, now time.Time) (receipt, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.accounts[subject]) == 0 {
		return receipt{}, errNoAccount
	}
	key := strings.Join([]string{subject, p.IBAN, p.Reference, p.Amount.String()}, "\x00")
	if before, paid := b.paid[key]; paid {
		return before, errPaidAlready
	}
	from := b.accounts[subject][0]
	if from.balance() < p.Amount {
		return receipt{}, errNotEnough
	}
	from.Entries = append(from.Entries, entry{now, p.Payee, p.Reference, -p.Amount})
	made := receipt{ID: number(), When: now, From: from.Name}
	b.paid[key] = made
	return made, nil
}
