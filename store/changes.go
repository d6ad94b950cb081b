package store

import (
	"context"
	"time"
)

// Change invalidates what nodes cache. A zero Change is a heartbeat: every change that was committed before it has been
// reported.
type Change struct {
	// Client is the identifier of a client that was registered, changed or removed.
	Client string
	// Keys reports that a key was added or its state changed.
	Keys bool
	// Lost reports that changes may have been missed: every cached value may be stale.
	Lost bool
}

// Watcher is a store that several nodes share and that reports to each what the others changed.
type Watcher interface {
	// Watch calls onChange, one call at a time, for every change that any node commits, and a few times a second with a zero
	// Change while it is sure that it missed nothing. It returns when ctx ends.
	Watch(ctx context.Context, onChange func(Change))
}

// Filter chooses grants or consents. What is zero does not matter.
type Filter struct {
	Subject, ClientID string
	// Since and Until bound the time of the decision: from Since on, and before Until.
	Since, Until time.Time
	// Below, with Until, adds grants that were decided at Until and whose identifier is less: so the next part of a list follows the
	// last grant of one. It is not for consents.
	Below string
	// Limit is how many are listed at most; it must be set.
	Limit int
}

// Records are the verbs for looking up grants and consents.
type Records interface {
	// ListGrants lists grants, the newest first.
	ListGrants(ctx context.Context, filter Filter) ([]Grant, error)
	// ListConsents lists consents that are still valid or were not yet purged, the newest first.
	ListConsents(ctx context.Context, filter Filter) ([]Consent, error)
	// GrantByID reads a grant, whatever has become of it; ErrNotFound. UserGone is not set.
	GrantByID(ctx context.Context, id string) (GivenGrant, error)
}
