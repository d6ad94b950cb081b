package floor

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"time"
)

// journal is a file of steps. A step is done when it is on the disk; those that wait while others are flushed go together.
type journal struct {
	file  interface{ Sync() error }
	write func([]byte) (int, error)
	close func() error

	mu sync.Mutex
	// next takes steps while somebody flushes; flushing says so.
	next     *batch
	flushing bool
}

// batch is steps that are flushed together.
type batch struct {
	lines []byte
	done  chan struct{}
	err   error
}

func newBatch() *batch { return &batch{done: make(chan struct{})} }

func openJournal(name string) (*journal, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return &journal{file: file, write: file.Write, close: file.Close, next: newBatch()}, nil
}

// append writes a step, and returns when it is on the disk. Whoever finds nobody flushing does it, so that one step alone
// wakes no other goroutine.
func (j *journal) append(verb, id, more string) error {
	j.mu.Lock()
	mine := j.next
	mine.lines = fmt.Appendf(mine.lines, "%s %s %s\n", verb, id, more)
	if j.flushing {
		j.mu.Unlock()
		<-mine.done
		return mine.err
	}
	j.flushing, j.next = true, newBatch()
	j.mu.Unlock()
	j.flush(mine)
	return mine.err
}

// flush writes one batch, and leaves those that came meanwhile to another goroutine.
func (j *journal) flush(b *batch) {
	if _, b.err = j.write(b.lines); b.err == nil {
		b.err = j.file.Sync()
	}
	close(b.done)
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.next.lines) == 0 {
		j.flushing = false
		return
	}
	waiting := j.next
	j.next = newBatch()
	go j.flush(waiting)
}

// memory is what there is by name, for one to two of its lifetimes.
type memory struct {
	mu         sync.Mutex
	young, old map[string]url.Values
	turned     time.Time
	now        func() time.Time
}

// lifetime is longer than any assertion, code or proof lives.
const lifetime = 2 * time.Minute

func newMemory() *memory {
	return &memory{young: map[string]url.Values{}, old: map[string]url.Values{}, turned: time.Now(), now: time.Now}
}

func (m *memory) put(name string, values url.Values) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	m.young[name] = values
}

// take gives what has a name, to one.
func (m *memory) take(name string) (url.Values, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, some := range []map[string]url.Values{m.young, m.old} {
		if values, ok := some[name]; ok {
			delete(some, name)
			return values, true
		}
	}
	return nil, false
}

// has reports whether there is something, which is young again.
func (m *memory) has(name string) bool {
	values, ok := m.take(name)
	if ok {
		m.put(name, values)
	}
	return ok
}

// use is true for the first who uses a name.
func (m *memory) use(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.turn()
	_, young := m.young[name]
	_, old := m.old[name]
	if young || old || name == "" {
		return false
	}
	m.young[name] = nil
	return true
}

func (m *memory) turn() {
	if now := m.now(); now.Sub(m.turned) > lifetime {
		m.young, m.old, m.turned = map[string]url.Values{}, m.young, now
	}
}
