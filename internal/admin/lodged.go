package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"countersign/internal/admin/fault"
	"countersign/store"
)

// ListedLodged is a consent that a client lodged, as it is listed, as JSON too.
type ListedLodged struct {
	ID          string              `json:"id"`
	ClientID    string              `json:"client_id"`
	Kind        string              `json:"kind"`
	Status      store.ConsentStatus `json:"status"`
	Permissions []string            `json:"permissions,omitempty"`
	Subject     string              `json:"sub,omitempty"`
	GrantID     string              `json:"grant_id,omitempty"`
	Content     json.RawMessage     `json:"content,omitempty"`
	CreatedAt   time.Time           `json:"created_at"`
	ChangedAt   time.Time           `json:"changed_at"`
	EndsAt      time.Time           `json:"ends_at,omitzero"`
	EndedBy     string              `json:"ended_by,omitempty"`
	Reason      string              `json:"reason,omitempty"`
}

// Lodged describes a consent that a client lodged.
func Lodged(c store.LodgedConsent) ListedLodged {
	return ListedLodged{
		ID: c.ID, ClientID: c.ClientID, Kind: c.Kind, Status: c.Status, Permissions: c.Permissions, Subject: c.Subject, GrantID: c.GrantID,
		Content: c.Content, CreatedAt: c.CreatedAt, ChangedAt: c.ChangedAt, EndsAt: c.EndsAt, EndedBy: c.EndedBy, Reason: c.Reason,
	}
}

// Consents is what an operator does with the consents that clients lodge.
type Consents struct{ *Admin }

// List lists the consents that clients lodged, the newest first: of a user or of a client, one of which must be given.
func (a Consents) List(ctx context.Context, chosen Selection) ([]ListedLodged, error) {
	if chosen.User == "" && chosen.Client == "" {
		return nil, Usagef("give --user or --client")
	}
	filter, err := a.Filter(ctx, chosen)
	if err != nil {
		return nil, err
	}
	found, err := a.Store.ListLodgedConsents(ctx, store.ConsentFilter{Subject: filter.Subject, ClientID: filter.ClientID}, store.Page{Limit: chosen.Limit})
	listed := []ListedLodged{}
	for _, c := range found {
		listed = append(listed, Lodged(c))
	}
	return listed, err
}

// Show reads one.
func (a Consents) Show(ctx context.Context, id string) (ListedLodged, error) {
	c, err := a.Store.LodgedConsent(ctx, "", id)
	return Lodged(c), unlodged(id, err)
}

// End ends a consent in the name of the operator, with its grant, codes and tokens, on all nodes.
func (a Consents) End(ctx context.Context, id, reason string) (ListedLodged, error) {
	c, err := a.Store.EndConsent(ctx, store.ConsentEnding{ID: id, By: store.EndedByBank, Reason: reason})
	if errors.Is(err, store.ErrConsumed) {
		return Lodged(c), fault.Refusedf("the consent %q has ended before: it is %s since %s", id, c.Status, c.ChangedAt.Format(time.RFC3339))
	}
	return Lodged(c), unlodged(id, err)
}

// Spend marks what a consent allowed once as done.
func (a Consents) Spend(ctx context.Context, id string) (ListedLodged, error) {
	c, err := a.Store.SpendConsent(ctx, "", id)
	if errors.Is(err, store.ErrConsumed) || errors.Is(err, store.ErrExpired) {
		return Lodged(c), fmt.Errorf("the consent %q is %s; only one that is authorised can be consumed", id, c.Status)
	}
	return Lodged(c), unlodged(id, err)
}

func unlodged(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.Missingf("there is no consent %q; `countersign consents list` shows those of a client or a user", id)
	}
	return err
}

// EndConsent implements store.Consents. The record and the end are one change.
func (a audited) EndConsent(ctx context.Context, e store.ConsentEnding) (store.LodgedConsent, error) {
	detail := []string{"consent", e.ID}
	if e.Reason != "" {
		detail = append(detail, "reason", e.Reason)
	}
	own, err := a.evidence("consent_ended", "", detail...)
	if err != nil {
		return store.LodgedConsent{}, err
	}
	e.Evidence = append(e.Evidence, own)
	return a.Store.EndConsent(ctx, e)
}

// SpendConsent implements store.Consents. The record and the change are one.
func (a audited) SpendConsent(ctx context.Context, clientID, id string, evidence ...store.Evidence) (store.LodgedConsent, error) {
	own, err := a.evidence("consent_consumed", "", "consent", id)
	if err != nil {
		return store.LodgedConsent{}, err
	}
	return a.Store.SpendConsent(ctx, clientID, id, append(evidence, own)...)
}
