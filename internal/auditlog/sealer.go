// Package auditlog keeps the audit log in the store: it appends pending evidence to the chain of its node, has
// the chain sealed by a key in the HSM, and reads it back.
//
// Evidence comes in with the transaction of its outcome ([store.Evidence]); from then on it does not depend on this process. A
// node that dies leaves what it did not append to the others.
package auditlog

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

const (
	// look is how often a node looks for evidence.
	look = time.Second
	// batch is how many entries are appended in one transaction.
	batch = 64
	// orphaned is the age from which evidence of another node is taken over, since that node has probably failed.
	orphaned = time.Minute
	// lastSeal is how long the last checkpoint may take when the server ends.
	lastSeal = 5 * time.Second
)

// Meter is told what goes into a chain. It must not block.
type Meter interface {
	// Appended is told of an entry: its kind, and of a security event its name and, where somebody decided, whether that allowed
	// it ("true" or "false"). They are empty otherwise.
	Appended(kind audit.Kind, event, allowed string)
	// Sealed is told of a checkpoint.
	Sealed(at time.Time)
}

// Sealer writes the chain of one node.
type Sealer struct {
	Store  store.Audit
	Signer *signer.Signer
	// Chain names the node.
	Chain string
	// Every is how long an entry may wait for a checkpoint, and Entries how many may.
	Every   time.Duration
	Entries uint64
	Now     func() time.Time
	Log     *slog.Logger
	// Meter is told what goes into the chain; nil is told nothing.
	Meter Meter

	// chain is the end of the chain; nil until it was read from the store.
	chain *audit.Chain
	// unsealed is when the first entry since the last checkpoint was appended; zero when there is none. sealed is the number
	// of that checkpoint.
	unsealed time.Time
	sealed   uint64
	// lastError is the text of the error that was logged last; empty after success.
	lastError string
}

// Run appends and seals until ctx ends, and then a last time.
func (s *Sealer) Run(ctx context.Context) {
	ticker := time.NewTicker(look)
	defer ticker.Stop()
	for {
		s.report(ctx, s.Step(ctx))
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSeal)
			defer cancel()
			s.report(last, s.Seal(last))
			return
		case <-ticker.C:
		}
	}
}

// report logs an error unless it was the last one logged.
func (s *Sealer) report(ctx context.Context, err error) {
	switch {
	case err == nil:
		s.lastError = ""
	case ctx.Err() == nil && err.Error() != s.lastError:
		s.lastError = err.Error()
		s.Log.ErrorContext(ctx, "audit log append failed; will be retried", "error", err.Error())
	}
}

// Step appends pending evidence, and makes a checkpoint if one is due. A failed checkpoint does not keep evidence from being
// appended.
func (s *Sealer) Step(ctx context.Context) error {
	var unsealed error
	for more := true; more; {
		var err error
		if more, err = s.append(ctx); err != nil {
			return errors.Join(err, unsealed)
		}
		if unsealed == nil && s.due() {
			unsealed = s.checkpoint(ctx)
		}
	}
	return unsealed
}

// Seal appends pending evidence and makes a checkpoint of it at once.
func (s *Sealer) Seal(ctx context.Context) error {
	if err := s.Step(ctx); err != nil || s.unsealed.IsZero() {
		return err
	}
	return s.checkpoint(ctx)
}

func (s *Sealer) due() bool {
	if s.unsealed.IsZero() {
		return false
	}
	return s.Now().Sub(s.unsealed) >= s.Every || s.chain.Sequence()-s.sealed >= s.Entries
}

// append appends at most a batch and reports whether there may be more.
func (s *Sealer) append(ctx context.Context) (more bool, err error) {
	if err := s.resume(ctx); err != nil {
		return false, err
	}
	waiting, err := s.Store.WaitingEvidence(ctx, s.Chain, s.Now().Add(-orphaned), batch)
	if err != nil || len(waiting) == 0 {
		return false, err
	}
	next := *s.chain // kept only if it is stored
	lines, taken := make([]store.AuditLine, len(waiting)), make([]int64, len(waiting))
	for i, e := range waiting {
		text, about, err := line(&next, e)
		if err != nil {
			return false, err
		}
		lines[i] = store.AuditLine{Chain: s.Chain, Sequence: next.Sequence(), Text: string(text), Personal: string(about)}
		taken[i] = e.ID
	}
	if err := s.store(ctx, next, lines, taken...); err != nil {
		return false, err
	}
	if s.unsealed.IsZero() {
		s.unsealed = s.Now()
	}
	s.measure(waiting)
	return len(waiting) == batch, nil
}

// measure tells the meter what was appended.
func (s *Sealer) measure(appended []store.Evidence) {
	if s.Meter == nil {
		return
	}
	for _, e := range appended {
		var event audit.Event
		if json.Unmarshal(e.Body, &event) == nil {
			s.Meter.Appended(event.Kind, event.Detail["event"], event.Detail["allowed"])
		}
	}
}

// line makes the line of evidence. What is not an event was tampered with while it was pending: then the log records that.
func line(chain *audit.Chain, e store.Evidence) (line, about []byte, err error) {
	var event audit.Event
	if err := json.Unmarshal(e.Body, &event); err != nil {
		return unreadable(chain, e, err)
	}
	if line, about, err = chain.AppendApart(e.At, event); err != nil {
		return unreadable(chain, e, err)
	}
	return line, about, nil
}

func unreadable(chain *audit.Chain, e store.Evidence, cause error) (line, about []byte, err error) {
	digest := sha256.Sum256(e.Body)
	return chain.AppendApart(e.At, audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{
		"event": "evidence_unreadable", "sha-256": base64.RawURLEncoding.EncodeToString(digest[:]), "error": cause.Error(),
	}})
}

// store stores lines, after which next is the end of the chain. When another process was first, the chain is read again.
func (s *Sealer) store(ctx context.Context, next audit.Chain, lines []store.AuditLine, taken ...int64) error {
	err := s.Store.AppendAudit(ctx, lines, taken...)
	if errors.Is(err, store.ErrConflict) {
		before := s.chain.Sequence()
		s.chain = nil
		return errors.Join(s.resume(ctx), s.vanished(ctx, before))
	}
	if err != nil {
		return err
	}
	s.chain = &next
	return nil
}

// vanished records that the log is shorter than what this process wrote, which the log itself no longer shows.
func (s *Sealer) vanished(ctx context.Context, before uint64) error {
	if s.chain == nil || s.chain.Sequence() >= before {
		return nil // another process appends to the chain
	}
	s.Log.ErrorContext(ctx, "audit", "event", "audit_log_cut", "chain", s.Chain, "from", s.chain.Sequence()+1, "to", before)
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{
		"event": "audit_log_cut", "node": s.Chain, "from": strconv.FormatUint(s.chain.Sequence()+1, 10), "to": strconv.FormatUint(before, 10),
	}})
	if err != nil {
		return err
	}
	return s.Store.Record(ctx, store.Evidence{Chain: s.Chain, At: s.Now(), Body: body})
}

// resume reads the end of the chain.
func (s *Sealer) resume(ctx context.Context) error {
	if s.chain != nil {
		return nil
	}
	heads, err := s.Store.AuditHeads(ctx)
	if err != nil {
		return err
	}
	chain := audit.NewChain(s.Chain)
	s.unsealed, s.sealed = time.Time{}, 0
	for _, head := range heads {
		if head.Chain != s.Chain {
			continue
		}
		if chain, err = audit.Resume([]byte(head.Text)); err != nil {
			return fmt.Errorf("the last line of the chain %q cannot be continued (run countersign audit verify): %w", s.Chain, err)
		}
		if entry, err := audit.ParseEntry([]byte(head.Text)); err == nil && entry.Kind != audit.CheckpointKind {
			s.unsealed = s.Now()
		}
		s.sealed = chain.Sequence()
	}
	s.chain = chain
	return nil
}

// checkpoint seals the chain. It goes to the log of the server, too, which is how it leaves the machine.
func (s *Sealer) checkpoint(ctx context.Context) error {
	keys, err := s.Signer.ActiveKeys(ctx, signer.UseEvidence)
	if errors.Is(err, signer.ErrNoKey) {
		return fmt.Errorf("no key seals the audit log; make one with: countersign keys generate --alg ES256 --use evidence: %w", err)
	}
	if err != nil {
		return err
	}
	next, line, err := s.seal(ctx, keys)
	if err != nil {
		return err
	}
	if err := s.store(ctx, next, []store.AuditLine{{Chain: s.Chain, Sequence: next.Sequence(), Text: string(line)}}); err != nil {
		return err
	}
	if s.chain.Sequence() != next.Sequence() {
		return nil // another process was first: the next step seals
	}
	s.unsealed, s.sealed = time.Time{}, next.Sequence()
	if s.Meter != nil {
		s.Meter.Sealed(s.Now())
	}
	if entry, err := audit.ParseEntry(line); err == nil {
		s.Log.InfoContext(ctx, "audit checkpoint", "chain", s.Chain, "sequence", entry.Sequence, "checkpoint", entry.Checkpoint)
	}
	return nil
}

// seal makes a checkpoint with the first of some keys that an HSM holds: one that is missing, as after a move to an HSM that does
// not have its algorithm, does not keep the others from sealing.
func (s *Sealer) seal(ctx context.Context, keys []signer.Key) (next audit.Chain, line []byte, err error) {
	for _, key := range keys {
		next = *s.chain
		line, err = next.Checkpoint(ctx, s.Now(), jose.SigningKey{ID: key.ID, Algorithm: string(key.Algorithm), Sign: key.Sign})
		if !errors.Is(err, signer.ErrNoKey) {
			break
		}
	}
	return next, line, err
}
