package event

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"strconv"
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
	return r.SignedBy(ctx, audit.Event{Kind: kind, ClientID: clientID, Message: message, Reference: audit.ReferenceOf(jws)}, key)
}

// SignedBy makes evidence of a message in any form and the key that signed it. The event has its kind, the client, the message, and the user
// and the consent that it is about, or nothing where these are not known (yet): see [About], [OfConsent] and [Reference].
func (r *Recorder) SignedBy(ctx context.Context, logged audit.Event, key jose.Key) (store.Evidence, error) {
	jwk, err := json.Marshal(key)
	if err != nil {
		return store.Evidence{}, err
	}
	logged.Key, logged.JWK = key.Thumbprint(), jwk
	return r.evidence(ctx, logged)
}

// Reference names the message that evidence is of, for the events of the user who takes it up: they have it as "message", so that it can be
// erased with them. It is empty where there is none.
func Reference(evidence []store.Evidence) string {
	for _, each := range evidence {
		var event audit.Event
		if json.Unmarshal(each.Body, &event) == nil && event.Reference != "" {
			return event.Reference
		}
	}
	return ""
}

// About says of the messages that evidence is of whom they are about.
func About(subject string, evidence []store.Evidence) ([]store.Evidence, error) {
	return amended(evidence, func(e *audit.Event) { e.Subject = subject })
}

// OfConsent says of the messages that evidence is of which consent they are about: whoever decides about it, they are erased with.
func OfConsent(id string, evidence []store.Evidence) ([]store.Evidence, error) {
	return amended(evidence, func(e *audit.Event) { e.Consent = id })
}

// amended changes the messages among evidence.
func amended(evidence []store.Evidence, change func(*audit.Event)) ([]store.Evidence, error) {
	about := slices.Clone(evidence)
	for i, each := range about {
		var event audit.Event
		if json.Unmarshal(each.Body, &event) != nil || event.Message == (audit.Message{}) {
			continue
		}
		change(&event)
		body, err := json.Marshal(event)
		if err != nil {
			return nil, err
		}
		about[i].Body = body
	}
	return about, nil
}

// Event makes evidence of a security event, for the verb of the store whose outcome it is; detail has names and values in turn,
// of which the empty values are left out. The address of the client and the correlation id are added. No secret, and nothing
// that names a user but the subject, belongs in it: the log outlives the user's erasure.
func (r *Recorder) Event(ctx context.Context, clientID, name string, detail ...string) store.Evidence {
	e := Of(ctx)
	body := append(make([]byte, 0, 512), `{"kind":"`+string(audit.SecurityEvent)+`"`...)
	body = appendMember(body, ',', "client_id", clientID)
	body = appendMember(body, ',', "correlation_id", e.CorrelationID)
	body = append(body, `,"detail"`...)
	body = appendMember(append(body, ':'), '{', "event", name)
	for i := 0; i+1 < len(detail); i += 2 {
		body = appendMember(body, ',', detail[i], detail[i+1])
	}
	body = appendMember(body, ',', "address", e.Address())
	return store.Evidence{Chain: r.Chain, At: r.Now(), Body: append(body, "}}"...)}
}

// appendMember appends a separator, and a member of a JSON object whose name needs no escapes, unless its value is empty.
func appendMember(body []byte, separator byte, name, value string) []byte {
	if value == "" {
		return body
	}
	body = append(append(append(body, separator, '"'), name...), '"', ':')
	for i := range len(value) {
		if c := value[i]; c < ' ' || c >= 0x7f || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(value) // of a string it cannot fail
			return append(body, quoted...)
		}
	}
	return append(append(append(body, '"'), value...), '"')
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

// SecurityEvent records an [Recorder.Event] that no verb of the store takes along. What it is of is already done: a failure to
// record it is logged only.
func (r *Recorder) SecurityEvent(ctx context.Context, clientID, name string, detail ...string) {
	// Also when the client has disconnected.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := r.Store.Record(ctx, r.Event(ctx, clientID, name, detail...)); err != nil {
		r.Log.ErrorContext(ctx, "security event not recorded in the audit log",
			"event", name, "client_id", clientID, "correlation_id", Of(ctx).CorrelationID, "error", err.Error())
	}
}

// Events of one name that anybody can cause at will: of one network the first of a period is recorded, and at its end how many there
// were; of all networks together, mostProvoked.
const mostProvoked = 20

// ProvokedEvent is [Recorder.SecurityEvent] for an event that anybody can cause again and again, such as a sign-in that was refused
// because there were too many: a flood must not fill the log. The detail gets "repeated", how many more of this network the entry
// stands for, and "others", how many entries of other networks were left out.
func (r *Recorder) ProvokedEvent(ctx context.Context, clientID, name string, detail ...string) {
	e := Of(ctx)
	record := func(repeated, others int) {
		r.SecurityEvent(ctx, clientID, name, append(slices.Clip(detail), "repeated", counted(repeated), "others", counted(others))...)
	}
	if e.lines == nil {
		record(0, 0)
		return
	}
	kind := "audit\x00" + name
	e.lines.Write(kind+"\x00"+e.Address(), 1, func(repeated int) {
		e.lines.Write(kind, mostProvoked, func(others int) { record(repeated, others) })
	})
}

// counted is a number as a value of a detail; zero is left out.
func counted(number int) string {
	if number == 0 {
		return ""
	}
	return strconv.Itoa(number)
}
