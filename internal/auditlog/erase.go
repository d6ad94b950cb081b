package auditlog

import (
	"context"
	"encoding/json"
	"time"

	"countersign/internal/audit"
	"countersign/store"
)

// Erasure says of which entries what they have about a person is erased: those about a subject, or all before a time.
type Erasure struct {
	// Subject is a user's; empty for all.
	Subject string
	// Before is the end of the entries; zero for no end.
	Before time.Time
	// By is who does it, for the log.
	By string
}

// chooses reports whether an entry is among them.
func (e Erasure) chooses(about map[string]string, at time.Time) bool {
	return (e.Subject == "" || about["subject"] == e.Subject) && (e.Before.IsZero() || at.Before(e.Before))
}

// because is the reason as the log has it. It does not name the subject, which is what goes.
func (e Erasure) because() string {
	if e.Subject != "" {
		return "subject"
	}
	return "age"
}

// erasedAtOnce is how many entries are erased in one transaction, and named in one entry.
const erasedAtOnce = 500

// Erase erases what entries have about a person, with evidence of which they are, and returns how many they were. pending is how many
// more are not in a chain yet; they are left. With dry nothing is changed.
func Erase(ctx context.Context, s store.Audit, what Erasure, now time.Time, dry bool) (erased, pending int, err error) {
	found := map[string][]uint64{}
	flush := func(chain string) error {
		numbers := found[chain]
		delete(found, chain)
		if dry || len(numbers) == 0 {
			erased += len(numbers)
			return nil
		}
		body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{
			"event": audit.ErasedEvent, "node": chain, "entries": audit.EntriesOf(numbers...).String(), "because": what.because(), "by": what.By,
		}})
		if err != nil {
			return err
		}
		count, err := s.EraseAudit(ctx, chain, numbers, store.Evidence{At: now, Body: body})
		erased += count
		return err
	}
	err = Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Personal == "" {
			return nil
		}
		entry, err := audit.ParseEntry(Shown(line))
		if err != nil || !what.chooses(entry.About(), entry.At) { // verify says what is wrong with it
			return nil
		}
		found[line.Chain] = append(found[line.Chain], line.Sequence)
		if len(found[line.Chain]) < erasedAtOnce {
			return nil
		}
		return flush(line.Chain)
	})
	for chain := range found {
		if err == nil {
			err = flush(chain)
		}
	}
	if err != nil {
		return erased, 0, err
	}
	pending, err = what.pending(ctx, s, now)
	return erased, pending, err
}

// pending counts what is not in a chain yet.
func (e Erasure) pending(ctx context.Context, s store.Audit, now time.Time) (count int, err error) {
	waiting, err := s.WaitingEvidence(ctx, "", now.Add(time.Hour), mostSaid)
	if err != nil {
		return 0, err
	}
	for _, w := range waiting {
		var event audit.Event
		if json.Unmarshal(w.Body, &event) == nil && event.Kind == audit.SecurityEvent &&
			(event.Detail["subject"] != "" || event.Detail["address"] != "") && e.chooses(event.Detail, w.At) {
			count++
		}
	}
	return count, nil
}
