// Package consent binds authorization requests, and the grants that are made of them, to consents that their clients lodged before:
// account access consents, payment consents and the like of open-banking ecosystems.
//
// A request names its consent in one of the ways of [profile.ConsentRule]. The [Engine] reads that from a [Source] when the request
// is made, opened, shown and decided, when its code is redeemed and at each refresh. A [Source] is the server's own store ([Own]) or a
// system of the operator's.
package consent

import (
	"context"
	"errors"
	"time"

	"countersign/store"
)

// Consent is a lodged consent; see [store.LodgedConsent] for its fields and states.
type Consent = store.LodgedConsent

// Errors of a [Source], to be matched with errors.Is. Any other error is internal.
var (
	// ErrNotFound: there is no such consent of this client. Another client's is not told apart from none.
	ErrNotFound = errors.New("consent: not found")
	// ErrState: the consent is in a state that does not allow this, or it is bound or belongs to another.
	ErrState = errors.New("consent: not in this state")
	// ErrUnavailable: the source cannot be reached. Nothing may be granted without it.
	ErrUnavailable = errors.New("consent: the source does not answer")
)

// Binding says which interaction or backchannel request is about to decide.
type Binding = store.ConsentBinding

// Decision is a user's decision about a consent.
type Decision struct {
	Consent Consent
	// Bound is the interaction or the backchannel request.
	Bound store.Digest
	// Subject is who decides.
	Subject string
	// GrantID is that of the grant that is about to be made; empty when the user denied.
	GrantID string
	// At is when, and EndsAt when the grant ends.
	At, EndsAt time.Time
}

// Revocation ends a consent.
type Revocation struct {
	// ClientID is whose it must be; empty is any.
	ClientID, ID string
	// Subject, if not empty, is who must have authorised it.
	Subject string
	// By is [store.EndedByClient], [store.RevokedByUser], [store.EndedByBank] or [store.EndedByTime].
	By, Reason string
	Evidence   []store.Evidence
}

// Source has consents. Each method is safe for concurrent use, by several nodes.
type Source interface {
	// Read reads a consent of a client as it is now; ErrNotFound, ErrUnavailable.
	Read(ctx context.Context, clientID, id string) (Consent, error)
	// Bind makes a request the one that may decide; a later one takes its place. ErrState (with the consent, if it is known),
	// ErrNotFound, ErrUnavailable.
	Bind(ctx context.Context, binding Binding) (Consent, error)
	// Decide is called before the decision is stored. What it returns is made a part of the transaction that stores the decision and
	// its grant, which fails with [store.ErrConflict] when the consent does not allow it any more: then Undo is called. ErrState,
	// ErrNotFound, ErrUnavailable: nothing is granted then.
	Decide(ctx context.Context, decision Decision) (*store.ConsentDecision, error)
	// Undo says that a decision was not stored.
	Undo(ctx context.Context, decision Decision)
	// Revoke ends a consent with its grant and tokens. ErrState (with the consent) when it has ended before; ErrNotFound,
	// ErrUnavailable.
	Revoke(ctx context.Context, revocation Revocation) (Consent, error)
}
