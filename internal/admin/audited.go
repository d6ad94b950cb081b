package admin

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/store"
)

// Audited returns s as a store that records in the audit log what is changed through it, with the name of who does it. A
// change that was made and not recorded is an error.
func Audited(s store.Store, now func() time.Time, by string) store.Store {
	return audited{Store: s, now: now, by: by}
}

type audited struct {
	store.Store
	now func() time.Time
	by  string
}

// evidence is the record of an event, with names and values of its details.
func (a audited) evidence(event, clientID string, detail ...string) (store.Evidence, error) {
	said := map[string]string{"event": event, "by": a.by}
	for i := 0; i < len(detail); i += 2 {
		said[detail[i]] = detail[i+1]
	}
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, ClientID: clientID, Detail: said})
	return store.Evidence{At: a.now(), Body: body}, err
}

// done records what was done, unless err says that it was not.
func (a audited) done(ctx context.Context, err error, event, clientID string, detail ...string) error {
	if err != nil {
		return err
	}
	own, err := a.evidence(event, clientID, detail...)
	if err == nil {
		err = a.Record(ctx, own)
	}
	if err != nil {
		return fmt.Errorf("it is done, but missing in the audit log: %w", err)
	}
	return nil
}

// PutClient implements store.Clients.
func (a audited) PutClient(ctx context.Context, client store.Client) error {
	return a.done(ctx, a.Store.PutClient(ctx, client), "client_put", client.ID,
		"version", strconv.Itoa(client.Version), "profile", client.Profile, "disabled", strconv.FormatBool(client.Disabled))
}

// DeleteClient implements store.Clients.
func (a audited) DeleteClient(ctx context.Context, id, by string) error {
	ends, err := (&Admin{Store: a.Store, Now: a.now}).Holdings(ctx, id)
	if err != nil {
		return err
	}
	return a.done(ctx, a.Store.DeleteClient(ctx, id, by), "client_deleted", id,
		"grants", strconv.Itoa(ends.Grants), "consents", strconv.Itoa(ends.Consents))
}

// PutInitialToken implements store.Clients.
func (a audited) PutInitialToken(ctx context.Context, token store.InitialToken) error {
	return a.done(ctx, a.Store.PutInitialToken(ctx, token), "initial_token_put", "", "organisation", token.Organisation)
}

// DeleteInitialToken implements store.Clients.
func (a audited) DeleteInitialToken(ctx context.Context, organisation string) error {
	return a.done(ctx, a.Store.DeleteInitialToken(ctx, organisation), "initial_token_deleted", "", "organisation", organisation)
}

// PutUser implements store.Users. The log names the user by the subject alone.
func (a audited) PutUser(ctx context.Context, user store.User) error {
	return a.done(ctx, a.Store.PutUser(ctx, user), "user_put", "", "subject", user.Subject, "disabled", strconv.FormatBool(user.Disabled))
}

// EndSessions implements store.DataSubjects.
func (a audited) EndSessions(ctx context.Context, subject string) error {
	return a.done(ctx, a.Store.EndSessions(ctx, subject), "sessions_ended", "", "subject", subject)
}

// EraseUser implements store.DataSubjects. The record and the erasure are one change.
func (a audited) EraseUser(ctx context.Context, subject string, evidence ...store.Evidence) error {
	own, err := a.evidence("person_erased", "", "subject", subject)
	if err != nil {
		return err
	}
	return a.Store.EraseUser(ctx, subject, append(evidence, own)...)
}

// RevokeGrant implements store.Grants. The record and the revocation are one change.
func (a audited) RevokeGrant(ctx context.Context, grantID, by string, evidence []store.Evidence, oneTimes ...store.OneTime) error {
	own, err := a.evidence("grant_revoked", "", "grant", grantID)
	if err != nil {
		return err
	}
	return a.Store.RevokeGrant(ctx, grantID, by, append(evidence, own), oneTimes...)
}

// AddKey implements store.Keys.
func (a audited) AddKey(ctx context.Context, key store.Key) error {
	return a.done(ctx, a.Store.AddKey(ctx, key), "key_added", "", "kid", key.ID, "alg", key.Algorithm, "uses", strings.Join(key.Uses, " "), "state", key.State)
}

// MoveKey implements store.Keys.
func (a audited) MoveKey(ctx context.Context, id, from, to string, at time.Time) error {
	return a.done(ctx, a.Store.MoveKey(ctx, id, from, to, at), "key_moved", "", "kid", id, "from", from, "to", to)
}

// SetKeyURIs implements store.Keys.
func (a audited) SetKeyURIs(ctx context.Context, id string, from, to []string) error {
	return a.done(ctx, a.Store.SetKeyURIs(ctx, id, from, to), "key_addresses_set", "", "kid", id)
}

// PutEnrolment implements store.Authenticators.
func (a audited) PutEnrolment(ctx context.Context, enrolment store.Enrolment) error {
	return a.done(ctx, a.Store.PutEnrolment(ctx, enrolment), "device_code_made", "", "subject", enrolment.Subject, "acr", enrolment.ACR)
}

// AddDevice implements store.Authenticators.
func (a audited) AddDevice(ctx context.Context, device store.Device) error {
	return a.done(ctx, a.Store.AddDevice(ctx, device), "device_added", "", "subject", device.Subject, "device", device.ID, "jkt", device.JKT, "acr", device.ACR)
}

// RemoveDevice implements store.Authenticators.
func (a audited) RemoveDevice(ctx context.Context, subject, id string) error {
	return a.done(ctx, a.Store.RemoveDevice(ctx, subject, id), "device_removed", "", "subject", subject, "device", id)
}

// RemovePasskey implements store.Authenticators.
func (a audited) RemovePasskey(ctx context.Context, subject string, id []byte) error {
	return a.done(ctx, a.Store.RemovePasskey(ctx, subject, id), "passkey_removed", "", "subject", subject)
}
