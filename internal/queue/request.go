package queue

import (
	"context"
	"slices"
	"sync"
)

// request is what is known of one request: which queues have served it.
type request struct {
	// urgent goes before others everywhere.
	urgent bool

	mu     sync.Mutex
	served []*Queue
}

type requestKey struct{}

// OneRequest marks what is done for one request. Once a queue has served it, it goes before others there, and is not
// refused for the expected wait: a token response needs several signatures, and would be lost with the last.
func OneRequest(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{})
}

// Urgent marks what goes before the requests of clients: what the server needs to go on, such as sealing its log.
func Urgent(ctx context.Context) context.Context {
	return context.WithValue(ctx, requestKey{}, &request{urgent: true})
}

func of(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{}).(*request)
	return r
}

// servedBefore reports whether ctx goes before others.
func servedBefore(ctx context.Context, q *Queue) bool {
	r := of(ctx)
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.urgent || slices.Contains(r.served, q)
}

// noteServed notes that a queue has served the request of ctx.
func noteServed(ctx context.Context, q *Queue) {
	r := of(ctx)
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Contains(r.served, q) {
		r.served = append(r.served, q)
	}
}
