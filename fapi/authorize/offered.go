package authorize

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"countersign/fapi/browser"
	"countersign/fapi/claims"
	"countersign/fapi/offers"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/store"
)

// offer fills the lists that the request leaves to be offered to a user, from the claims source and, where it has just signed the user
// in, from the login. What cannot be offered is left open, so that nothing of it can be allowed, and noted. It does nothing without a
// user, and nothing a second time; what it offered to another user is taken back.
func (o *openInteraction) offer(ctx context.Context, subject string) error {
	if subject == "" || subject == o.offeredTo {
		return nil
	}
	if o.offeredTo == "" {
		o.requested = o.request.Details
	}
	h, requested := o.handler, o.requested
	o.offeredTo, o.request.Details, o.request.Accounts = subject, requested, nil
	o.offered, o.unoffered, o.lacks, o.untold = nil, nil, "", false
	details, accounts, err := h.offers.FromClaims(ctx, claims.Question{
		Subject: subject, ClientID: o.client.ID, Scopes: o.request.Scopes,
	}, requested)
	if err == nil && h.handOff != nil && h.handOff.Signs() && o.browser != "" && len(requested.Open(h.offers.Types, rar.FromLogin)) > 0 {
		var told []display.Offered
		told, o.untold, err = o.told(ctx, subject)
		if err == nil && !o.untold {
			accounts = append(accounts, told...)
			details, err = h.offers.FromLogin(details, told)
		}
	}
	if refusal, problem, ok := offers.Refusal(err); ok {
		o.unoffered, o.lacks = refusal, problem
		return nil
	}
	if err != nil {
		return err
	}
	o.request.Details, o.offered = details, accounts
	o.request.Accounts = details.Named(h.offers.Types, accounts)
	return nil
}

// told returns the accounts that the login told of a user who signed in there in this interaction; untold reports that it did not yet.
func (o *openInteraction) told(ctx context.Context, subject string) (told []display.Offered, untold bool, err error) {
	untold = true
	for n := range maxHandOffs {
		handOff, err := o.handler.store.HandOff(ctx, store.DigestOf(o.loginHandle(n)))
		switch {
		case errors.Is(err, store.ErrNotFound):
			return told, untold, nil
		case err != nil && !errors.Is(err, store.ErrConsumed) && !errors.Is(err, store.ErrExpired):
			return nil, true, err
		case handOff.ReturnedAt.IsZero():
			continue
		}
		var decided decision
		if err := json.Unmarshal(handOff.Answer, &decided); err != nil {
			return nil, true, err
		}
		if decided.Login && decided.Subject == subject {
			told, untold = decided.Accounts, false
		}
	}
	return told, untold, nil
}

// loginHandle is the handle of the interaction's hand-off number n.
func (o *openInteraction) loginHandle(n int) string {
	return o.handle + "." + browser.FormToken(o.browser, "login\x00"+o.handle+"\x00"+strconv.Itoa(n))
}

// Leave implements [Actions].
func (o *openInteraction) Leave(w http.ResponseWriter, r *http.Request) {
	if o.unoffered == nil {
		browser.SeeOther(w, o.handler.addressOf(o.handle)) // the source is back, and the page has what it offers
		return
	}
	o.refuse(w, r, o.unoffered)
}
