package audit

import (
	"context"
	"fmt"
	"time"

	"countersign/internal/jose"
)

// CheckpointType is the typ of a checkpoint, so that it passes for no other token (RFC 8725 §3.11).
const CheckpointType = "countersign-audit-checkpoint+jwt"

// Checkpoint is what is signed: a node's chain up to an entry. Someone who keeps one elsewhere can report whether the log
// was cut off since (see [Options]).
type Checkpoint struct {
	Node string `json:"node"`
	// Sequence and Hash are those of the last entry that it seals.
	Sequence uint64 `json:"sequence"`
	Hash     string `json:"hash"`
	// At is in seconds since 1970.
	At int64 `json:"iat"`
}

// Chain makes the lines of one node. It is for one caller at a time.
type Chain struct {
	node     string
	sequence uint64
	hash     string
}

// NewChain starts a node's chain.
func NewChain(node string) *Chain { return &Chain{node: node} }

// Resume continues after a node's last line. Errors wrap [ErrEntry].
func Resume(last []byte) (*Chain, error) {
	entry, err := ParseEntry(last)
	if err != nil {
		return nil, err
	}
	return &Chain{node: entry.Node, sequence: entry.Sequence, hash: Hash(last)}, nil
}

// Append makes the line of an event, shown with its personal part (see [Join]). An error leaves the chain as it was, and wraps
// [ErrEntry].
func (c *Chain) Append(now time.Time, event Event) ([]byte, error) {
	line, about, err := c.AppendApart(now, event)
	return Join(line, about), err
}

// AppendApart is [Chain.Append] for who keeps the line and its personal part apart; about is nil when there is none.
func (c *Chain) AppendApart(now time.Time, event Event) (line, about []byte, err error) {
	entry := Entry{
		Kind: event.Kind, ClientID: event.ClientID, CorrelationID: event.CorrelationID, Key: event.Key, JWK: event.JWK, Detail: event.Detail,
	}
	if event.Kind == SecurityEvent {
		entry.Detail, about, err = part(event.Detail)
	}
	if err == nil && event.Message != (Message{}) {
		entry.Message, entry.Reference = &Message{Apart: true}, event.Reference
		about, err = apart(event)
	}
	if err != nil {
		return nil, nil, err
	}
	if about != nil {
		entry.PersonalDigest = digest(about)
	}
	next := *c
	if line, err = next.add(now, entry); err != nil {
		return nil, nil, err
	}
	if entry.Message != nil { // what cannot be read again must not enter the log
		if _, err := ParseEntry(Join(line, about)); err != nil {
			return nil, nil, err
		}
	}
	*c = next
	return line, about, nil
}

// Checkpoint makes the line that seals all before it. Errors of the key are wrapped and leave the chain as it was.
func (c *Chain) Checkpoint(ctx context.Context, now time.Time, key jose.SigningKey) ([]byte, error) {
	if c.sequence == 0 {
		return nil, fmt.Errorf("%w: there is nothing to seal", ErrEntry)
	}
	signed, err := jose.Sign(ctx, key, CheckpointType, Checkpoint{Node: c.node, Sequence: c.sequence, Hash: c.hash, At: now.Unix()})
	if err != nil {
		return nil, fmt.Errorf("audit: sign a checkpoint: %w", err)
	}
	return c.add(now, Entry{Kind: CheckpointKind, Key: key.ID, Checkpoint: signed})
}

// Sequence is that of the last line; zero in a new chain.
func (c *Chain) Sequence() uint64 { return c.sequence }

func (c *Chain) add(now time.Time, entry Entry) ([]byte, error) {
	entry.Node, entry.Sequence, entry.Previous, entry.At = c.node, c.sequence+1, c.hash, now.UTC()
	line, err := encode(entry)
	if err != nil {
		return nil, err
	}
	// What cannot be read again must not enter the chain.
	if err := entry.readable(line); err != nil {
		return nil, err
	}
	c.sequence, c.hash = entry.Sequence, Hash(line)
	return line, nil
}
