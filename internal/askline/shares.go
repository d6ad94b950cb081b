package askline

import (
	"sync"
	"time"
)

// clientWait is what a client is told to wait that has its share of the questions already.
const clientWait = time.Second

// shares bounds how many questions are asked, or wait, on behalf of each client.
type shares struct {
	most int

	mu      sync.Mutex
	running map[string]int
}

func newShares(most int) *shares { return &shares{most: max(most, 1), running: map[string]int{}} }

// take reports whether a client may ask one more. Each that was taken is released.
func (s *shares) take(client string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[client] >= s.most {
		return false
	}
	s.running[client]++
	return true
}

func (s *shares) release(client string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running[client]--; s.running[client] == 0 {
		delete(s.running, client)
	}
}
