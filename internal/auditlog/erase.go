package auditlog

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"countersign/internal/audit"
	"countersign/store"
)

// Erasure says of which entries what they have about a person is erased: those about a subject, or all before a time.
type Erasure struct {
	// Subject is a user's; empty for all. Pairwise are those by which clients know the user.
	Subject  string
	Pairwise []string
	// Before is the end of the entries; zero for no end.
	Before time.Time
	// By is who does it, for the log.
	By string
}

// messageMember is the member of an event's detail that names the signed message by which its interaction began.
const messageMember = "message"

// entry is what is looked at of one: whom it is about, the reference of its message, and the consent that the message is about.
type entry struct {
	subject, reference, consent string
	at                          time.Time
}

// owned are, of a subject, the references of signed messages, and the consents.
type owned struct{ messages, consents map[string]bool }

// chooses reports whether an entry is among them.
func (e Erasure) chooses(one entry, of owned) bool {
	ofSubject := e.Subject == "" || one.subject == e.Subject || one.subject != "" && slices.Contains(e.Pairwise, one.subject) ||
		of.messages[one.reference] || of.consents[one.consent]
	return ofSubject && (e.Before.IsZero() || one.at.Before(e.Before))
}

// aboutConsent reports whether an event says of a consent whose it is: not that somebody else met it.
func aboutConsent(name string) bool {
	return (strings.HasPrefix(name, "consent_") || strings.HasPrefix(name, "lodged_consent_")) && name != "consent_of_another_user"
}

// owned finds what the events of the subject name: signed messages, and consents.
func (e Erasure) owned(ctx context.Context, s store.Audit, waiting []store.Evidence) (owned, error) {
	found := owned{map[string]bool{}, map[string]bool{}}
	if e.Subject == "" {
		return found, nil
	}
	note := func(subject string, detail map[string]string) {
		if subject != e.Subject {
			return
		}
		if reference := detail[messageMember]; reference != "" {
			found.messages[reference] = true
		}
		if consent := detail["consent"]; consent != "" && aboutConsent(detail["event"]) {
			found.consents[consent] = true
		}
	}
	for _, w := range waiting {
		var event audit.Event
		if json.Unmarshal(w.Body, &event) == nil {
			note(event.Detail["subject"], event.Detail)
		}
	}
	return found, Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Personal == "" { // what is in it is looked for as it is read, and not as JSON happens to write it
			return nil
		}
		if entry, err := audit.ParseEntry(Shown(line)); err == nil { // verify says what is wrong with it
			subject, _ := entry.Whose()
			note(subject, entry.Detail)
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
	of, err := what.owned(ctx, s, waiting)
	if err != nil {
		return 0, 0, err
	}
	err = Each(ctx, s, Position{}, func(line store.AuditLine) error {
		if line.Personal == "" {
			return nil
		}
		read, err := audit.ParseEntry(Shown(line))
		if err != nil { // verify says what is wrong with it
			return nil
		}
		subject, consent := read.Whose()
		if !what.chooses(entry{subject, read.Reference, consent, read.At}, of) {
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
	return erased, what.pending(waiting, of), nil
}

// pending counts what is not in a chain yet.
func (e Erasure) pending(waiting []store.Evidence, of owned) (count int) {
	for _, w := range waiting {
		var event audit.Event
		if json.Unmarshal(w.Body, &event) != nil {
			continue
		}
		subject, personal := event.Detail["subject"], event.Detail["subject"] != "" || event.Detail["address"] != ""
		if event.Message != (audit.Message{}) {
			subject, personal = event.Subject, true
		}
		if personal && e.chooses(entry{subject, event.Reference, event.Consent, w.At}, of) {
			count++
		}
	}
	return count
}
