// Package claimsource asks an API of the operator's own for claims about users (docs/claims-source.md): called with mutual
// TLS through package outbound, cached by rule, and left alone for a while when it does not answer. What it answers is held to
// the contract: it is about the user who was asked for, has nothing but what was asked for and is allowed, each of its type.
package claimsource

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"countersign/fapi/claims"
	"countersign/internal/askline"
	"countersign/internal/correlation"
	"countersign/internal/outbound"
	"countersign/internal/queue"
)

// maxAnswer is the size of the largest answer, in bytes.
const maxAnswer = 64 << 10

// Config is the configuration of a [Source].
type Config struct {
	// Address is where questions are posted.
	Address string
	// Policy says whom to trust and which networks to reach; it must have a certificate. Its Timeout bounds one question, with
	// the time that it waits for its turn.
	Policy outbound.Policy
	// Claims are those that the source may give (see [claims.Names]); others are never asked for nor taken.
	Claims []string
	// CheckActive has it asked about each user for whom tokens are issued.
	CheckActive bool
	// Cache is how long an answer may be used again, for the same user, client, claims and scopes; 0 is not at all. The
	// source can shorten it (Cache-Control).
	Cache time.Duration
	// CacheEntries bounds the answers that are kept.
	CacheEntries int
	// AtOnce bounds the questions that are asked at once.
	AtOnce int
	// Now is the clock by which answers are kept and the source is left alone.
	Now func() time.Time
	Log *slog.Logger
	// TracerProvider traces questions; nil traces none.
	TracerProvider trace.TracerProvider
}

// Source asks. Make one with [New]. It is safe for concurrent use.
type Source struct {
	config Config
	tracer trace.Tracer
	client *outbound.Client
	cache  *cache
	line   *askline.Line
}

// New checks the configuration and makes a source. Nothing is asked yet. Errors begin with the key of the configuration.
func New(config Config) (*Source, error) {
	if err := askline.Check(config.Address, config.Policy, askline.Keys{
		Address: "claims_source.address", Networks: "claims_source.networks", Certificate: "claims_source.certificate_file",
	}); err != nil {
		return nil, err
	}
	if len(config.Claims) == 0 && !config.CheckActive {
		return nil, errors.New("claims_source.claims: empty, and check_active is false: the source would never be asked")
	}
	for i, name := range config.Claims {
		if !slices.Contains(claims.Known(), name) {
			return nil, fmt.Errorf("claims_source.claims: %q is no claim about a user (OpenID Connect Core §5.1)", name)
		}
		if slices.Contains(config.Claims[:i], name) {
			return nil, fmt.Errorf("claims_source.claims: %q is named twice", name)
		}
	}
	config.Policy.MaxBody = maxAnswer
	if config.TracerProvider == nil {
		config.TracerProvider = noop.NewTracerProvider()
	}
	return &Source{
		config: config, tracer: config.TracerProvider.Tracer("countersign/internal/claimsource"),
		client: outbound.New(config.Policy), cache: newCache(config.CacheEntries),
		line: askline.New(askline.Config{AtOnce: config.AtOnce, Patience: config.Policy.Timeout, Now: config.Now}),
	}, nil
}

// Claims returns the source as package claims asks it.
func (s *Source) Claims() *claims.Source {
	return &claims.Source{Names: s.config.Claims, CheckActive: s.config.CheckActive, Ask: s.Ask, Accounts: s.Accounts}
}

// Error says why there is no answer. Its text repeats nothing that the source sent.
type Error struct {
	Reason string
	// Wait is when asking again may help.
	Wait time.Duration

	cause error
}

// Error implements error.
func (e *Error) Error() string { return "claims source: " + e.Reason }

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.cause }

// RetryAfter is Wait.
func (e *Error) RetryAfter() time.Duration { return e.Wait }

// Ask answers a question from the cache or asks the source. The bounds come first: a source that does not answer is left
// alone, and who would wait for too long is refused at once. Errors are [claims.ErrWrongSubject], *[Error],
// *[queue.RefusedError], or that of ctx.
func (s *Source) Ask(ctx context.Context, q claims.Question) (claims.Answer, error) {
	key := keyOf(q)
	if answer, found := s.cache.get(key, s.config.Now()); found {
		return answer, nil
	}
	answer, asked, keep, err := s.inTurn(ctx, q, nil)
	if err != nil || answer.Inactive { // and is asked about again
		return answer, err
	}
	s.cache.put(key, answer, asked, keep)
	return answer, nil
}

// Accounts asks for the accounts that a user can choose from for types of authorization_details. Nothing is kept: what the user is shown is
// what the source says then. Errors are as those of Ask.
func (s *Source) Accounts(ctx context.Context, q claims.Question, types []string) (claims.Answer, error) {
	answer, _, _, err := s.inTurn(ctx, q, types)
	return answer, err
}

// inTurn asks the source when it is the question's turn, and returns when that was and how long the answer may be kept.
func (s *Source) inTurn(ctx context.Context, q claims.Question, types []string) (answer claims.Answer, asked time.Time, keep time.Duration, err error) {
	result, err := s.line.Ask(ctx, q.ClientID, func(ctx context.Context) (err error) {
		asked = s.config.Now()
		answer, keep, err = s.exchange(ctx, q, types)
		return err
	})
	if result.Recovered {
		s.config.Log.InfoContext(ctx, "claims source answers again", "correlation_id", correlation.ID(ctx))
	}
	if unasked, ok := errors.AsType[*askline.RestingError](err); ok {
		return claims.Answer{}, asked, 0, &Error{Reason: unasked.Reason, Wait: unasked.Wait}
	}
	if _, refused := errors.AsType[*queue.RefusedError](err); refused {
		return claims.Answer{}, asked, 0, err
	}
	if err != nil {
		return claims.Answer{}, asked, 0, s.failed(ctx, q, err, result.Paused)
	}
	if answer.Inactive {
		s.cache.forget(q.Subject)
	}
	return answer, asked, keep, nil
}

// failed logs a question that was asked in vain, and returns its error.
func (s *Source) failed(ctx context.Context, q claims.Question, err error, paused time.Duration) error {
	if errors.Is(err, claims.ErrWrongSubject) || ctx.Err() != nil {
		return err // logged by who asks; or nobody waits
	}
	failure, ok := errors.AsType[*Error](err)
	if !ok {
		failure = &Error{Reason: err.Error(), cause: err}
	}
	failure.Wait = paused
	if failure.Wait == 0 {
		failure.Wait = askline.FirstPause
	}
	s.config.Log.WarnContext(ctx, "claims source gave no answer", "correlation_id", correlation.ID(ctx), "client_id", q.ClientID,
		"error", failure.Reason, "retry_after", failure.Wait.String())
	return failure
}

// question is the body of a request.
type question struct {
	Subject  string   `json:"subject"`
	ClientID string   `json:"client_id"`
	Claims   []string `json:"claims"`
	Scopes   []string `json:"scopes"`
	Purpose  string   `json:"purpose"`
	// Types are those of authorization_details for which accounts are wanted.
	Types         []string `json:"accounts_for,omitempty"`
	CorrelationID string   `json:"correlation_id,omitempty"`
}

// exchange asks the source, and returns how long its answer may be kept.
func (s *Source) exchange(ctx context.Context, q claims.Question, types []string) (claims.Answer, time.Duration, error) {
	ctx, span := s.tracer.Start(ctx, "claims source", trace.WithSpanKind(trace.SpanKindClient))
	defer span.End()
	answer, keep, err := s.ask(ctx, q, types)
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	return answer, keep, err
}

func (s *Source) ask(ctx context.Context, q claims.Question, types []string) (claims.Answer, time.Duration, error) {
	body, err := json.Marshal(question{
		Subject: q.Subject, ClientID: q.ClientID, Claims: some(q.Names), Scopes: some(q.Scopes), Purpose: string(q.Purpose), Types: types,
		CorrelationID: correlation.ID(ctx),
	})
	if err != nil {
		return claims.Answer{}, 0, err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	document, err := s.client.Ask(ctx, s.config.Address, header, body)
	if err != nil {
		return claims.Answer{}, 0, err
	}
	if media, _, err := mime.ParseMediaType(document.ContentType); err != nil || media != "application/json" {
		return claims.Answer{}, 0, &Error{Reason: "its answer is not application/json"}
	}
	answer, err := read(document.Body, q.Subject, q.Names)
	if err == nil && !answer.Inactive && len(types) > 0 {
		answer.Accounts, err = readAccounts(document.Body, types)
	}
	keep := s.config.Cache
	if document.Restricted {
		keep = min(keep, document.MaxAge)
	}
	return answer, keep, err
}

// some makes no list an empty one.
func some(list []string) []string { return append([]string{}, list...) }
