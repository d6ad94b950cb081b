package event

import (
	"context"
	"time"
)

// Request is one request at its end, for a [Meter]. It holds no secret, and nothing that names a user.
type Request struct {
	// Method is a method of RFC 9110 §9 or RFC 5789, or "_OTHER".
	Method string
	// Route is the path pattern of the endpoint; empty where there is none.
	Route string
	// ClientID is that of a registered client; empty as long as none is known.
	ClientID string
	// Outcome is "ok", "client_closed", or the code of the error that was answered.
	Outcome string
	// Status is the HTTP status of the answer; 499 when its client had gone.
	Status int
	Took   time.Duration
	// CorrelationID names the request, and Err is the error that was answered; nil for none. The log has them too: no label is made
	// of them.
	CorrelationID string
	Err           error
}

// Meter is told of each request. It must not block, and is called from any goroutine.
type Meter interface {
	// Arrived is told of a request that has come.
	Arrived(ctx context.Context, method string)
	// Answered is told of the end of the same one. ctx has its span.
	Answered(ctx context.Context, request Request)
}

// arrived has the meter count a request.
func (g Guard) arrived(ctx context.Context, method string) {
	if g.Meter != nil {
		g.Meter.Arrived(ctx, knownMethod(method, "_OTHER"))
	}
}

// answered has the meter measure a request.
func (g Guard) answered(ctx context.Context, e *Event, method string, status int, took time.Duration) {
	if g.Meter != nil {
		g.Meter.Answered(ctx, Request{
			Method: knownMethod(method, "_OTHER"), Route: e.Route, ClientID: e.ClientID, Outcome: e.outcome, Status: status, Took: took,
			CorrelationID: e.CorrelationID, Err: e.cause,
		})
	}
}
