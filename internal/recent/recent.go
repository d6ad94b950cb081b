// Package recent remembers names for a while, as many as fit into bounded memory.
package recent

import "sync"

// most is how many [Names] remembers at least, and twice as many at most.
const most = 8192

// Names remembers names for a while, so that what a browser repeats by loading a page again is recorded once. The zero value is ready
// to use, also by several goroutines.
type Names struct {
	mu          sync.Mutex
	young, aged map[string]struct{}
}

// Has reports whether a name is remembered.
func (r *Names) Has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, young := r.young[name]
	_, aged := r.aged[name]
	return young || aged
}

// Add remembers a name.
func (r *Names) Add(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.young == nil || len(r.young) >= most {
		r.young, r.aged = make(map[string]struct{}), r.young
	}
	r.young[name] = struct{}{}
}
