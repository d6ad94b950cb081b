package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// bill is something that is owed.
type bill struct {
	ID, Payee, IBAN, Reference string
	// Amount is in euros, as the API writes it.
	Amount string
	// DueIn is how many days are left.
	DueIn int
}

// sampleBills are the bills that this example shows everybody.
func sampleBills() []bill {
	return []bill{
		{ID: "fernhill", Payee: "Fernhill Cycles", IBAN: "DE19999999990000123456", Reference: "Order 20816", Amount: "123.50", DueIn: 4},
		{ID: "quillmere", Payee: "Quillmere Energy", IBAN: "DE69999999990000770031", Reference: "Contract 5518, December", Amount: "61.30", DueIn: 11},
	}
}

// paid is what the bank says of a payment that it has made.
type paid struct {
	Number string    `json:"payment_id"`
	When   time.Time `json:"made_at"`
	From   string    `json:"from"`
}

// order is a bill that somebody wants to pay, from the question on the telephone to what became of it.
type order struct {
	ID, Subject, Word string
	Bill              bill

	// done is closed when it is decided: then Paid or Reason says what became of it.
	done   chan struct{}
	Paid   *paid
	Reason string
}

// decided reports whether it is.
func (o *order) decided() bool {
	select {
	case <-o.done:
		return true
	default:
		return false
	}
}

// orders keeps them all, in memory: this is an example.
type orders struct {
	mu  sync.Mutex
	all map[string]*order
}

// begin keeps a new order, and has pay carry it out: it returns when the user has decided.
func (os *orders) begin(ctx context.Context, subject string, b bill, word string, pay func(ctx context.Context) (*paid, string)) *order {
	o := &order{ID: rand.Text(), Subject: subject, Word: word, Bill: b, done: make(chan struct{})}
	os.mu.Lock()
	os.all[o.ID] = o
	os.mu.Unlock()
	go func() {
		o.Paid, o.Reason = pay(ctx)
		close(o.done)
	}()
	return o
}

// find finds an order of a user; those of others are not there.
func (os *orders) find(id, subject string) (*order, bool) {
	os.mu.Lock()
	defer os.mu.Unlock()
	o, found := os.all[id]
	return o, found && o.Subject == subject
}

// paid reports whether a user has paid a bill.
func (os *orders) paid(subject, billID string) bool {
	os.mu.Lock()
	defer os.mu.Unlock()
	for _, each := range os.all {
		if each.Subject == subject && each.Bill.ID == billID && each.decided() && each.Paid != nil {
			return true
		}
	}
	return false
}

// newWord makes what both screens show (CIBA Core §7.1, binding_message), so that nobody confirms another one's payment.
func newWord() (string, error) {
	words := []string{"ALDER", "BIRCH", "CEDAR", "CLOVER", "FERN", "HAZEL", "IVY", "JUNIPER", "LARCH", "LAUREL", "MINT", "POPLAR", "ROWAN", "SORREL", "THYME", "WILLOW"}
	which, err := rand.Int(rand.Reader, big.NewInt(int64(len(words))))
	if err != nil {
		return "", err
	}
	number, err := rand.Int(rand.Reader, big.NewInt(10000))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s %04d", words[which.Int64()], number.Int64()), nil
}
