package backend

import (
	"errors"
	"sync"
	"time"

	"countersign/store"
)

// pulseAge is how long a write shows that the database takes writes.
const pulseAge = time.Second

// Pulse remembers what came of the last writes, so that nothing has to be written only to see whether that is possible. Its
// zero value is ready.
type Pulse struct {
	mu            sync.Mutex
	wrote, failed time.Time
}

// Note notes the outcome of a verb at a time. Only those count that always write something when they succeed. What a
// queue refused says nothing of the database.
func (p *Pulse) Note(verb string, now time.Time, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case err == nil:
		switch verb {
		case "Push", "BeginInteraction", "StartSession", "Finish", "RedeemCode", "IssueToken", "StartBackchannel", "ConsumeOneTime":
			p.wrote = now
		}
	case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrOverloaded), !Answer(err):
		p.failed = now
	}
}

// Beats reports whether something was written lately, and nothing has failed since.
func (p *Pulse) Beats(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := now.Sub(p.wrote)
	return age >= 0 && age < pulseAge && !p.failed.After(p.wrote) && now.Sub(p.failed) >= pulseAge
}
