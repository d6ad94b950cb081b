package consent

import (
	"context"
	"errors"

	"countersign/store"
)

// Own is the [Source] of consents that are lodged with this server: its own store.
type Own struct {
	Store store.Consents
	// Quota bounds what awaits a decision.
	Quota store.ConsentQuota
	// Notify says that changes of new consents are told to the operator's webhook.
	Notify bool
}

var _ Source = Own{}

// Lodge stores a new consent, which awaits a decision until its ExpiresAt. ErrState when the client or its organisation has as many
// as it may have, [store.ErrConflict] when the ID exists, [store.ErrReplayed].
func (o Own) Lodge(ctx context.Context, c Consent, oneTimes ...store.OneTime) error {
	c.Status, c.Version, c.ChangedAt, c.Notify = store.ConsentAwaiting, 1, c.CreatedAt, o.Notify
	return translate(o.Store.LodgeConsent(ctx, c, o.Quota, oneTimes...))
}

// Read implements [Source].
func (o Own) Read(ctx context.Context, clientID, id string) (Consent, error) {
	c, err := o.Store.LodgedConsent(ctx, clientID, id)
	return c, translate(err)
}

// Bind implements [Source].
func (o Own) Bind(ctx context.Context, binding Binding) (Consent, error) {
	c, err := o.Store.BindConsent(ctx, binding)
	return c, translate(err)
}

// Decide implements [Source]: all is done by the transaction of the decision.
func (o Own) Decide(_ context.Context, d Decision) (*store.ConsentDecision, error) {
	return &store.ConsentDecision{
		ID: d.Consent.ID, ClientID: d.Consent.ClientID, Bound: d.Bound, Version: d.Consent.Version, Subject: d.Subject,
	}, nil
}

// Undo implements [Source]: there is nothing to undo.
func (Own) Undo(context.Context, Decision) {}

// Spend marks what a consent allowed once as done: of all callers one wins, and the rest get ErrState. An empty clientID is any.
func (o Own) Spend(ctx context.Context, clientID, id string, evidence ...store.Evidence) (Consent, error) {
	c, err := o.Store.SpendConsent(ctx, clientID, id, evidence...)
	return c, translate(err)
}

// Revoke implements [Source].
func (o Own) Revoke(ctx context.Context, r Revocation) (Consent, error) {
	c, err := o.Store.EndConsent(ctx, store.ConsentEnding{
		ID: r.ID, ClientID: r.ClientID, Subject: r.Subject, By: r.By, Reason: r.Reason, Evidence: r.Evidence,
	})
	return c, translate(err)
}

// translate translates the errors of the store.
func translate(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound):
		return ErrNotFound
	case errors.Is(err, store.ErrConsumed), errors.Is(err, store.ErrExpired):
		return ErrState
	}
	return err
}
