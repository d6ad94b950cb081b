package endpoint

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"countersign/fapi/event"
	"countersign/internal/jose"
	"countersign/internal/oauth"
	"countersign/internal/queue"
	"countersign/signer"
	"countersign/store"
)

// Refuse answers with an error, rendered by package oauth.
func Refuse(w http.ResponseWriter, r *http.Request, err error) {
	e := event.Of(r.Context())
	err = Translate(err)
	e.Failed(err)
	e.Write(w, err)
}

// Translate translates errors of the store and the signer to *[oauth.Error]. Others pass unchanged.
func Translate(err error) error {
	if _, ok := errors.AsType[*oauth.Error](err); ok {
		return err
	}
	if busy := KeysBusy(err); busy != nil {
		return busy
	}
	switch {
	case errors.Is(err, store.ErrReplayed):
		return replayed(err)
	case errors.Is(err, store.ErrClock):
		return unavailable(10*time.Second, "the clock of this server is wrong at the moment; try again shortly").Because(err)
	case errors.Is(err, store.ErrOverloaded), errors.Is(err, store.ErrUnavailable):
		return unavailable(retryAfter(err, time.Second),
			"the server cannot reach its database at the moment, or not soon enough; try again shortly").Because(err)
	case errors.Is(err, signer.ErrNoKey): // the operator has to act; logged as the cause of the request
		return unavailable(time.Minute,
			"the server has no key at the moment to sign this with the algorithm that the client registered; try again later").
			Because(err)
	case errors.Is(err, signer.ErrOverloaded):
		return unavailable(retryAfter(err, 2*time.Second),
			"more is to be signed at the moment than the server can sign in time; try again as Retry-After says").Because(err)
	case errors.Is(err, signer.ErrUnavailable):
		return unavailable(retryAfter(err, 2*time.Second), "the server cannot sign at the moment; try again shortly").Because(err)
	case refused(err):
		return unavailable(retryAfter(err, 2*time.Second),
			"the server has more to do at the moment than it can do in time; try again as Retry-After says").Because(err)
	case errors.Is(err, context.DeadlineExceeded):
		return unavailable(2*time.Second, "the server could not answer in time; try again shortly").Because(err)
	}
	return err
}

// NothingDone reports whether a request ended with an error because there was too much to do: before anything was done
// for it, so that it can be sent again as it is.
func NothingDone(err error) bool {
	return errors.Is(err, signer.ErrOverloaded) || errors.Is(err, store.ErrOverloaded) || refused(err)
}

// refused reports whether a queue refused the request.
func refused(err error) bool {
	_, ok := errors.AsType[*queue.RefusedError](err)
	return ok
}

// retryAfter is how long an error says to wait, or otherwise the given time.
func retryAfter(err error, otherwise time.Duration) time.Duration {
	if known, ok := errors.AsType[*queue.RefusedError](err); ok {
		return known.RetryAfter()
	}
	return otherwise
}

// replayed answers a one-time value that was seen before, by its kind: RFC 7523 §3.2 for client assertions, RFC 9449 §5
// for proofs.
func replayed(err error) error {
	var kind string
	if seen, ok := errors.AsType[*store.ReplayedError](err); ok {
		kind = seen.Kind
	}
	switch kind {
	case store.KindAssertion:
		return oauth.Errorf(oauth.InvalidClient,
			"the client assertion was used before (its jti); make a new one for each request").Because(err)
	case store.KindDPoP:
		return oauth.Errorf(oauth.InvalidDPoPProof,
			"the DPoP proof was used before (its jti); make a new one for each request").Because(err)
	}
	return oauth.Errorf(oauth.InvalidRequest,
		"a one-time value of the request was used before; make a new one for each request").Because(err)
}

func unavailable(retryAfter time.Duration, description string) *oauth.Error {
	e := oauth.Errorf(oauth.TemporarilyUnavailable, "%s", description)
	e.RetryAfter = retryAfter
	return e
}

// Busy is the error 503 with Retry-After for something at an address of a client that was not fetched, because the server
// was fetching too much else.
func Busy(what string, cause error) error {
	return unavailable(busyRetry, what+" could not be fetched: the server is fetching too much else; try again shortly").Because(cause)
}

// KeysBusy returns [Busy] for an error that wraps the one of keys of a client that the server had no time to fetch, and nil
// for any other.
func KeysBusy(err error) error {
	if remote, ok := errors.AsType[*jose.RemoteError](err); ok && remote.Busy() {
		return Busy("the client's keys", err)
	}
	return nil
}

// busyRetry is the Retry-After of [Busy].
const busyRetry = 2 * time.Second

// TooMany returns the error 429 (RFC 6585 §4, RFC 9126 §2.3) with Retry-After.
func TooMany(wait time.Duration, why string) error {
	refusal := oauth.Errorf(oauth.TemporarilyUnavailable, "%s; wait as Retry-After says", why).
		WithStatus(http.StatusTooManyRequests)
	refusal.RetryAfter = wait
	return refusal
}

const (
	// ChallengeDPoP is the challenge with the algorithms of proofs (RFC 9449 §7.1).
	ChallengeDPoP = `DPoP algs="PS256 ES256 EdDSA"`
	// ChallengeBoth is the challenge for a request without credentials.
	ChallengeBoth = ChallengeDPoP + ", Bearer"
)

// InvalidToken returns the error invalid_token with its challenge (RFC 6750 §3.1).
func InvalidToken(scheme, description string, cause error) error {
	return Challenge(scheme, oauth.Errorf(oauth.InvalidToken, "%s", description).Because(cause))
}

// Challenge returns e with a WWW-Authenticate header (RFC 6750 §3, RFC 9449 §7.1) and the status 401, unless e has one.
func Challenge(scheme string, e *oauth.Error) error {
	with := *e
	if with.Status == 0 {
		with.Status = http.StatusUnauthorized
	}
	with.Challenge = scheme
	if scheme == "DPoP" {
		with.Challenge = ChallengeDPoP + ","
	}
	with.Challenge += ` error="` + e.Code + `", error_description="` + oauth.Printable(e.Description) + `"`
	return &with
}

// WriteJSON writes a JSON response with Cache-Control: no-store. The error is that of encoding body; nothing is
// written then.
func WriteJSON(w http.ResponseWriter, status int, body any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = w.Write(encoded) // response already started; error ignored
	return nil
}

// Seconds returns a duration in whole seconds.
func Seconds(d time.Duration) int64 { return int64(d / time.Second) }
