// Package askline asks an API of the operator's own without drowning it: few questions at once, a share of them for each client, and
// none for a while when it does not answer.
package askline

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"countersign/internal/outbound"
	"countersign/internal/queue"
)

const (
	// waiting is how many questions may wait for each that may be asked at once.
	waiting = 8
	// part is the part of all these that one client may have: nobody keeps the others from being served.
	part = 4
)

// FirstPause is for how long an API is left alone at first, and what a caller is told to wait when one question failed.
const FirstPause = firstPause

// Config is the configuration of a [Line].
type Config struct {
	// AtOnce bounds the questions that are asked at once, and Patience the time of one with its wait for its turn.
	AtOnce   int
	Patience time.Duration
	// Now is the clock by which the API is left alone.
	Now func() time.Time
}

// Keys are the keys of the configuration for how an API is reached.
type Keys struct{ Address, Networks, Certificate string }

// Check says what is wrong with how an API is reached: at its address, in its networks, and with a certificate. Errors begin with a key.
func Check(address string, policy outbound.Policy, keys Keys) error {
	for _, network := range policy.Networks {
		if err := outbound.CheckNetwork(network); err != nil {
			return fmt.Errorf("%s: %s: %w", keys.Networks, network, err)
		}
	}
	if err := policy.CheckAddress(address); err != nil {
		reason := err.Error()
		if failure, ok := errors.AsType[*outbound.Error](err); ok {
			reason = failure.Reason
		}
		if strings.HasPrefix(reason, "the host is ") {
			reason += "; name its network in " + keys.Networks + " if that is right"
		}
		return fmt.Errorf("%s: %s", keys.Address, reason)
	}
	if policy.Certificate == nil || policy.Certificate.Load() == nil {
		return fmt.Errorf("%s: missing: the source is called with mutual TLS", keys.Certificate)
	}
	return nil
}

// Line asks. Make one with [New]. It is safe for concurrent use.
type Line struct {
	queue   *queue.Queue
	shares  *shares
	breaker *breaker
}

// New makes a line.
func New(config Config) *Line {
	return &Line{
		queue: queue.New(queue.Config{
			Places: config.AtOnce, Waiting: waiting * config.AtOnce, Patience: config.Patience,
		}),
		shares:  newShares(config.AtOnce * (1 + waiting) / part),
		breaker: &breaker{now: config.Now},
	}
}

// RestingError says that nothing was asked.
type RestingError struct {
	Reason string
	// Wait is when asking again may help.
	Wait time.Duration
}

// Error implements error.
func (e *RestingError) Error() string { return e.Reason }

// RetryAfter is Wait.
func (e *RestingError) RetryAfter() time.Duration { return e.Wait }

// resting is the error while the API is left alone.
func resting(wait time.Duration) error {
	return &RestingError{Reason: "it did not answer lately, and is not asked for a while", Wait: wait}
}

// Result is what a question did to the API's standing.
type Result struct {
	// Paused is for how long the API is left alone because of the question, and Recovered reports that it is no longer.
	Paused    time.Duration
	Recovered bool
}

// Ask calls exchange on behalf of a client when it is its turn. The bounds come first: an API that does not answer is left alone, and
// who would wait for too long is refused at once. Errors are *[RestingError], *[queue.RefusedError] or that of exchange; whether the
// API is silent is read from its *[outbound.Error].
func (l *Line) Ask(ctx context.Context, client string, exchange func(context.Context) error) (Result, error) {
	if wait := l.breaker.wait(); wait > 0 {
		return Result{}, resting(wait)
	}
	if !l.shares.take(client) {
		return Result{}, &RestingError{Reason: "the client has too many questions at once", Wait: clientWait}
	}
	defer l.shares.release(client)
	place, err := l.queue.Enter(ctx)
	if err != nil {
		return Result{}, err
	}
	probe, wait := l.breaker.begin() // it may have stopped answering meanwhile
	defer place.Leave(ctx, wait == 0)
	if wait > 0 {
		return Result{}, resting(wait)
	}
	err = exchange(ctx)
	var result Result
	result.Paused, result.Recovered = l.breaker.end(probe, outcomeOf(ctx, err))
	return result, err
}

// outcomeOf says what an exchange tells about the API itself. An answer that is wrong about one thing says that it answers; what was
// not sent says nothing.
func outcomeOf(ctx context.Context, err error) outcome {
	failure, ok := errors.AsType[*outbound.Error](err)
	switch {
	case ok && failure.NoSlot, ctx.Err() != nil:
		return unknown
	case ok && (failure.Status == 0 || failure.Status >= 500 || failure.Status == http.StatusTooManyRequests):
		return silent
	}
	return answered
}
