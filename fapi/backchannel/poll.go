package backchannel

import (
	"context"
	"slices"
	"sync"
	"time"

	"countersign/store"
)

const (
	// maxHeldPolls bounds the long polls that a node holds; more are answered at once.
	maxHeldPolls = 1000
	// pollStoreEvery is how often a held poll reads the store for a decision on another node.
	pollStoreEvery = time.Second
)

// polls are the long polls that wait for a decision. They hold no database connection.
type polls struct {
	mu    sync.Mutex
	held  map[store.Digest][]chan struct{}
	count int
}

// enter adds a poll, unless there are maxHeldPolls.
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

// wake ends the polls of a request.
func (p *polls) wake(id store.Digest) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, woken := range p.held[id] {
		close(woken)
	}
	delete(p.held, id) // each poll calls leave
}

// AwaitDecision holds a poll until the request is decided, on any node, for at most Settings.LongPoll. It reports
// whether the store should be read again.
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
