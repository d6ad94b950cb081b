package rs

import (
	"context"
	"errors"
	"sync"
	"time"
)

// Replay remembers which DPoP proofs were used (RFC 9449 §11.1). Nodes of one API share it; package rs/sqlreplay keeps it in
// PostgreSQL or SQLite. It may be used by many at once.
type Replay interface {
	// Use records the use of a proof until a time, and reports whether it was the first. Of two calls with the same key, also
	// on two nodes at once, exactly one is the first. An error refuses the request.
	Use(ctx context.Context, key [32]byte, until time.Time) (first bool, err error)
}

// ErrReplayFull is a [Memory] that can remember no more proofs.
var ErrReplayFull = errors.New("rs: more DPoP proofs are in use than the memory holds")

// DefaultMemory is how many proofs a [Memory] holds: about 80 MB, and 6,000 requests a second with a life of two and a half
// minutes each.
const DefaultMemory = 1 << 20

// Memory is a [Replay] of one process. Make one with [NewMemory].
type Memory struct {
	now    func() time.Time
	most   int
	shards [shards]shard
}

const (
	shards = 16
	// slot is the time that is forgotten at once.
	slot = 15 * time.Second
)

// shard has the proofs whose keys begin with the same bits, by the slot in which they end.
type shard struct {
	mu    sync.Mutex
	slots map[int64]map[[32]byte]struct{}
	count int
}

// NewMemory makes a memory for so many proofs; 0 means [DefaultMemory]. now is the clock of the guard.
func NewMemory(most int, now func() time.Time) *Memory {
	if most <= 0 {
		most = DefaultMemory
	}
	return &Memory{now: now, most: max(1, most/shards)}
}

// Use implements [Replay]. The error is [ErrReplayFull].
func (m *Memory) Use(_ context.Context, key [32]byte, until time.Time) (bool, error) {
	at := until.UnixNano() / int64(slot) // the same for the same proof
	s := &m.shards[key[0]%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, seen := s.slots[at][key]; seen {
		return false, nil
	}
	if s.slots[at] == nil || s.count >= m.most {
		s.forget(m.now().UnixNano() / int64(slot))
	}
	if s.count >= m.most {
		return false, ErrReplayFull
	}
	if s.slots == nil {
		s.slots = map[int64]map[[32]byte]struct{}{}
	}
	if s.slots[at] == nil {
		s.slots[at] = map[[32]byte]struct{}{}
	}
	s.slots[at][key] = struct{}{}
	s.count++
	return true, nil
}

// forget drops what has ended before a slot.
func (s *shard) forget(now int64) {
	for at, keys := range s.slots {
		if at < now {
			s.count -= len(keys)
			delete(s.slots, at)
		}
	}
}
