package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/store"
)

// Actor is who changes something.
type Actor struct {
	// Name is that of the operator.
	Name string
	// Address is the host that the operator's request came from, and CorrelationID that of the request; empty at the command line.
	Address, CorrelationID string
}

// Audited returns s as a store that records in the audit log what is changed through it, with the name of who does it. A
// change that was made and not recorded is an error.
func Audited(s store.Store, now func() time.Time, by string) store.Store {
	return AuditedFor(s, now, Actor{Name: by})
}

// AuditedFor is [Audited] for an operator who asks from elsewhere. What the admin API changes is recorded in the transaction of the
// change.
func AuditedFor(s store.Store, now func() time.Time, by Actor) store.Store {
	return audited{Store: s, now: now, by: by}
}

type audited struct {
	store.Store
	now func() time.Time
	by  Actor
}

// evidence is the record of an event, with names and values of its details.
func (a audited) evidence(event, clientID string, detail ...string) (store.Evidence, error) {
	said := map[string]string{"event": event, "by": a.by.Name}
	if a.by.Address != "" {
		said["address"] = a.by.Address
	}
	for i := 0; i < len(detail); i += 2 {
		said[detail[i]] = detail[i+1]
	}
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, ClientID: clientID, CorrelationID: a.by.CorrelationID, Detail: said})
	return store.Evidence{At: a.now(), Body: body}, err
}

// with does a change with the record of it, in one transaction.
func (a audited) with(change func(store.Evidence) error, event, clientID string, detail ...string) error {
	own, err := a.evidence(event, clientID, detail...)
	if err != nil {
		return err
	}
	return change(own)
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

// OpenApproval implements store.Approvals. The subject of a user is where it can be erased.
func (a audited) OpenApproval(ctx context.Context, approval store.Approval, evidence ...store.Evidence) error {
	target := "target"
	if strings.HasPrefix(approval.Action, "people.") {
		target = "subject"
	}
	return a.with(func(own store.Evidence) error { return a.Store.OpenApproval(ctx, approval, append(evidence, own)...) },
		"approval_opened", "", "approval", approval.ID, "action", approval.Action, target, approval.Target)
}

// DecideApproval implements store.Approvals.
func (a audited) DecideApproval(ctx context.Context, d store.ApprovalDecision, evidence ...store.Evidence) (decided store.Approval, err error) {
	event := "approval_refused"
	if d.Approve {
		event = "approval_given"
	}
	err = a.with(func(own store.Evidence) (err error) {
		decided, err = a.Store.DecideApproval(ctx, d, append(evidence, own)...)
		return err
	}, event, "", "approval", d.ID)
	return decided, err
}

// ConsumeApproval implements store.Approvals.
func (a audited) ConsumeApproval(
	ctx context.Context, id string, digest store.Digest, by string, evidence ...store.Evidence,
) (consumed store.Approval, err error) {
	err = a.with(func(own store.Evidence) (err error) {
		consumed, err = a.Store.ConsumeApproval(ctx, id, digest, by, append(evidence, own)...)
		return err
	}, "approval_consumed", "", "approval", id)
	return consumed, err
}

// EndApproval implements store.Approvals.
func (a audited) EndApproval(ctx context.Context, end store.ApprovalEnd, evidence ...store.Evidence) error {
	event, detail := "approval_done", []string{"approval", end.ID}
	if end.Failure != "" {
		event, detail = "approval_failed", append(detail, "reason", end.Failure)
	}
	return a.with(func(own store.Evidence) error { return a.Store.EndApproval(ctx, end, append(evidence, own)...) }, event, "", detail...)
}

// Note records something that changes nothing, such as that a user's data was exported, with names and values of its details, in a store that [AuditedFor] made.
func Note(ctx context.Context, s store.Store, event string, detail ...string) error {
	recording, ok := s.(audited)
	if !ok {
		return errors.New("nothing is recorded by this store")
	}
	return recording.done(ctx, nil, event, "", detail...)
}

// PutClient implements store.Clients.
func (a audited) PutClient(ctx context.Context, client store.Client, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.PutClient(ctx, client, append(evidence, own)...) }, "client_put", client.ID,
		"version", strconv.Itoa(client.Version), "profile", client.Profile, "disabled", strconv.FormatBool(client.Disabled))
}

// DeleteClient implements store.Clients.
func (a audited) DeleteClient(ctx context.Context, id, by string, evidence ...store.Evidence) error {
	ends, err := (&Admin{Store: a.Store, Now: a.now}).Holdings(ctx, id)
	if err != nil {
		return err
	}
	return a.with(func(own store.Evidence) error { return a.Store.DeleteClient(ctx, id, by, append(evidence, own)...) }, "client_deleted", id,
		"grants", strconv.Itoa(ends.Grants), "consents", strconv.Itoa(ends.Consents))
}

// PutInitialToken implements store.Clients.
func (a audited) PutInitialToken(ctx context.Context, token store.InitialToken, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.PutInitialToken(ctx, token, append(evidence, own)...) },
		"initial_token_put", "", "organisation", token.Organisation)
}

// DeleteInitialToken implements store.Clients.
func (a audited) DeleteInitialToken(ctx context.Context, organisation string, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error {
		return a.Store.DeleteInitialToken(ctx, organisation, append(evidence, own)...)
	},
		"initial_token_deleted", "", "organisation", organisation)
}

// PutUser implements store.Users. The log names the user by the subject alone.
func (a audited) PutUser(ctx context.Context, user store.User, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.PutUser(ctx, user, append(evidence, own)...) },
		"user_put", "", "subject", user.Subject, "disabled", strconv.FormatBool(user.Disabled))
}

// ReplaceUser implements store.Users.
func (a audited) ReplaceUser(ctx context.Context, user store.User, before time.Time, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error {
		return a.Store.ReplaceUser(ctx, user, before, append(evidence, own)...)
	},
		"user_put", "", "subject", user.Subject, "disabled", strconv.FormatBool(user.Disabled))
}

// EndSessions implements store.DataSubjects.
func (a audited) EndSessions(ctx context.Context, subject string, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.EndSessions(ctx, subject, append(evidence, own)...) },
		"sessions_ended", "", "subject", subject)
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
func (a audited) AddKey(ctx context.Context, key store.Key, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.AddKey(ctx, key, append(evidence, own)...) },
		"key_added", "", "kid", key.ID, "alg", key.Algorithm, "uses", strings.Join(key.Uses, " "), "state", key.State)
}

// MoveKey implements store.Keys.
func (a audited) MoveKey(ctx context.Context, id, from, to string, at time.Time, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error {
		return a.Store.MoveKey(ctx, id, from, to, at, append(evidence, own)...)
	},
		"key_moved", "", "kid", id, "from", from, "to", to)
}

// SetKeyURIs implements store.Keys.
func (a audited) SetKeyURIs(ctx context.Context, id string, from, to []string, evidence ...store.Evidence) error {
	return a.with(func(own store.Evidence) error { return a.Store.SetKeyURIs(ctx, id, from, to, append(evidence, own)...) }, "key_addresses_set", "", "kid", id)
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
