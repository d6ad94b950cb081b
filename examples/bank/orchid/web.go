package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"countersign/rp"
)

// orchid is the web application.
type orchid struct {
	pages  pages
	app    *rp.App
	bank   bankAPI
	bills  []bill
	orders *orders
	// issuer is the bank's authorization server.
	issuer string
	log    *slog.Logger
	now    func() time.Time
	// background is what goes on when a request has been answered: payments that wait for a telephone.
	background context.Context
}

// routes are the pages. Those behind member need a connection to the bank.
func (o *orchid) routes() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", o.home)
	mux.HandleFunc("GET /connect", o.connect)
	mux.HandleFunc("POST /connect", o.connectTo)
	mux.HandleFunc("GET /accounts", o.member(o.accounts))
	mux.HandleFunc("GET /accounts/{iban}", o.member(o.account))
	mux.HandleFunc("GET /bills/{id}", o.member(o.bill))
	mux.HandleFunc("POST /bills/{id}", o.member(o.payBill))
	mux.HandleFunc("GET /payments/{id}", o.member(o.payment))
	mux.HandleFunc("GET /connection", o.member(o.connection))
	mux.HandleFunc("POST /connection/end", o.member(o.endConnection))
	mux.HandleFunc("GET /ended", o.ended)
	for _, asset := range []string{"style.css", "orchid.svg"} {
		mux.HandleFunc("GET /"+asset, func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, asset) })
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		o.problem(w, r, http.StatusNotFound, "There is no such page", "The address may be wrong, or the page may be gone.")
	})
	return mux
}

// member has a handler run for who is connected. Everybody else begins at the first page.
func (o *orchid) member(handle func(w http.ResponseWriter, r *http.Request, v visitor)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		v, connected := visitorOf(r)
		if !connected {
			http.Redirect(w, r, "/", http.StatusSeeOther)
			return
		}
		handle(w, r, v)
	}
}

func (o *orchid) home(w http.ResponseWriter, r *http.Request) {
	if _, connected := visitorOf(r); connected {
		http.Redirect(w, r, "/accounts", http.StatusSeeOther)
		return
	}
	data := struct{ SignedOut bool }{r.URL.Query().Has("signed-out")}
	o.render(w, r, http.StatusOK, "home", page{Title: "All your money on one page", Data: data})
}

// connect says what the bank will be asked for.
func (o *orchid) connect(w http.ResponseWriter, r *http.Request) {
	o.render(w, r, http.StatusOK, "connect", page{Title: "Connect " + bankName + "?", Narrow: true})
}

// shownAccount, shownEntry and shownBill are what the pages show.
type shownAccount struct{ IBAN, Number, Ending, Name, Balance string }

type shownEntry struct {
	at                      time.Time
	When, Who, What, Amount string
	In                      bool
}

type shownBill struct {
	ID, Payee, Number, Reference, Amount, Due string
	Paid                                      bool
}

func showAccount(a bankAccount) shownAccount {
	return shownAccount{a.IBAN, groups(a.IBAN), ending(a.IBAN), a.Name, euros(a.Balance)}
}

func (o *orchid) showEntries(all []bankEntry) []shownEntry {
	var shown []shownEntry
	for _, each := range all {
		shown = append(shown, shownEntry{each.When, day(each.When, o.now()), each.Who, each.What, euros(each.Amount), !strings.HasPrefix(each.Amount, "-")})
	}
	return shown
}

func (o *orchid) showBill(b bill, subject string) shownBill {
	return shownBill{b.ID, b.Payee, groups(b.IBAN), b.Reference, euros(b.Amount), day(o.now().AddDate(0, 0, b.DueIn), o.now()), o.orders.paid(subject, b.ID)}
}

// latest is how many payments the first page shows.
const latest = 8

func (o *orchid) accounts(w http.ResponseWriter, r *http.Request, v visitor) {
	accounts, err := o.bank.accounts(r.Context(), v.http)
	if o.unable(w, r, err) {
		return
	}
	var data struct {
		Total, Count, In, Out string
		Accounts              []shownAccount
		Latest                []shownEntry
		Bills                 []shownBill
	}
	var balances, in, out []string
	monthAgo := o.now().AddDate(0, 0, -30)
	for _, each := range accounts {
		entries, err := o.bank.entries(r.Context(), v.http, each.IBAN)
		if o.unable(w, r, err) {
			return
		}
		data.Accounts = append(data.Accounts, showAccount(each))
		data.Latest = append(data.Latest, o.showEntries(entries)...)
		balances = append(balances, each.Balance)
		for _, one := range entries {
			switch {
			case one.When.Before(monthAgo):
			case strings.HasPrefix(one.Amount, "-"):
				out = append(out, one.Amount)
			default:
				in = append(in, one.Amount)
			}
		}
	}
	slices.SortStableFunc(data.Latest, func(a, b shownEntry) int { return cmp.Compare(b.at.UnixNano(), a.at.UnixNano()) })
	data.Latest = data.Latest[:min(latest, len(data.Latest))]
	data.Count = plural(len(accounts), "account", "accounts")
	for _, each := range []struct {
		into    *string
		amounts []string
	}{{&data.Total, balances}, {&data.In, in}, {&data.Out, out}} {
		if *each.into, err = total(each.amounts); o.unable(w, r, err) {
			return
		}
	}
	for _, each := range o.bills {
		data.Bills = append(data.Bills, o.showBill(each, v.subject))
	}
	o.render(w, r, http.StatusOK, "accounts", page{Title: "Your money", Here: "accounts", Data: data})
}

func (o *orchid) account(w http.ResponseWriter, r *http.Request, v visitor) {
	accounts, err := o.bank.accounts(r.Context(), v.http)
	if o.unable(w, r, err) {
		return
	}
	at := slices.IndexFunc(accounts, func(a bankAccount) bool { return a.IBAN == r.PathValue("iban") })
	if at < 0 {
		o.problem(w, r, http.StatusNotFound, "There is no such account", "It may be that you did not share it.")
		return
	}
	entries, err := o.bank.entries(r.Context(), v.http, accounts[at].IBAN)
	if o.unable(w, r, err) {
		return
	}
	data := struct {
		Account shownAccount
		Entries []shownEntry
	}{showAccount(accounts[at]), o.showEntries(entries)}
	o.render(w, r, http.StatusOK, "account", page{Title: accounts[at].Name, Here: "accounts", Narrow: true, Data: data})
}

func (o *orchid) findBill(id string) (bill, bool) {
	at := slices.IndexFunc(o.bills, func(b bill) bool { return b.ID == id })
	if at < 0 {
		return bill{}, false
	}
	return o.bills[at], true
}

func (o *orchid) bill(w http.ResponseWriter, r *http.Request, v visitor) {
	b, found := o.findBill(r.PathValue("id"))
	if !found {
		o.problem(w, r, http.StatusNotFound, "There is no such bill", "It may have been paid or withdrawn.")
		return
	}
	data := struct{ Bill shownBill }{o.showBill(b, v.subject)}
	o.render(w, r, http.StatusOK, "bill", page{Title: "Pay " + data.Bill.Amount + " to " + b.Payee + "?", Narrow: true, Data: data})
}

// payBill has the bank ask the user on the telephone, and then shows the page that waits.
func (o *orchid) payBill(w http.ResponseWriter, r *http.Request, v visitor) {
	b, found := o.findBill(r.PathValue("id"))
	if !found {
		o.problem(w, r, http.StatusNotFound, "There is no such bill", "It may have been paid or withdrawn.")
		return
	}
	word, err := newWord()
	if err != nil {
		o.failed(w, r, err)
		return
	}
	answer, err := o.ask(r, v, b, word)
	if o.unable(w, r, err) {
		return
	}
	begun := o.orders.begin(o.background, v.subject, b, word, func(ctx context.Context) (*paid, string) {
		as, reason, err := answer(ctx)
		if err == nil && reason == "" {
			var made *paid
			if made, err = o.bank.pay(ctx, as, b); err == nil {
				return made, ""
			}
		}
		if err != nil {
			o.log.WarnContext(ctx, "payment failed", "bill", b.ID, "error", err)
			return nil, "Something went wrong between us and " + bankName + ". Look at your account there before you try again."
		}
		return nil, reason
	})
	http.Redirect(w, r, "/payments/"+begun.ID, http.StatusSeeOther)
}

// payment shows an order: the page that waits, until it is decided, and then what became of it.
func (o *orchid) payment(w http.ResponseWriter, r *http.Request, v visitor) {
	found, ok := o.orders.find(r.PathValue("id"), v.subject)
	if !ok {
		o.problem(w, r, http.StatusNotFound, "There is no such payment", "It may be somebody else's.")
		return
	}
	shown := o.showBill(found.Bill, v.subject)
	if !found.decided() {
		data := struct {
			ID, Word, Device string
			Bill             shownBill
		}{found.ID, found.Word, o.issuer + "/device", shown}
		o.renderUntil(w, r, "waiting", page{Title: "Confirm on your telephone", Narrow: true, Data: data}, found.done)
		return
	}
	data := struct {
		Paid                       bool
		Bill                       shownBill
		Reason, From, When, Number string
	}{Bill: shown, Reason: found.Reason}
	title := "Nothing was paid"
	if made := found.Paid; made != nil {
		on := day(made.When, o.now())
		data.Paid, data.From, data.Number = true, made.From, made.Number
		data.When = strings.ToUpper(on[:1]) + on[1:] + " at " + made.When.Local().Format("15:04")
		title = shown.Amount + " paid to " + found.Bill.Payee
	}
	o.render(w, r, http.StatusOK, "outcome", page{Title: title, Narrow: true, Data: data})
}

func (o *orchid) connection(w http.ResponseWriter, r *http.Request, v visitor) {
	accounts, err := o.bank.accounts(r.Context(), v.http)
	if o.unable(w, r, err) {
		return
	}
	data := struct {
		Accounts []shownAccount
		Account  string
	}{Account: o.issuer + "/account"}
	for _, each := range accounts {
		data.Accounts = append(data.Accounts, showAccount(each))
	}
	o.render(w, r, http.StatusOK, "connection", page{Title: "Your connection to " + bankName, Here: "connection", Narrow: true, Data: data})
}

// endConnection gives back what the user allowed, and forgets the session.
func (o *orchid) endConnection(w http.ResponseWriter, r *http.Request, _ visitor) {
	o.app.Logout(w, r, rp.LocalOnly(), rp.WithLogoutReturn(endedHere))
}

// unable shows what is to be shown when the bank did not answer as wanted, and reports whether there was such a reason.
func (o *orchid) unable(w http.ResponseWriter, r *http.Request, err error) bool {
	switch {
	case err == nil:
		return false
	case errors.Is(err, errEnded), errors.Is(err, rp.ErrLoginRequired):
		o.forget(w, r)
	default:
		o.failed(w, r, err)
	}
	return true
}

// forget is for who has ended at the bank what we were allowed: nothing is left here, either.
func (o *orchid) forget(w http.ResponseWriter, r *http.Request) {
	o.app.Logout(w, r, rp.LocalOnly(), rp.WithLogoutReturn(endedThere))
}

// ended says that the connection has ended, and who ended it.
func (o *orchid) ended(w http.ResponseWriter, r *http.Request) {
	data := struct{ Heading, Text string }{bankName + " has ended the connection", "You ended it there, or it has run out. We see nothing any more, and have forgotten what we saw."}
	if r.URL.Query().Has("here") {
		data.Heading, data.Text = "The connection has ended", bankName+" knows it. We see nothing any more, and have forgotten what we saw."
	}
	o.render(w, r, http.StatusOK, "ended", page{Title: data.Heading, Narrow: true, Data: data})
}

// failed is for what nobody expects; the log has the reason.
func (o *orchid) failed(w http.ResponseWriter, r *http.Request, err error) {
	o.log.WarnContext(r.Context(), "request failed", "path", r.URL.Path, "error", err)
	o.problem(w, r, http.StatusBadGateway, bankName+" does not answer", "Nothing was changed. Try again in a minute.")
}

// problemData is a page that says what is wrong, and the one way on.
type problemData struct {
	Heading, Text, Number, On, OnLabel string
	// Post makes the way on a form.
	Post bool
}

func (o *orchid) problem(w http.ResponseWriter, r *http.Request, status int, heading, text string) {
	o.render(w, r, status, "problem", page{Title: "Problem: " + heading, Narrow: true, Data: problemData{Heading: heading, Text: text, On: "/", OnLabel: "To the start"}})
}

// total adds balances such as 614.90 up, and writes the sum.
func total(balances []string) (string, error) {
	var sum int64
	for _, each := range balances {
		var whole, fraction int64
		if _, err := fmt.Sscanf(strings.TrimPrefix(each, "-"), "%d.%02d", &whole, &fraction); err != nil {
			return "", fmt.Errorf("the bank's balance %q: %w", each, err)
		}
		if strings.HasPrefix(each, "-") {
			whole, fraction = -whole, -fraction
		}
		sum += whole*100 + fraction
	}
	sign := ""
	if sum < 0 {
		sign, sum = "-", -sum
	}
	return euros(fmt.Sprintf("%s%d.%02d", sign, sum/100, sum%100)), nil
}
