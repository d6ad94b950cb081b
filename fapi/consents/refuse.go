package consents

import (
	"errors"
	"net/http"
	"slices"

	"countersign/fapi/consent"
	"countersign/fapi/consents/shape"
	"countersign/fapi/endpoint"
	"countersign/fapi/event"
	"countersign/internal/oauth"
)

// problemOf makes a problem of any error.
func problemOf(err error) *shape.Problem {
	if known, ok := errors.AsType[*shape.Problem](err); ok {
		return known
	}
	if errors.Is(err, consent.ErrUnavailable) {
		away := shape.Problemf(shape.Unavailable, "", "the system that has the consents does not answer; try again shortly").Because(err)
		away.RetryAfter = consent.RetryAfter(err)
		return away
	}
	e := oauth.AsError(endpoint.Translate(err))
	kind := shape.Internal
	switch {
	case e.HTTPStatus() == http.StatusTooManyRequests:
		kind = shape.TooMany
	case e.Code == oauth.TemporarilyUnavailable:
		kind = shape.Unavailable
	case e.HTTPStatus() < http.StatusInternalServerError:
		kind = shape.Invalid
	}
	problem := shape.Problemf(kind, "", "%s", e.Description).Because(err)
	problem.RetryAfter = e.RetryAfter
	return problem
}

// codes are the OAuth codes of problems, for the log.
var codes = map[shape.Kind]string{
	shape.BadToken: oauth.InvalidToken, shape.Forbidden: oauth.InsufficientScope, shape.Foreign: oauth.AccessDenied,
	shape.TooMany: oauth.TemporarilyUnavailable, shape.Unavailable: oauth.TemporarilyUnavailable, shape.Internal: oauth.ServerError,
}

// refuse answers with a problem as the API writes it.
func (c *call) refuse(w http.ResponseWriter, err error) {
	problem := problemOf(err)
	e := event.Of(c.Context())
	status, body := c.shape.Refusal(problem, c.handler.config.Now(), e.CorrelationID)
	code := codes[problem.Kind]
	if code == "" {
		code = oauth.InvalidRequest
	}
	failed := oauth.Errorf(code, "%s", problem.Text).WithStatus(status).Because(err)
	e.Failed(failed)
	header := w.Header()
	if c.shape.Detached() {
		header.Del(c.shape.Signed.Header) // of an answer that is not sent
	}
	if problem.Challenge != "" {
		header.Set("WWW-Authenticate", problem.Challenge)
	}
	if problem.RetryAfter > 0 {
		oauth.SetRetryAfter(header, problem.RetryAfter)
	}
	answer := endpoint.Answer{Status: status, ContentType: c.shape.ContentType}
	if body != nil {
		answer.Body = body
	}
	if body != nil && c.signs && slices.Contains(c.shape.Signed.Problems, status) {
		signed, kept, err := c.sign("", body)
		if err == nil {
			err = c.handler.config.Evidence.Record(c.Context(), kept)
		}
		if err == nil { // or else it is sent as it is: there is nothing to rely on in it
			answer = signedAnswer(status, signed)
		}
	}
	answer.Write(w)
}
