package store

import (
	"context"
	"time"
)

// Change is news of what nodes keep in memory. A zero Change says that there is none: everything that was committed until
// then was told.
type Change struct {
	// Client is the identifier of a client that was registered, changed or removed.
	Client string
	// Keys tells that a key was added or changed its state.
	Keys bool
	// Lost tells that changes may have been missed: whatever is kept may be old.
	Lost bool
}

// Watcher is a store that several nodes share and that tells each what the others changed.
type Watcher interface {
	// Watch calls heard, one call at a time, for every change that any node commits, and a few times a second with a zero
	// Change while it is sure to have heard everything. It returns when ctx ends.
	Watch(ctx context.Context, heard func(Change))
}

// Filter chooses grants or consents. What is zero does not matter.
type Filter struct {
	Subject, ClientID string
	// Since and Until bound the moment of the decision: from Since on, and before Until.
	Since, Until time.Time
	// Limit is how many are listed at most; it must be set.
	Limit int
}

// Records are the verbs of those who look for what was decided.
type Records interface {
	// ListGrants lists grants, the newest first.
	ListGrants(ctx context.Context, filter Filter) ([]Grant, error)
	// ListConsents lists consents that still stand or were not yet purged, the newest first.
	ListConsents(ctx context.Context, filter Filter) ([]Consent, error)
}
