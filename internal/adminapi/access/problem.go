package access

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"countersign/internal/admin/fault"
	"countersign/internal/correlation"
	"countersign/signer"
	"countersign/store"
)

// Problem is an answer that refuses, or says that something failed (RFC 9457). As an error it is what a [Route] returns.
type Problem struct {
	Status int
	// Code names the kind: it is the end of the type, urn:countersign:problem:CODE, and never changes.
	Code string
	// Detail is for the operator. No secret is in it.
	Detail string
	// Errors are single problems of what was sent, one line each.
	Errors []string
	// RetryAfter, if not 0, is when it may be asked again.
	RetryAfter time.Duration
	// Allow are the methods of a 405.
	Allow []string
	// Cause is what is behind it, for the log alone.
	Cause error
}

// Error implements error.
func (p *Problem) Error() string {
	if p.Cause != nil {
		return p.Code + ": " + p.Detail + ": " + p.Cause.Error()
	}
	return p.Code + ": " + p.Detail
}

// Unwrap returns the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Title is the same for each problem of a kind.
func (p *Problem) Title() string {
	return strings.ToUpper(p.Code[:1]) + strings.ReplaceAll(p.Code[1:], "_", " ")
}

// Problemf makes a problem.
func Problemf(status int, code, format string, arguments ...any) *Problem {
	return &Problem{Status: status, Code: code, Detail: fmt.Sprintf(format, arguments...)}
}

// ProblemOf is the problem that an error comes to. What is not known fails with 500, and says nothing of itself.
func ProblemOf(err error) *Problem {
	if known, ok := errors.AsType[*Problem](err); ok {
		return known
	}
	if input, ok := errors.AsType[*fault.InputError](err); ok {
		lines := strings.Split(input.Error(), "\n")
		return &Problem{Status: http.StatusBadRequest, Code: "invalid", Detail: lines[0], Errors: lines, Cause: err}
	}
	if usage, ok := errors.AsType[*fault.UsageError](err); ok {
		return &Problem{Status: http.StatusBadRequest, Code: "invalid", Detail: usage.Error(), Cause: err}
	}
	if value, ok := errors.AsType[*fault.InvalidError](err); ok {
		return &Problem{Status: http.StatusBadRequest, Code: "invalid", Detail: value.Error(), Cause: err}
	}
	if refused, ok := errors.AsType[*fault.RefusedError](err); ok {
		return &Problem{Status: http.StatusConflict, Code: "conflict", Detail: refused.Error(), Cause: err}
	}
	const ask = "; try again"
	switch {
	case errors.Is(err, store.ErrNotFound):
		return &Problem{Status: http.StatusNotFound, Code: "not_found", Detail: err.Error(), Cause: err}
	case errors.Is(err, store.ErrConflict), errors.Is(err, store.ErrRevoked):
		return &Problem{Status: http.StatusPreconditionFailed, Code: "changed_meanwhile", Detail: "it was changed by somebody else since it was read: read it again", Cause: err}
	case errors.Is(err, store.ErrUnavailable):
		return &Problem{Status: http.StatusServiceUnavailable, Code: "store_unavailable", Detail: "the database cannot be reached" + ask, RetryAfter: 2 * time.Second, Cause: err}
	case errors.Is(err, signer.ErrUnavailable):
		return &Problem{Status: http.StatusServiceUnavailable, Code: "hsm_unavailable", Detail: "the HSM cannot be reached" + ask, RetryAfter: 10 * time.Second, Cause: err}
	case errors.Is(err, context.DeadlineExceeded):
		return &Problem{Status: http.StatusServiceUnavailable, Code: "timeout", Detail: "it took too long" + ask, RetryAfter: 2 * time.Second, Cause: err}
	}
	return &Problem{Status: http.StatusInternalServerError, Code: "internal", Detail: "it failed; the log has why, under the correlation id", Cause: err}
}

// document is a problem as JSON.
type document struct {
	Type          string   `json:"type"`
	Title         string   `json:"title"`
	Status        int      `json:"status"`
	Detail        string   `json:"detail"`
	CorrelationID string   `json:"correlation_id"`
	Errors        []string `json:"errors,omitempty"`
}

// Write writes a problem document.
func (p *Problem) Write(w http.ResponseWriter, r *http.Request) {
	p.headers(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if r.Method == http.MethodHead {
		return
	}
	_ = json.NewEncoder(w).Encode(document{ // nobody is there to be told of a connection that broke
		"urn:countersign:problem:" + p.Code, p.Title(), p.Status, p.Detail, correlation.ID(r.Context()), p.Errors,
	})
}

func (p *Problem) headers(header http.Header) {
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	if len(p.Allow) > 0 {
		header.Set("Allow", strings.Join(p.Allow, ", "))
	}
}
