package store

import (
	"context"
	"encoding/json"
	"time"
)

// ApprovalState is how far an [Approval] is.
type ApprovalState string

// The states of an [Approval]. That its time is over is told by its ExpiresAt.
const (
	ApprovalOpen     ApprovalState = "open"
	ApprovalGiven    ApprovalState = "approved"
	ApprovalRefused  ApprovalState = "refused"
	ApprovalConsumed ApprovalState = "consumed"
)

// ApprovalsLast is how long an [Approval] is kept after its end.
const ApprovalsLast = 30 * 24 * time.Hour

// Approver is an operator who asks for an [Approval], or decides it.
type Approver struct {
	Name string
	// Certificate is the digest of the certificate that was shown: two names with one certificate are one person.
	Certificate Digest
}

// Approval is what one operator asks for and another must approve (four eyes).
type Approval struct {
	ID string
	// Action says what is to be done, and Target with whom or what.
	Action, Target string
	// Request is what was asked, as its owner encodes it; the store does not look inside.
	Request json.RawMessage
	// Digest is that of all that the approval is for: of the request, and of what was found when it was made.
	Digest      Digest
	RequestedBy Approver
	RequestedAt time.Time
	// ExpiresAt ends the time for the decision; once it is approved, the time for its being carried out.
	ExpiresAt time.Time
	State     ApprovalState
	// DecidedBy is zero until somebody has decided.
	DecidedBy Approver
	DecidedAt time.Time
	// ConsumedBy is who carries it out, or has.
	ConsumedBy string
	ConsumedAt time.Time
	// EndedAt is when its being carried out ended: with Failure, why it failed, it is approved again, and without it is done. Zero while it
	// is not known how it ended.
	EndedAt time.Time
	Failure string
}

// ApprovalEnd is how the execution of an [Approval] ended that ConsumeApproval began.
type ApprovalEnd struct {
	ID string
	// ConsumedAt is that of the execution.
	ConsumedAt time.Time
	// Failure is why it failed; empty when it is done.
	Failure string
}

// ApprovalDecision is what an operator decides about an [Approval].
type ApprovalDecision struct {
	ID string
	// Approve is false to refuse.
	Approve bool
	By      Approver
	// ExpiresAt is the new ExpiresAt of what is approved.
	ExpiresAt time.Time
}

// Approvals are the verbs of four eyes.
type Approvals interface {
	// OpenApproval stores an approval that is asked for, with the evidence; ErrConflict when its ID is known.
	OpenApproval(ctx context.Context, approval Approval, evidence ...Evidence) error
	// Approval reads one; ErrNotFound.
	Approval(ctx context.Context, id string) (Approval, error)
	// ListApprovals lists them, the newest first. The position is RequestedAt, and the identifier.
	ListApprovals(ctx context.Context, page Page) ([]Approval, error)
	// DecideApproval approves or refuses one that is open, with the evidence, and returns it: of all callers one wins and the rest
	// get ErrConsumed; ErrExpired; ErrNotFound; ErrConflict when who approves it has asked for it, by the name, whatever its case, or by
	// the certificate. Errors change nothing.
	DecideApproval(ctx context.Context, decision ApprovalDecision, evidence ...Evidence) (Approval, error)
	// ConsumeApproval consumes one that is approved, for what has the digest, with the evidence, and returns it: of all callers one wins and
	// the rest get ErrConsumed, as for one that was refused; ErrExpired; ErrNotFound; ErrConflict when it is not approved yet, or is for
	// something else. Errors change nothing.
	ConsumeApproval(ctx context.Context, id string, digest Digest, by string, evidence ...Evidence) (Approval, error)
	// EndApproval stores how the execution ended that ConsumeApproval began, with the evidence: after a failure it is approved again, until
	// its ExpiresAt; otherwise it stays consumed. ErrConflict when that execution has ended before, or is not the last one;
	// ErrNotFound. Errors change nothing.
	EndApproval(ctx context.Context, end ApprovalEnd, evidence ...Evidence) error
}
