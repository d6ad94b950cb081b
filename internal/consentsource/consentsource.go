// Package consentsource asks a system of the operator's own for the consents that clients lodged there (docs/consent-apis.md): called with
// mutual TLS through package outbound, and left alone for a while when it does not answer. What it answers is held to the contract: it
// is about the consent and the client that were asked for, and says what users are shown.
package consentsource

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"mime"
	"net/http"
	"strings"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/consent"
	"countersign/internal/askline"
	"countersign/internal/correlation"
	"countersign/internal/outbound"
	"countersign/internal/queue"
	"countersign/store"
)

// maxAnswer is the size of the largest answer, in bytes.
const maxAnswer = 128 << 10

// Store ends what is kept here of a consent, with its grant.
type Store interface {
	EndConsent(ctx context.Context, ending store.ConsentEnding) (store.LodgedConsent, error)
}

// Config is the configuration of a [Source].
type Config struct {
	// Address is what the names of operations are appended to.
	Address string
	// Policy says whom to trust and which networks to reach; it must have a certificate. Its Timeout bounds one question, with
	// the time that it waits for its turn.
	Policy outbound.Policy
	// AtOnce bounds the questions that are asked at once.
	AtOnce int
	Store  Store
	Now    func() time.Time
	Log    *slog.Logger
	// TracerProvider traces questions; nil traces none.
	TracerProvider trace.TracerProvider
}

// Source asks. Make one with [New]. It is safe for concurrent use.
type Source struct {
	config Config
	tracer trace.Tracer
	client *outbound.Client
	line   *askline.Line
}

var _ consent.Source = (*Source)(nil)

// New checks the configuration and makes a source. Nothing is asked yet. Errors begin with the key of the configuration.
func New(config Config) (*Source, error) {
	config.Address = strings.TrimSuffix(config.Address, "/")
	if err := askline.Check(config.Address, config.Policy, askline.Keys{
		Address: "consents.source", Networks: "consents.source_networks", Certificate: "consents.source_certificate_file",
	}); err != nil {
		return nil, err
	}
	if strings.Contains(config.Address, "?") {
		return nil, errors.New("consents.source: it has a query, and the names of operations are appended to it")
	}
	config.Policy.MaxBody = maxAnswer
	if config.TracerProvider == nil {
		config.TracerProvider = noop.NewTracerProvider()
	}
	return &Source{
		config: config, tracer: config.TracerProvider.Tracer("countersign/internal/consentsource"), client: outbound.New(config.Policy),
		line: askline.New(askline.Config{AtOnce: config.AtOnce, Patience: config.Policy.Timeout, Now: config.Now}),
	}, nil
}

// Error says why there is no answer. It is a [consent.ErrUnavailable], and its text repeats nothing that the source sent.
type Error struct {
	Reason string
	// Wait is when asking again may help.
	Wait time.Duration

	cause error
}

// Error implements error.
func (e *Error) Error() string { return "consent source: " + e.Reason }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is makes it a [consent.ErrUnavailable].
func (e *Error) Is(target error) bool { return target == consent.ErrUnavailable }

// RetryAfter is Wait.
func (e *Error) RetryAfter() time.Duration { return e.Wait }

// question is the body of a request. What is empty is left out.
type question struct {
	ConsentID     string     `json:"consent_id"`
	ClientID      string     `json:"client_id,omitempty"`
	Interaction   string     `json:"interaction,omitempty"`
	Version       int        `json:"version,omitempty"`
	Subject       string     `json:"subject,omitempty"`
	Allowed       *bool      `json:"allowed,omitempty"`
	GrantID       string     `json:"grant_id,omitempty"`
	DecidedAt     *time.Time `json:"decided_at,omitempty"`
	GrantEndsAt   *time.Time `json:"grant_ends_at,omitempty"`
	By            string     `json:"by,omitempty"`
	Reason        string     `json:"reason,omitempty"`
	CorrelationID string     `json:"correlation_id,omitempty"`
}

// Read implements [consent.Source].
func (s *Source) Read(ctx context.Context, clientID, id string) (consent.Consent, error) {
	return s.ask(ctx, "read", question{ConsentID: id, ClientID: clientID})
}

// Bind implements [consent.Source].
func (s *Source) Bind(ctx context.Context, b consent.Binding) (consent.Consent, error) {
	bound, err := s.ask(ctx, "bind", question{ConsentID: b.ID, ClientID: b.ClientID, Interaction: textOf(b.To), Subject: b.Subject})
	bound.Bound = b.To
	return bound, err
}

// Decide implements [consent.Source]: the source keeps the decision, and what is returned is kept here with the grant, so that the
// consent's end ends that too.
func (s *Source) Decide(ctx context.Context, d consent.Decision) (*store.ConsentDecision, error) {
	decided, err := s.ask(ctx, "decide", questionOf(d))
	if err != nil {
		return nil, err
	}
	wanted := store.ConsentRejected
	if d.GrantID != "" {
		wanted = store.ConsentAuthorised
	}
	if decided.Status != wanted {
		return nil, s.failed(ctx, "decide", d.Consent.ClientID, errLie("after the decision the consent is not "+string(wanted)), 0)
	}
	here := d.Consent
	here.Subject, here.GrantID, here.Elsewhere, here.Notify, here.Bound = "", "", true, true, d.Bound
	here.ChangedAt, here.EndsAt = d.At.UTC().Truncate(time.Microsecond), decided.EndsAt
	return &store.ConsentDecision{
		ID: d.Consent.ID, ClientID: d.Consent.ClientID, Bound: d.Bound, Version: d.Consent.Version, Subject: d.Subject, Elsewhere: &here,
	}, nil
}

// Undo implements [consent.Source]. A failure is logged, also that of a question that was not asked, since nothing else says which
// consent it is about: the source takes a decision without a later read of its grant for none.
func (s *Source) Undo(ctx context.Context, d consent.Decision) {
	if _, err := s.ask(ctx, "undo", questionOf(d)); err != nil {
		s.config.Log.WarnContext(ctx, "consent source did not take a decision back", "correlation_id", correlation.ID(ctx),
			"client_id", d.Consent.ClientID, "consent_id", d.Consent.ID, "error", err.Error())
	}
}

func questionOf(d consent.Decision) question {
	allowed, at := d.GrantID != "", d.At.UTC()
	q := question{
		ConsentID: d.Consent.ID, ClientID: d.Consent.ClientID, Interaction: textOf(d.Bound), Version: d.Consent.Version, Subject: d.Subject,
		Allowed: &allowed, GrantID: d.GrantID, DecidedAt: &at,
	}
	if !d.EndsAt.IsZero() {
		ends := d.EndsAt.UTC()
		q.GrantEndsAt = &ends
	}
	return q
}

// Revoke implements [consent.Source]. What is kept here ends first, with the grant and its tokens: that never waits for the source,
// which is told at once and, if it does not answer, by the notice of the change.
func (s *Source) Revoke(ctx context.Context, r consent.Revocation) (consent.Consent, error) {
	here, err := s.config.Store.EndConsent(ctx, store.ConsentEnding{
		ID: r.ID, ClientID: r.ClientID, Subject: r.Subject, By: r.By, Reason: r.Reason, Evidence: r.Evidence,
	})
	switch {
	case errors.Is(err, store.ErrConsumed), errors.Is(err, store.ErrExpired):
		return here, consent.ErrState
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return consent.Consent{}, err
	}
	ended, asked := s.ask(ctx, "revoke", question{ConsentID: r.ID, ClientID: r.ClientID, Subject: r.Subject, By: r.By, Reason: r.Reason})
	if err == nil {
		return here, nil
	}
	return ended, asked
}

// textOf writes a digest; zero is empty.
func textOf(d store.Digest) string {
	if d.Zero() {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(d[:])
}

// ask asks for an operation, and reads the answer. Errors are [consent.ErrNotFound], [consent.ErrState] with the consent, *[Error],
// *[queue.RefusedError], or that of ctx.
func (s *Source) ask(ctx context.Context, operation string, q question) (consent.Consent, error) {
	q.CorrelationID = correlation.ID(ctx)
	body, err := json.Marshal(q)
	if err != nil {
		return consent.Consent{}, err
	}
	var answer consent.Consent
	result, err := s.line.Ask(ctx, q.ClientID, func(ctx context.Context) (err error) {
		answer, err = s.exchange(ctx, operation, q, body)
		return err
	})
	if result.Recovered {
		s.config.Log.InfoContext(ctx, "consent source answers again", "correlation_id", correlation.ID(ctx))
	}
	if errors.Is(err, consent.ErrNotFound) || errors.Is(err, consent.ErrState) || err == nil {
		return answer, err
	}
	return consent.Consent{}, s.failed(ctx, operation, q.ClientID, err, result.Paused)
}

// failed logs a question that was asked in vain, and returns its error.
func (s *Source) failed(ctx context.Context, operation, clientID string, err error, paused time.Duration) error {
	if unasked, ok := errors.AsType[*askline.RestingError](err); ok {
		return &Error{Reason: unasked.Reason, Wait: unasked.Wait, cause: err}
	}
	if refused, ok := errors.AsType[*queue.RefusedError](err); ok {
		return &Error{Reason: "there are too many questions at once", Wait: refused.RetryAfter(), cause: err}
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		failure = &Error{Reason: err.Error(), cause: err}
	}
	failure.Wait = max(paused, askline.FirstPause)
	if ctx.Err() == nil { // or else nobody waits
		s.config.Log.WarnContext(ctx, "consent source gave no answer", "correlation_id", correlation.ID(ctx), "client_id", clientID,
			"operation", operation, "error", failure.Reason, "retry_after", failure.Wait.String())
	}
	return failure
}

func (s *Source) exchange(ctx context.Context, operation string, q question, body []byte) (consent.Consent, error) {
	ctx, span := s.tracer.Start(ctx, "consent source "+operation, trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	document, err := s.client.Ask(ctx, s.config.Address+"/"+operation, header, body)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
		return consent.Consent{}, err
	}
	if media, _, err := mime.ParseMediaType(document.ContentType); err != nil || media != "application/json" {
		return consent.Consent{}, errLie("its answer is not application/json")
	}
	return read(document.Body, q)
}

func errLie(reason string) error { return &Error{Reason: reason} }
