package authorize

import "sync"

// mostRecent is how many names [recent] remembers at least, and twice as many at most.
const mostRecent = 8192

// recent remembers names for a while, so that what a browser repeats by loading a page again is recorded once.
type recent struct {
	mu          sync.Mutex
	young, aged map[string]struct{}
}

// has reports whether a name is remembered.
func (r *recent) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, young := r.young[name]
	_, aged := r.aged[name]
	return young || aged
}

// add remembers a name.
func (r *recent) add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || len(r.young) >= mostRecent {
		r.young, r.aged = make(map[string]struct{}), r.young
	}
	r.young[name] = struct{}{}
}
