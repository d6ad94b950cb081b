package backend

import (
	"strings"
	"time"

	"countersign/store"
)

// MayDecide reports whether a decision may be made about an approval that was read; see [store.Approvals]. Who has asked, and for
// what, never changes: what was read of that stays true. The state may change, so that the statement has that as a condition, too.
func MayDecide(a store.Approval, d store.ApprovalDecision, now time.Time) error {
	same := strings.EqualFold(a.RequestedBy.Name, d.By.Name) || a.RequestedBy.Certificate == d.By.Certificate
	switch {
	case a.State != store.ApprovalOpen:
		return store.ErrConsumed
	case !now.Before(a.ExpiresAt):
		return store.ErrExpired
	case d.Approve && same:
		return store.ErrConflict
	}
	return nil
}

// MayConsume is MayDecide for consuming it.
func MayConsume(a store.Approval, digest store.Digest, now time.Time) error {
	switch {
	case a.State == store.ApprovalConsumed || a.State == store.ApprovalRefused:
		return store.ErrConsumed
	case !now.Before(a.ExpiresAt):
		return store.ErrExpired
	case a.State != store.ApprovalGiven || a.Digest != digest:
		return store.ErrConflict
	}
	return nil
}

// MayEnd is MayDecide for the end of its execution.
func MayEnd(a store.Approval, end store.ApprovalEnd) error {
	if a.State != store.ApprovalConsumed || !a.EndedAt.IsZero() || !a.ConsumedAt.Equal(end.ConsumedAt) {
		return store.ErrConflict
	}
	return nil
}
