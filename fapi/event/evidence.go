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

// Recorder records evidence: messages signed by a client or by this server (FAPI 2.0 Message Signing §7), and
// security events, in every profile. Evidence is recorded in the transaction of the change of state, or before the
// message is sent. Client assertions and DPoP proofs are not recorded: they authenticate the sender and do not sign
// the message.
type Recorder struct {
	Store interface {
		Record(ctx context.Context, evidence ...store.Evidence) error
	}
	// Chain names this node's chain of the audit log.
	Chain string
	Now   func() time.Time
	Log   *slog.Logger
}

// Message makes evidence of a compact JWS and the key that signed it. personal names the claims that are withheld.
func (r *Recorder) Message(
	ctx context.Context, kind audit.Kind, clientID, jws string, key jose.Key, personal ...string,
) (store.Evidence, error) {
	message, err := audit.NewMessage(jws, personal...)
	if err != nil {
		return store.Evidence{}, err
	}
	return r.SignedBy(ctx, kind, clientID, key, message)
}

// SignedBy makes evidence of a message in any form and the key that signed it.
func (r *Recorder) SignedBy(
	ctx context.Context, kind audit.Kind, clientID string, key jose.Key, message audit.Message,
) (store.Evidence, error) {
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

// Record stores evidence in a transaction of its own.
func (r *Recorder) Record(ctx context.Context, evidence ...store.Evidence) error {
	if len(evidence) == 0 {
		return nil
	}
	return r.Store.Record(ctx, evidence...)
}

// recordTimeout bounds the recording of a security event.
const recordTimeout = 5 * time.Second

// SecurityEvent records a change of registrations or grants; detail has names and values in turn. The change is
// already made: a failure to record it is logged only.
func (r *Recorder) SecurityEvent(ctx context.Context, clientID, name string, detail ...string) {
	fields := map[string]string{"event": name}
	for i := 0; i < len(detail); i += 2 {
		fields[detail[i]] = detail[i+1]
	}
	// Also when the client has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := r.recordEvent(ctx, audit.Event{Kind: audit.SecurityEvent, ClientID: clientID, Detail: fields}); err != nil {
		r.Log.ErrorContext(ctx, "security event not recorded in the audit log",
			"event", name, "client_id", clientID, "correlation_id", Of(ctx).CorrelationID, "error", err.Error())
	}
}

func (r *Recorder) recordEvent(ctx context.Context, logged audit.Event) error {
	recorded, err := r.evidence(ctx, logged)
	if err != nil {
		return err
	}
	return r.Store.Record(ctx, recorded)
}
