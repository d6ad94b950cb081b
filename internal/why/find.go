package why

import (
	"context"

	"countersign/store"
)

// Explained is a refusal with what it means.
type Explained struct {
	store.Refusal
	Explanation
}

// explain explains a refusal.
func explain(r store.Refusal) Explained { return Explained{r, ExplainCause(r.Code, r.Cause)} }

// Find returns the refusals of a correlation id, the oldest first; none is no error. The error is the store's.
func Find(ctx context.Context, s interface {
	Refusals(ctx context.Context, correlationID string) ([]store.Refusal, error)
}, correlationID string) ([]Explained, error) {
	found, err := s.Refusals(ctx, correlationID)
	all := make([]Explained, len(found))
	for i, r := range found {
		all[i] = explain(r)
	}
	return all, err
}

// Filter chooses refusals to [List]. What is empty does not matter.
type Filter struct {
	ClientID, Endpoint string
	// Rule is that of an [Explanation], or an error code.
	Rule string
}

const (
	// readAtOnce is how many refusals are read at once, and readMost how many are looked at for one page.
	readAtOnce, readMost = 200, 2000
)

// List lists the refusals that a filter chooses, the newest first: those before an ID, 0 for the beginning, and limit at most. next is
// the ID from which the list goes on, or 0 where it does not; there may be one although nothing was found, since no page looks at all
// that is kept. The error is the store's.
func List(ctx context.Context, s interface {
	ListRefusals(ctx context.Context, filter store.RefusalFilter) ([]store.Refusal, error)
}, filter Filter, before int64, limit int) (found []Explained, next int64, err error) {
	wanted := store.RefusalFilter{ClientID: filter.ClientID, Endpoint: filter.Endpoint, Before: before, Limit: limit + 1}
	if filter.Rule != "" {
		wanted.Code, wanted.Limit = codeOf(filter.Rule), readAtOnce
	}
	for range readMost / readAtOnce {
		some, err := s.ListRefusals(ctx, wanted)
		if err != nil {
			return nil, 0, err
		}
		for _, r := range some {
			if len(found) == limit {
				return found, found[limit-1].ID, nil
			}
			if one := explain(r); filter.Rule == "" || filter.Rule == one.Rule || filter.Rule == one.Code {
				found = append(found, one)
			}
			wanted.Before = r.ID
		}
		if len(some) < wanted.Limit {
			return found, 0, nil
		}
	}
	return found, wanted.Before, nil
}
