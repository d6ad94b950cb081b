package directory

import (
	"hash/maphash"
	"sync"
	"time"
)

// cells is the fixed size of a limiter: 512 KiB.
const cells = 1 << 16

// limiter is a token bucket per user on this node, counted as GCRA does: each cell holds the time at which its bucket is
// full again. Names fall into a fixed number of cells by a hash with a secret seed. So the memory is bounded, nothing
// needs to be evicted (and no flood of names can evict), names that do not exist are treated as those that do, and
// nobody can choose to share a cell with another name.
type limiter struct {
	now    func() time.Time
	seed   maphash.Seed
	burst  time.Duration // in refills
	refill time.Duration

	mu sync.Mutex
	// start is what the times in full are counted from.
	start time.Time
	full  []time.Duration
}

// newLimiter allows burst in a row and then one more each refill.
func newLimiter(now func() time.Time, burst int, refill time.Duration) *limiter {
	return &limiter{now: now, burst: time.Duration(burst), refill: refill, seed: maphash.MakeSeed(), start: now(), full: make([]time.Duration, cells)}
}

// attempt is one token that was taken.
type attempt struct {
	limiter *limiter
	cell    uint64
}

// take takes a token of the name, or says how long to wait for one. Taking comes before the code is looked at,
// so that many attempts at once cannot be more than many in a row.
func (l *limiter) take(username string) (attempt, time.Duration) {
	a := attempt{l, maphash.String(l.seed, username) % cells}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now().Sub(l.start)
	full := max(l.full[a.cell], now) + l.refill
	if wait := full - now - l.burst*l.refill; wait > 0 {
		return attempt{}, wait
	}
	l.full[a.cell] = full
	return a, 0
}

// refund returns the token of an attempt that was no wrong guess.
func (a attempt) refund() {
	a.limiter.mu.Lock()
	defer a.limiter.mu.Unlock()
	a.limiter.full[a.cell] -= a.limiter.refill
}
