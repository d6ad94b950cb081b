package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"countersign/internal/audit"
	"countersign/internal/jose"
	"countersign/store"
)

// Recorder keeps evidence: whatever a client or this server signs as a message to the other (FAPI 2.0 Message Signing §7),
// and security events. No profile and no setting leaves it out. Where a store verb decides the outcome, the evidence goes
// with it in one transaction; where none does, it is recorded before the message is released. Client assertions and DPoP
// proofs are not kept: they prove who sends something, and say nothing of what is sent.
type Recorder struct {
	Store interface {
		Record(ctx context.Context, evidence ...store.Evidence) error
	}
	// Chain names the chain of the audit log that this node's evidence goes into.
	Chain string
	Now   func() time.Time
	Log   *slog.Logger
}

// Message makes evidence of a signed message and the key that made its signature. The claims named as personal are
// withheld.
func (r *Recorder) Message(ctx context.Context, kind audit.Kind, clientID, jws string, key jose.Key, personal ...string) (store.Evidence, error) {
	message, err := audit.NewMessage(jws, personal...)
	if err != nil {
		return store.Evidence{}, err
	}
	return r.SignedBy(ctx, kind, clientID, key, message)
}

// SignedBy makes evidence of a message in any form and the key that made its signature.
func (r *Recorder) SignedBy(ctx context.Context, kind audit.Kind, clientID string, key jose.Key, message audit.Message) (store.Evidence, error) {
	jwk, err := json.Marshal(key)
	if err != nil {
		return store.Evidence{}, err
	}
	return r.evidence(ctx, audit.Event{Kind: kind, ClientID: clientID, Key: key.Thumbprint(), JWK: jwk, Message: message})
}

func (r *Recorder) evidence(ctx context.Context, logged audit.Event) (store.Evidence, error) {
	logged.CorrelationID = Of(ctx).CorrelationID
	body, err := json.Marshal(logged)
	return store.Evidence{Chain: r.Chain, At: r.Now(), Body: body}, err
}

// Record stores evidence on its own.
func (r *Recorder) Record(ctx context.Context, evidence ...store.Evidence) error {
	if len(evidence) == 0 {
		return nil
	}
	return r.Store.Record(ctx, evidence...)
}

// SecurityEvent records a change of what is registered or granted; detail are names and values. The change is made already,
// so that a failure to record it is logged and changes no answer.
func (r *Recorder) SecurityEvent(ctx context.Context, clientID, name string, detail ...string) {
	fields := map[string]string{"event": name}
	for i := 0; i < len(detail); i += 2 {
		fields[detail[i]] = detail[i+1]
	}
	recorded, err := r.evidence(ctx, audit.Event{Kind: audit.SecurityEvent, ClientID: clientID, Detail: fields})
	if err == nil {
		err = r.Store.Record(ctx, recorded)
	}
	if err != nil {
		r.Log.ErrorContext(ctx, "security event not recorded in the audit log",
			"event", name, "client_id", clientID, "correlation_id", Of(ctx).CorrelationID, "error", err.Error())
	}
}
