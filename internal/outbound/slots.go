package outbound

import (
	"context"
	"strings"
	"sync"
	"time"
)

// How many exchanges of one [Client] run at once: in all, of one owner, and with one host on behalf of owners. So many
// owners have to conspire until others wait.
const (
	maxAtOnce   = 64
	maxPerOwner = 4
	maxPerHost  = 8
	// maxWaiting bounds those that wait for a slot, of one owner and in all.
	maxWaitingPerOwner = 16
	maxWaiting         = 256
	// patience is how long one waits for a slot, within [Policy].Timeout.
	patience = 2 * time.Second
)

// ownerKey is the key under which a context has the owner of an exchange.
type ownerKey struct{}

// For says on whose behalf the exchanges of a context are made: who chose their addresses, such as the organisation that
// registered a client. One owner gets a few slots at once, so that its slow hosts hold up its own exchanges alone. Exchanges
// without an owner are bounded in all only.
func For(ctx context.Context, owner string) context.Context {
	return context.WithValue(ctx, ownerKey{}, owner)
}

// share is what an exchange is counted by; its owner may be empty.
type share struct{ owner, host string }

func shareOf(ctx context.Context, host string) share {
	owner, _ := ctx.Value(ownerKey{}).(string)
	return share{owner, strings.ToLower(host)}
}

// waiter is an exchange that waits for a slot.
type waiter struct {
	share
	// granted is closed when it has one.
	granted chan struct{}
}

// slots are the exchanges that may run at once.
type slots struct {
	mu      sync.Mutex
	running int
	owners  map[string]int
	hosts   map[string]int
	// waiting are in the order in which they came; the first that fits gets a slot that becomes free.
	waiting []*waiter
}

func newSlots() *slots { return &slots{owners: map[string]int{}, hosts: map[string]int{}} }

// take waits for a slot, and reports whether there was one in time. Each that was taken is given back with release.
func (s *slots) take(ctx context.Context, of share) bool {
	s.mu.Lock()
	if s.fits(of) {
		s.add(of, 1)
		s.mu.Unlock()
		return true
	}
	if !s.mayWait(of.owner) {
		s.mu.Unlock()
		return false
	}
	w := &waiter{of, make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	enough := time.NewTimer(patience)
	defer enough.Stop()
	select {
	case <-w.granted:
		return true
	case <-ctx.Done():
	case <-enough.C:
	}
	return s.leave(w)
}

// leave ends a wait, and reports whether a slot was granted at the last moment.
func (s *slots) leave(w *waiter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, each := range s.waiting {
		if each == w {
			s.waiting = append(s.waiting[:i], s.waiting[i+1:]...)
			return false
		}
	}
	return true
}

// release gives a slot back, to those who wait.
func (s *slots) release(of share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(of, -1)
	still := s.waiting[:0]
	for _, w := range s.waiting {
		if !s.fits(w.share) {
			still = append(still, w)
			continue
		}
		s.add(w.share, 1)
		close(w.granted)
	}
	clear(s.waiting[len(still):])
	s.waiting = still
}

// fits reports whether an exchange may run now. The caller holds the mutex.
func (s *slots) fits(of share) bool {
	if s.running >= maxAtOnce {
		return false
	}
	return of.owner == "" || s.owners[of.owner] < maxPerOwner && s.hosts[of.host] < maxPerHost
}

// mayWait reports whether one more may wait. The caller holds the mutex.
func (s *slots) mayWait(owner string) bool {
	if len(s.waiting) >= maxWaiting {
		return false
	}
	same := 0
	for _, w := range s.waiting {
		if w.owner == owner {
			same++
		}
	}
	return owner == "" || same < maxWaitingPerOwner
}

// add counts an exchange. The caller holds the mutex.
func (s *slots) add(of share, change int) {
	s.running += change
	if of.owner == "" {
		return
	}
	for counts, key := range map[*map[string]int]string{&s.owners: of.owner, &s.hosts: of.host} {
		if (*counts)[key] += change; (*counts)[key] == 0 {
			delete(*counts, key)
		}
	}
}
