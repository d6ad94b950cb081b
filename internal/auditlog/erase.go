package auditlog

import (
	"context"
	"encoding/json"
	"strings"
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

// messageMember is the member of an event's detail that names the signed message by which its interaction began.
const messageMember = "message"

// chooses reports whether an entry is among them. messages are the references of signed messages that belong to the subject.
func (e Erasure) chooses(about map[string]string, reference string, messages map[string]bool, at time.Time) bool {
	ofSubject := e.Subject == "" || about["subject"] == e.Subject || reference != "" && messages[reference]
	return ofSubject && (e.Before.IsZero() || at.Before(e.Before))
}

// messages finds the signed messages of a subject: those that the events of the subject name.
func (e Erasure) messages(ctx context.Context, s store.Audit, waiting []store.Evidence) (map[string]bool, error) {
	found := map[string]bool{}
	if e.Subject == "" {
		return found, nil
	}
	note := func(subject, reference string) {
		if subject == e.Subject && reference != "" {
			found[reference] = true
		}
	}
	for _, w := range waiting {
		var event audit.Event
		if json.Unmarshal(w.Body, &event) == nil {
			note(event.Detail["subject"], event.Detail[messageMember])
		}
	}
	return found, Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Personal == "" || !strings.Contains(line.Personal, e.Subject) {
			return nil
		}
		if entry, err := audit.ParseEntry(Shown(line)); err == nil { // verify says what is wrong with it
			note(entry.About()["subject"], entry.Detail[messageMember])
		}
		return nil
	})
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
	waiting, err := s.WaitingEvidence(ctx, "", now.Add(time.Hour), mostSaid)
	if err != nil {
		return 0, 0, err
	}
	messages, err := what.messages(ctx, s, waiting)
	if err != nil {
		return 0, 0, err
	}
	err = Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Personal == "" {
			return nil
		}
		entry, err := audit.ParseEntry(Shown(line))
		if err != nil || !what.chooses(entry.About(), entry.Reference, messages, entry.At) { // verify says what is wrong with it
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
	if waiting, err = s.WaitingEvidence(ctx, "", now.Add(time.Hour), mostSaid); err != nil {
		return erased, 0, err
	}
	return erased, what.pending(waiting, messages), nil
}

// pending counts what is not in a chain yet.
func (e Erasure) pending(waiting []store.Evidence, messages map[string]bool) (count int) {
	for _, w := range waiting {
		var event audit.Event
		if json.Unmarshal(w.Body, &event) != nil {
			continue
		}
		about, personal := event.Detail, event.Detail["subject"] != "" || event.Detail["address"] != ""
		if event.Message != (audit.Message{}) {
			about, personal = map[string]string{"subject": event.Subject}, true
		}
		if personal && e.chooses(about, event.Reference, messages, w.At) {
			count++
		}
	}
	return count
}
