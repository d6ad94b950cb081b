package backchannel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"countersign/fapi/claims"
	"countersign/fapi/client"
	"countersign/fapi/consent"
	"countersign/fapi/offers"
	"countersign/fapi/rar"
	"countersign/fapi/rar/display"
	"countersign/fapi/tokens"
	"countersign/internal/set"
	"countersign/store"
)

// view makes the view of a request. get reads its client. offer fills the lists that it leaves to be offered, as far as they can be;
// of one that cannot nothing can be chosen.
func (h *Handler) view(
	ctx context.Context, record store.BackchannelRequest,
	get func(ctx context.Context, id string) (*client.Client, error), offer bool,
) (View, error) {
	found, err := get(ctx, record.ClientID)
	if err != nil {
		return View{}, err
	}
	request, err := parse(record)
	if err != nil {
		return View{}, err
	}
	var lodged *consent.Consent
	if h.stateOf(record) == Waiting {
		if lodged, err = h.rechecked(ctx, found, request, record.ID); err != nil {
			return View{}, err
		}
	}
	var accounts []display.Offered
	if offer && h.stateOf(record) == Waiting {
		if request, accounts, err = fill(ctx, h.offers, request, record, nil); err != nil {
			return View{}, err
		}
	}
	life, err := h.life(request, found, lodged)
	if err != nil {
		return View{}, err
	}
	view := View{
		Reference: referenceOf(record.ID), State: h.stateOf(record),
		Client:  viewClient(found),
		Message: request.Message, Claims: request.extraClaims(), claims: request.Claims, Scopes: h.scopes.LookupAll(request.Scopes), scopes: request.Scopes,
		consent: request.Consent, types: h.details.Knowing(accounts), offers: h.offers,
		Resources: request.Resources, ResourceNames: h.details.Languages().Resources(request.Resources), ACRs: set.Intersect(h.checker.ACRValues(), request.ACRs),
		CreatedAt: record.CreatedAt, ExpiresAt: record.ExpiresAt, GrantLifetime: life.For, GrantUntil: life.Until,
	}
	view.Language = h.details.Languages().Match()
	view.change, view.catalog = request.Managed.Change(request.Scopes, view.Claims, request.Details), h.scopes
	if lodged != nil {
		view.ConsentValues = rar.Details{lodged.Shown}
		view.agreed = func(language string) ([]display.View, error) {
			return h.agreements.View(lodged, language, view.Client.Asker())
		}
	}
	if view, err = view.of(request.detail()); err != nil || view.State != Approved || !view.HasChoice() {
		return view, err
	}
	granted, err := h.granted(ctx, record)
	if err != nil {
		return View{}, err
	}
	view.types = h.details.Knowing(granted.Accounts)
	return view.of(granted)
}

// fill fills the lists that a request leaves to be offered to its user: from the claims source and, where told is not nil, by what the
// login told. While nothing can be offered of one it stays open.
func fill(
	ctx context.Context, from *offers.Offers, of stored, record store.BackchannelRequest, told []display.Offered,
) (stored, []display.Offered, error) {
	details, accounts, err := from.FromClaims(ctx, claims.Question{
		Subject: record.Subject, ClientID: record.ClientID, Scopes: of.Scopes,
	}, of.Details)
	if err == nil && told != nil {
		accounts = append(accounts, told...)
		details, err = from.FromLogin(details, told)
	}
	if _, _, ok := offers.Refusal(err); ok {
		return of, nil, nil
	}
	if err != nil {
		return of, nil, err
	}
	of.Details, of.Accounts = details, details.Named(from.Types, accounts)
	return of, accounts, nil
}

// life is how long a grant of the request lasts: as long as any does, or as its ecosystem has it, and not longer than its details and
// its consent allow.
func (h *Handler) life(of stored, by *client.Client, c *consent.Consent) (display.Life, error) {
	life, err := of.Details.Life(h.details)
	return life.Shorter(consent.Life(by.Profile, c, of.detail().Lasts(by.Profile, h.grantLifetime))), err
}

// granted reads what a user allowed of a request, which is less than was requested where something was to be chosen.
func (h *Handler) granted(ctx context.Context, record store.BackchannelRequest) (tokens.Detail, error) {
	polled, err := h.store.PollBackchannel(ctx, record.ID, record.ClientID) // changes nothing of a request that is decided
	if err != nil && !errors.Is(err, store.ErrConsumed) && !errors.Is(err, store.ErrExpired) {
		return tokens.Detail{}, err
	}
	if polled.Grant == nil {
		return tokens.Detail{}, ErrNotFound
	}
	return tokens.ReadDetail(*polled.Grant)
}

// detail is what a grant of the request has.
func (r stored) detail() tokens.Detail {
	return tokens.Detail{Details: r.Details, Resources: r.Resources, Accounts: r.Accounts, Claims: r.Claims, Backchannel: true, Consent: r.Consent, Begun: r.Managed.Since()}
}

func parse(record store.BackchannelRequest) (stored, error) {
	var request stored
	if err := json.Unmarshal(record.Parameters, &request); err != nil {
		return stored{}, fmt.Errorf("fapi: a stored backchannel request: %w", err)
	}
	return request, nil
}
