package metrics

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"countersign/fapi/event"
	"countersign/internal/audit"
	"countersign/signer"
	"countersign/store"
)

// scheme is that of all requests: whatever is in front of a listener, clients reach it by https only.
const scheme = "https"

// Arrived implements [event.Meter].
func (m *Metrics) Arrived(ctx context.Context, method string) {
	m.active.Add(ctx, 1, m.methods.of(method).add...)
}

// requestKey is what the labels of a request are made of.
type requestKey struct {
	method, route, outcome string
	status                 int
}

func (k requestKey) labels(of issuer) labelled {
	failed := ""
	if k.status >= http.StatusInternalServerError {
		failed = k.outcome
	}
	return of.label("http.request.method", k.method, "http.route", k.route, "http.response.status_code", strconv.Itoa(k.status),
		"url.scheme", scheme, "error.type", failed, "oauth.outcome", k.outcome)
}

// clientKey is what the labels of a client's request are made of.
type clientKey struct{ client, route, outcome string }

// Answered implements [event.Meter].
func (m *Metrics) Answered(ctx context.Context, r event.Request) {
	m.active.Add(ctx, -1, m.methods.of(r.Method).add...)
	outcome := m.outcomes.of(r.Outcome)
	m.requests.Record(ctx, r.Took.Seconds(), m.requestLabels.of(requestKey{r.Method, r.Route, outcome, r.Status}).record...)
	if r.ClientID != "" {
		m.clientRequests.Add(ctx, 1, m.clientLabels.of(clientKey{m.clients.of(r.ClientID), r.Route, outcome}).add...)
	}
}

// verbKey is what the labels of a verb are made of.
type verbKey struct{ verb, failure string }

// conflictKey is what the labels of a conflict are made of.
type conflictKey struct{ reason, kind string }

// Verb implements [store.Meter].
func (m *Metrics) Verb(ctx context.Context, verb string, took time.Duration, err error) {
	m.verbs.Record(ctx, took.Seconds(), m.verbLabels.of(verbKey{verb, storeFailure(err)}).record...)
	if conflict := conflictOf(err); conflict.reason != "" {
		conflict.kind = m.kinds.of(conflict.kind)
		m.conflicts.Add(ctx, 1, m.conflictLabels.of(conflict).add...)
	}
}

// Retried implements [store.Meter].
func (m *Metrics) Retried(ctx context.Context, verb string) {
	m.retries.Add(ctx, 1, m.retryLabels.of(verb).add...)
}

// conflictOf says who was first; without a reason nobody was.
func conflictOf(err error) conflictKey {
	if replayed, ok := errors.AsType[*store.ReplayedError](err); ok {
		return conflictKey{"replayed", replayed.Kind}
	}
	switch {
	case errors.Is(err, store.ErrReplayed):
		return conflictKey{reason: "replayed"}
	case errors.Is(err, store.ErrConsumed):
		return conflictKey{reason: "consumed"}
	case errors.Is(err, store.ErrConflict):
		return conflictKey{reason: "conflict"}
	}
	return conflictKey{}
}

// storeFailure names what kept a verb from answering; empty for an answer.
func storeFailure(err error) string {
	switch {
	case err == nil, errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrExpired), errors.Is(err, store.ErrRevoked),
		conflictOf(err).reason != "":
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, store.ErrClock):
		return "clock"
	case errors.Is(err, store.ErrOverloaded):
		return "overloaded"
	case errors.Is(err, store.ErrUnavailable):
		return "unavailable"
	}
	return "failed"
}

// usageKey is what the labels of a use of a key are made of.
type usageKey struct {
	hsm       string
	algorithm signer.Algorithm
	use       signer.Use
	failure   string
}

// Used implements [signer.Meter].
func (m *Metrics) Used(ctx context.Context, u signer.Usage) {
	use := u.Use
	if use == "" {
		use = "trial"
	}
	m.hsm.Record(ctx, u.Took.Seconds(), m.hsmLabels.of(usageKey{u.Replica, u.Algorithm, use, signerFailure(u.Err)}).record...)
}

// signerFailure names what kept a key from being used; empty when nothing did.
func signerFailure(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, signer.ErrOverloaded):
		return "overloaded"
	case errors.Is(err, signer.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, signer.ErrNoKey):
		return "no_key"
	case errors.Is(err, signer.ErrWrongSignature):
		return "wrong_signature"
	case errors.Is(err, signer.ErrCiphertext):
		return "ciphertext"
	}
	return "failed"
}

// entryKey is what the labels of an entry are made of.
type entryKey struct {
	kind           audit.Kind
	event, allowed string
}

// Appended implements auditlog's Meter. What is in evidence was in the database: no more is believed of it than of a client.
func (m *Metrics) Appended(kind audit.Kind, name, allowed string) {
	if allowed != "true" && allowed != "false" {
		allowed = ""
	}
	key := entryKey{audit.Kind(m.kinds.of(string(kind))), m.events.of(name), allowed}
	m.entries.Add(context.Background(), 1, m.entryLabels.of(key).add...)
	m.unsealedSince.CompareAndSwap(0, m.now().UnixNano())
}

// Sealed implements auditlog's Meter.
func (m *Metrics) Sealed(time.Time) {
	m.unsealedSince.Store(0)
	m.checkpoints.Add(context.Background(), 1, m.own.add...)
}

// IngressRefused counts a request that was refused in front of the endpoints; event is that of the audit log.
func (m *Metrics) IngressRefused(ctx context.Context, event string) {
	m.ingress.Add(ctx, 1, m.ingressLabels.of(m.events.of(event)).add...)
}

// CertificateRefused counts a client certificate that was refused.
func (m *Metrics) CertificateRefused(ctx context.Context) { m.certificates.Add(ctx, 1, m.own.add...) }
