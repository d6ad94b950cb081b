package store

import (
	"context"
	"encoding/json"
	"time"
)

// ConsentStatus is where a [LodgedConsent] is.
type ConsentStatus string

// The states. A lodged consent begins as awaiting; authorised goes on to consumed, revoked or expired; the rest are ends.
const (
	// ConsentAwaiting: the user has not decided.
	ConsentAwaiting ConsentStatus = "awaiting"
	// ConsentAuthorised: the user allowed it, and its grant is valid.
	ConsentAuthorised ConsentStatus = "authorised"
	// ConsentRejected: the user did not allow it, or it was withdrawn before.
	ConsentRejected ConsentStatus = "rejected"
	// ConsentConsumed: what it allowed once was done. Its grant may still read what became of that.
	ConsentConsumed ConsentStatus = "consumed"
	// ConsentRevoked: it was ended after it was authorised.
	ConsentRevoked ConsentStatus = "revoked"
	// ConsentExpired: its time was over, for the decision or altogether.
	ConsentExpired ConsentStatus = "expired"
)

// Who ends a lodged consent: its LodgedConsent.EndedBy. The user is [RevokedByUser]. It is empty where the release before ended its
// grant and nobody knows. One that ends with its grant is ended by the bank where that is by [RevokedByOperator] or [RevokedByServer],
// and by the user where it is by [RevokedByReplacement], which the user allowed.
const (
	EndedByClient = "client"
	EndedByBank   = "bank"
	EndedByTime   = "time"
)

// ConsentNoticesLast is how long after a change of a lodged consent it is tried to tell of it.
const ConsentNoticesLast = 7 * 24 * time.Hour

// LodgedConsent is a consent that a client lodged, by an API of its own, before it asks for the authorization: an account access
// consent, a payment consent. What users allowed by scopes is a [Consent].
type LodgedConsent struct {
	// ID names it to its client.
	ID           string
	ClientID     string
	Organisation string
	// Kind names what it is, as its owner spells it.
	Kind   string
	Status ConsentStatus
	// Content is what the client sent, and Shown what users are shown of it, as their owner encodes them; the store does not look
	// inside.
	Content, Shown json.RawMessage
	// Permissions are those of the content, and Scopes the scopes that a request with it may have; no Scopes are any.
	Permissions, Scopes []string
	// Hints are claims about the user for whom it is, each with the value that it must have. They are about a person.
	Hints map[string]string
	// Once says that it is authorised once only; another one may be authorised again by its user, which replaces its grant.
	Once bool
	// Elsewhere says that it is kept in a system of the operator's: here is only what ends the grant with it.
	Elsewhere bool
	// Notify says that each later change of its status is told ([ConsentNotice]).
	Notify    bool
	CreatedAt time.Time
	// ChangedAt is the time of the last change of the status, and Version counts them, from 1.
	ChangedAt time.Time
	Version   int
	// ExpiresAt ends the time for the first decision.
	ExpiresAt time.Time
	// EndsAt ends it once it is authorised; zero for no end. Lasts, if it is not 0, sets it to so long after the decision, if that is
	// earlier.
	EndsAt time.Time
	Lasts  time.Duration
	// Bound is the interaction or the backchannel request that may decide about it; zero until there is one.
	Bound Digest
	// Subject and GrantID are empty until it is authorised.
	Subject, GrantID string
	// EndedBy is who ended it, and Reason why, as its owner spells it.
	EndedBy, Reason string
	// Evidence is stored with the consent and not given back with it.
	Evidence []Evidence
}

// At returns the consent as it is at a time: one whose time is over is expired, whether the store has noticed or not.
func (c LodgedConsent) At(now time.Time) LodgedConsent {
	if at := c.Over(); !at.IsZero() && !now.Before(at) {
		c.Status, c.ChangedAt, c.EndedBy = ConsentExpired, at, EndedByTime
		c.Version++
	}
	return c
}

// Over is when the consent is over by its time, as it is now; zero for never, and for one that has ended.
func (c LodgedConsent) Over() time.Time {
	switch c.Status {
	case ConsentAwaiting:
		return c.ExpiresAt
	case ConsentAuthorised:
		return c.EndsAt
	}
	return time.Time{}
}

// ConsentQuota bounds how many consents that await a decision a client, and the clients of an organisation together, may have.
// Zero is no bound.
type ConsentQuota struct{ Client, Organisation int }

// ConsentBinding makes one interaction or backchannel request the one that may decide about a consent, in place of any before.
type ConsentBinding struct {
	ID, ClientID string
	To           Digest
	// Subject is who is asked; empty while nobody has signed in.
	Subject string
}

// ConsentDecision is what a decision of a user does to a lodged consent: it is a part of [Finish] and of [BackchannelDecision], in
// whose transaction it is made. Its grant is theirs; without one, the consent is rejected.
type ConsentDecision struct {
	ID, ClientID string
	// Bound is the interaction or the backchannel request that decides.
	Bound Digest
	// Version is that of the consent that the user was shown.
	Version int
	// Subject is who decides.
	Subject string
	// Elsewhere, if not nil, is what is kept here of a consent in a system of the operator's: it is stored when that is new.
	Elsewhere *LodgedConsent
}

// ConsentEnding ends a lodged consent.
type ConsentEnding struct {
	// ID and ClientID name it; an empty ClientID is any.
	ID, ClientID string
	// Subject, if not empty, is who must have authorised it.
	Subject string
	// Due restricts it to a consent whose time is over, which becomes expired. One that awaits a decision is rejected otherwise,
	// every other one revoked.
	Due        bool
	By, Reason string
	// Evidence is stored if it ends.
	Evidence []Evidence
}

// RevokedBy is who ended the grant that ends with the consent. Nobody did where its time was over.
func (e ConsentEnding) RevokedBy() string {
	switch e.By {
	case EndedByBank:
		return RevokedByOperator
	case EndedByTime:
		return ""
	}
	return e.By
}

// ConsentFilter chooses lodged consents, of a user, a client or a grant: without one of them, none. What else is empty does not
// matter.
type ConsentFilter struct {
	Subject, ClientID, GrantID string
	Status                     ConsentStatus
}

// ConsentNotice is a notice that the status of a lodged consent has changed.
type ConsentNotice struct {
	ConsentID, ClientID, Kind string
	// Status is the new one, of the consent's Version, since At.
	Status  ConsentStatus
	Version int
	At      time.Time
	// GrantID is empty when there is no grant.
	GrantID, EndedBy, Reason string
	// Attempt is 1 for the first delivery and grows with each.
	Attempt int
	// ExpiresAt is when no more is tried.
	ExpiresAt time.Time
}

// Consents are the verbs of consents that clients lodge. A consent is authorised by Finish and DecideBackchannel, in the transaction
// of its grant, and each ends with the other: a verb that ends a grant revokes its authorised consent.
type Consents interface {
	// LodgeConsent stores a new consent and consumes the one-time values, all or nothing. ErrConflict when the ID exists,
	// ErrConsumed when as many as the quota allows await a decision, ErrReplayed.
	LodgeConsent(ctx context.Context, consent LodgedConsent, quota ConsentQuota, oneTimes ...OneTime) error
	// LodgedConsent reads a consent of a client, as it is now; another client's is ErrNotFound. An empty clientID is any.
	LodgedConsent(ctx context.Context, clientID, id string) (LodgedConsent, error)
	// BindConsent binds a consent that awaits a decision, or that may be authorised again, and returns it. With ErrConsumed (it is in
	// another state, or belongs to another subject) and ErrExpired the consent is returned too, and nothing has changed;
	// ErrNotFound.
	BindConsent(ctx context.Context, binding ConsentBinding) (LodgedConsent, error)
	// SpendConsent consumes an authorised consent; of all callers one wins. The rest get ErrConsumed, with the consent, as for one in
	// another state; ErrExpired; ErrNotFound. An empty clientID is any. Its grant goes on.
	SpendConsent(ctx context.Context, clientID, id string, evidence ...Evidence) (LodgedConsent, error)
	// EndConsent ends a consent with its grant, and with that its codes and tokens, and stores the evidence, in one transaction. It
	// returns the consent as it is then. ErrConsumed, with the consent, when it has ended before or is not due; ErrNotFound.
	EndConsent(ctx context.Context, ending ConsentEnding) (LodgedConsent, error)
	// ListLodgedConsents lists consents, the newest first. The position is CreatedAt and the ID.
	ListLodgedConsents(ctx context.Context, filter ConsentFilter, page Page) ([]LodgedConsent, error)
	// DueConsents lists at most limit consents whose time is over and whose status does not say so yet, the longest first.
	DueConsents(ctx context.Context, limit int) ([]LodgedConsent, error)

	// ClaimConsentNotices leases at most limit due notices: no other caller gets them until the lease ends. A notice whose caller
	// dies is due again then. Notices that have expired are given out too, for as long again: then Purge removes them.
	ClaimConsentNotices(ctx context.Context, limit int, lease time.Duration) ([]ConsentNotice, error)
	// ConsentNoticeDone deletes a notice and stores the evidence of what became of it, in one transaction, unless another caller
	// has leased it since the attempt: then neither.
	ConsentNoticeDone(ctx context.Context, notice ConsentNotice, evidence ...Evidence) error
	// ConsentNoticeFailed makes a notice due again at next, unless another caller has leased it since the attempt.
	ConsentNoticeFailed(ctx context.Context, notice ConsentNotice, next time.Time) error
}
