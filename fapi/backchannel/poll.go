package backchannel

import (
	"context"
	"slices"
	"sync"
	"time"

	"countersign/store"
)

const (
	// maxHeldPolls bounds how many polls a node holds at once; those beyond are answered at once.
	maxHeldPolls = 1000
	// pollStoreEvery is how often a held poll looks for a decision that was made on another node.
	pollStoreEvery = time.Second
)

// polls are those that are held until somebody decides. They hold no connection to the database.
type polls struct {
	mu    sync.Mutex
	held  map[store.Digest][]chan struct{}
	count int
}

// enter adds a poll, unless there are too many.
func (p *polls) enter(id store.Digest) (chan struct{}, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.count >= maxHeldPolls {
		return nil, false
	}
	woken := make(chan struct{})
	if p.held == nil {
		p.held = map[store.Digest][]chan struct{}{}
	}
	p.held[id] = append(p.held[id], woken)
	p.count++
	return woken, true
}

func (p *polls) leave(id store.Digest, woken chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count--
	p.held[id] = slices.DeleteFunc(p.held[id], func(each chan struct{}) bool { return each == woken })
	if len(p.held[id]) == 0 {
		delete(p.held, id)
	}
}

// wake ends the waiting for a request.
func (p *polls) wake(id store.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, woken := range p.held[id] {
		close(woken)
	}
	delete(p.held, id) // whoever waited leaves by itself
}

// AwaitDecision holds a poll until somebody has decided, here or on another node, and reports whether somebody has. Without
// long polling it is false at once.
func (h *Handler) AwaitDecision(ctx context.Context, id store.Digest) bool {
	woken, ok := h.polls.enter(id)
	if !ok {
		return false
	}
	defer h.polls.leave(id, woken)
	end := time.NewTimer(h.settings.LongPoll)
	defer end.Stop()
	look := time.NewTicker(pollStoreEvery)
	defer look.Stop()
	for {
		select {
		case <-woken:
			return true
		case <-end.C:
			return false
		case <-ctx.Done():
			return false
		case <-look.C:
		}
		if h.draining() {
			return false
		}
		request, err := h.store.BackchannelRequest(ctx, id)
		if err != nil || !request.DecidedAt.IsZero() || !h.now().Before(request.ExpiresAt) {
			return err == nil
		}
	}
}
