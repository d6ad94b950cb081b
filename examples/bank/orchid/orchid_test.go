package main

import (
	"context"
	"testing"
	"time"
)

// TestWritten: amounts, account numbers and days as people read them.
func TestWritten(t *testing.T) {
	now := time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	for got, want := range map[string]string{
		euros("0.05"): "€0.05", euros("2480.15"): "€2,480.15", euros("-980.00"): "−€980.00", euros("1234567.00"): "€1,234,567.00",
		groups("DE24999999990000124821"): "DE24 9999 9999 0000 1248 21", ending("DE24999999990000124821"): "4821",
		day(now, now): "today", day(now.AddDate(0, 0, -1), now): "yesterday", day(now.AddDate(0, 0, 4), now): "4 December", day(now.AddDate(0, 2, 0), now): "30 January 2027",
		plural(1, "account", "accounts"): "1 account", plural(2, "account", "accounts"): "2 accounts",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, balances := range map[string][]string{"€0.00": nil, "€3,095.05": {"2480.15", "614.90"}, "−€5.25": {"10.00", "-15.25"}, "−€0.50": {"-0.50"}} {
		if got, err := total(balances); err != nil || got != want {
			t.Errorf("%v make %q, %v", balances, got, err)
		}
	}
	if got, err := total([]string{"many"}); err == nil {
		t.Errorf("no amount makes %q", got)
	}
}

// TestOrders: an order belongs to one user, and a bill counts as paid when the bank has paid it.
func TestOrders(t *testing.T) {
	os, b := &orders{all: map[string]*order{}}, sampleBills()[0]
	decide := make(chan *paid)
	begin := func() *order {
		return os.begin(t.Context(), "sam", b, "MINT 1207", func(context.Context) (*paid, string) {
			if made := <-decide; made != nil {
				return made, ""
			}
			return nil, "declined"
		})
	}
	first := begin()
	if _, found := os.find(first.ID, "kim"); found {
		t.Error("somebody else finds the order")
	}
	if found, ok := os.find(first.ID, "sam"); !ok || found.decided() || os.paid("sam", b.ID) {
		t.Errorf("%v %v", found, ok)
	}
	decide <- nil
	<-first.done
	if first.Reason != "declined" || os.paid("sam", b.ID) {
		t.Errorf("declined: %+v", first)
	}
	second := begin()
	decide <- &paid{Number: "A1"}
	<-second.done
	if !os.paid("sam", b.ID) || os.paid("kim", b.ID) || os.paid("sam", "quillmere") {
		t.Error("the bill is not paid, or another one is")
	}
}

// TestWord: what both screens show is not the same twice.
func TestWord(t *testing.T) {
	seen := map[string]bool{}
	for range 20 {
		word, err := newWord()
		if err != nil {
			t.Fatal(err)
		}
		seen[word] = true
	}
	if len(seen) < 15 {
		t.Errorf("twenty words are %v", seen)
	}
}
