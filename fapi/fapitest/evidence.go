package fapitest

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"countersign/fapi/event"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/store"
)

// WithAuditChain has a server keep an audit chain.
func WithAuditChain(c *Config) { c.AuditChain = "node-1" }

// FailingAudit is a store whose Record fails.
type FailingAudit struct{ store.Store }

// Record implements [store.Audit].
func (FailingAudit) Record(context.Context, ...store.Evidence) error { return errFull }

var errFull = errors.New("the disk is full")

// ordinary are the events of the ordinary flow, which almost every request has.
func ordinary(e audit.Event) bool {
	return slices.Contains([]string{
		event.SignedIn, event.SignInFailed, event.SignInThrottled, event.StepUpRequired, event.ConsentShown, event.ConsentDecided,
		event.RequestEnded, event.GrantMade,
		event.TokensIssued, event.GrantRefreshed, event.AccessTokenRevoked,
	}, e.Detail["event"])
}

// NewEvidence returns the audit events that do adds, in order, without those of the ordinary flow.
func (w *World) NewEvidence(t *testing.T, do func()) []audit.Event {
	t.Helper()
	return slices.DeleteFunc(w.newEvidence(t, do), ordinary)
}

// NewEvents returns the security events that do adds, in order: the ordinary ones too.
func (w *World) NewEvents(t *testing.T, do func()) []audit.Event {
	t.Helper()
	return slices.DeleteFunc(w.newEvidence(t, do), func(e audit.Event) bool { return e.Kind != audit.SecurityEvent })
}

// Events are the security events that wait for their chain, in order.
func (w *World) Events(t *testing.T) []audit.Event {
	t.Helper()
	return slices.DeleteFunc(w.evidence(t), func(e audit.Event) bool { return e.Kind != audit.SecurityEvent })
}

func (w *World) newEvidence(t *testing.T, do func()) []audit.Event {
	t.Helper()
	before := len(w.evidence(t))
	do()
	return w.evidence(t)[before:]
}

// evidence returns the events that wait for their chain. Each belongs to a request, or is a security
// event or what is sent after one.
func (w *World) evidence(t *testing.T) []audit.Event {
	t.Helper()
	waiting, err := w.Store.WaitingEvidence(t.Context(), w.Config.AuditChain, w.Clock.Now().Add(time.Hour), 1000)
	if err != nil {
		t.Fatal(err)
	}
	var events []audit.Event
	for _, e := range waiting {
		var event audit.Event
		if err := json.Unmarshal(e.Body, &event); err != nil {
			t.Fatal(err)
		}
		if event.CorrelationID == "" && event.Kind != audit.SecurityEvent && event.Kind != audit.LogoutToken && event.Kind != audit.ConsentNotice {
			t.Errorf("an event without a correlation id: %s", e.Body)
		}
		events = append(events, event)
	}
	return events
}

// WantKinds checks the kinds of events, in order.
func WantKinds(t *testing.T, events []audit.Event, kinds ...audit.Kind) {
	t.Helper()
	var got []audit.Kind
	for _, event := range events {
		got = append(got, event.Kind)
	}
	if len(got) != len(kinds) {
		t.Fatalf("kept %v, want %v", got, kinds)
	}
	for i, kind := range kinds {
		if got[i] != kind {
			t.Fatalf("kept %v, want %v", got, kinds)
		}
	}
}

// Sealer is a sealer of the world's audit chain.
func (w *World) Sealer(t *testing.T) *auditlog.Sealer {
	t.Helper()
	keys, err := signer.New(t.Context(), signer.Config{Catalogue: Catalogue{Store: w.Store}, Replicas: []signer.Replica{{Backend: w.Backend}}, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	return &auditlog.Sealer{
		Store: w.Store, Signer: keys, Chain: w.Config.AuditChain, Every: time.Minute, Entries: 1000, Now: w.Clock.Now, Log: slog.New(slog.DiscardHandler),
	}
}

// Audited verifies the whole audit log with the server's keys, and returns the report and the log.
func (w *World) Audited(t *testing.T) (audit.Report, string) {
	t.Helper()
	keys, err := auditlog.Keys(t.Context(), w.Store)
	if err != nil {
		t.Fatal(err)
	}
	verifier, all := audit.NewVerifier(audit.Options{Keys: keys}), ""
	err = auditlog.Each(t.Context(), w.Store, auditlog.Position{}, func(line store.AuditLine) error {
		verifier.Add(auditlog.Shown(line))
		all += string(auditlog.Shown(line)) + "\n"
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return verifier.Report(), all
}
