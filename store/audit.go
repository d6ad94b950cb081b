package store

import (
	"context"
	"encoding/json"
	"time"
)

// Evidence is an event for the audit log. Its verb stores it in its own transaction, so that no outcome lacks its
// evidence; it is pending until a node appends it to its chain.
type Evidence struct {
	// ID is given by the store.
	ID int64
	// Chain names the chain that it belongs in; when it is empty, the first node to seal it takes it.
	Chain string
	At    time.Time
	// Body is what is to be logged, as its owner encodes it; the store does not look inside.
	Body json.RawMessage
}

// AuditLine is a line of the audit log, as its owner writes it.
type AuditLine struct {
	Chain string
	// Sequence counts the lines of a chain from 1.
	Sequence uint64
	Text     string
	// Personal is what the line has about a person, which is not in its text and can be erased; empty for nothing.
	Personal string
}

// Audit are the verbs of the audit log: evidence is recorded, is pending, and is appended to the chain of a node.
type Audit interface {
	// Record stores evidence on its own, where no other verb does; all of it or none.
	Record(ctx context.Context, evidence ...Evidence) error
	// WaitingEvidence lists at most limit pieces of pending evidence, oldest first: those that name it, those
	// that name none, and those from before orphaned regardless, since their own node has probably failed.
	WaitingEvidence(ctx context.Context, chain string, orphaned time.Time, limit int) ([]Evidence, error)
	// AppendAudit appends lines to their one chain and removes the evidence in them from what is pending, in one transaction. It
	// answers ErrConflict, and changes nothing, when the first line does not follow the chain's last one or when some of
	// the evidence is no longer pending: another node was first.
	AppendAudit(ctx context.Context, lines []AuditLine, taken ...int64) error
	// AuditHeads returns the last line of each chain, in the order of their names.
	AuditHeads(ctx context.Context) ([]AuditLine, error)
	// AuditLines lists at most limit lines of a chain after the one with a sequence, in their order.
	AuditLines(ctx context.Context, chain string, after uint64, limit int) ([]AuditLine, error)
	// DropAudit removes the lines of a chain that come before a sequence, the last one never, and returns how many they were.
	// The caller's evidence of why they may go is stored in the same transaction.
	DropAudit(ctx context.Context, chain string, before uint64, evidence ...Evidence) (int, error)
	// EraseAudit removes what lines of a chain have about a person, and returns how many lines had something. The caller's evidence
	// of which they are is stored in the same transaction.
	EraseAudit(ctx context.Context, chain string, sequences []uint64, evidence ...Evidence) (int, error)
}
