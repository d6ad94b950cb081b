package store

import (
	"context"
	"time"
)

// Refusal is why a request was refused, as it is kept for whoever asks. No secret is in it, and nothing that names a user.
type Refusal struct {
	// ID is given by the store, and its position in a list; [Refusals.ListRefusals] sets it.
	ID int64
	// CorrelationID names the request to the client and in the log.
	CorrelationID string
	At            time.Time
	// Node is the node that refused it.
	Node string
	// ClientID is that of a registered client; empty where none was known.
	ClientID string
	// Method and Endpoint are those of the request; Endpoint is the path pattern.
	Method, Endpoint string
	// Status is that of the answer, Code the error code, and Cause its description with what is behind it, as in the log.
	Status      int
	Code, Cause string
}

// RefusalFilter chooses refusals. What is zero does not matter.
type RefusalFilter struct {
	ClientID, Endpoint, Code string
	// Before is the ID of the last one of the page before.
	Before int64
	// Limit is how many are listed at most; it must be set.
	Limit int
}

// RefusalBounds say how many refusals are kept, and for how long.
type RefusalBounds struct {
	// Most is how many are kept: the newest.
	Most int
	// Since is from when on.
	Since time.Time
}

// Refusals are the verbs of refused requests.
type Refusals interface {
	// AddRefusals adds refusals, and removes some of what is beyond the bounds: at least as many as it adds.
	AddRefusals(ctx context.Context, bounds RefusalBounds, refusals ...Refusal) error
	// Refusals lists those of a correlation id, the oldest first, 100 at most; there are several when a client sends the same id
	// again.
	Refusals(ctx context.Context, correlationID string) ([]Refusal, error)
	// ListRefusals lists refusals with their IDs, the newest first. Those that are kept are looked through at most.
	ListRefusals(ctx context.Context, filter RefusalFilter) ([]Refusal, error)
}
