package pkcs11

import (
	"errors"
	"time"

	"countersign/internal/pause"
	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// A worker holds on to the token that it opened. When that is another one than there is now, as after a token was swapped and
// put back, or a failover to a partition without the keys, it lacks keys that are there: so a worker that lacks an active
// key is replaced by one that has it, if there is one.
const (
	// missingFirst is how long an active key may be missing before that is tried, and missingLongest how long at most
	// between tries.
	missingFirst, missingLongest = 2 * time.Second, 10 * time.Second
	// missingForgotten is how long nobody may have asked for a key before it counts as retired.
	missingForgotten = time.Minute
)

// errReplaced ends a worker whose successor has what it lacks.
var errReplaced = errors.New("the worker lacks keys that the token holds now")

// noteUse remembers how the use of a key went. Only an active key has to be there.
func (b *Backend) noteUse(record signer.Record, err error) {
	switch {
	case err == nil && !b.missesAny.Load():
		return // the usual way takes no lock
	case err != nil && (record.State != signer.Active || !errors.Is(err, signer.ErrNoKey)):
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err == nil {
		b.usedAt = b.config.Now()
		delete(b.missed, record.ID)
		return
	}
	if b.open.Err() != nil {
		return
	}
	if b.missed == nil {
		b.missed = map[string]time.Time{}
	}
	b.missed[record.ID] = b.config.Now()
	if b.missesAny.CompareAndSwap(false, true) {
		b.beside.Go(func() { b.seek(b.config.Now()) })
	}
}

// seek looks for the missing keys, until they are found, nobody asks for them any more, or the backend is closed.
func (b *Backend) seek(began time.Time) {
	for wait := missingFirst; pause.For(b.open, wait) == nil && b.misses(); wait = min(2*wait, missingLongest) {
		b.replace(began)
	}
}

// misses reports whether keys are missing still. When none is, the next one that is begins a new search.
func (b *Backend) misses() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for kid, at := range b.missed {
		if b.config.Now().Sub(at) > missingForgotten {
			delete(b.missed, kid)
		}
	}
	if len(b.missed) == 0 {
		b.missesAny.Store(false)
	}
	return len(b.missed) > 0
}

// replace starts another worker beside the one that lacks keys, and puts it in its place if it holds one of them. So the
// keys that do sign go on signing. Where no second worker can be had, as with a token of few sessions, a worker that has
// been of no use since the search began is ended, so that the next one starts in the usual way.
func (b *Backend) replace(began time.Time) {
	b.mu.Lock()
	old, closed := b.worker, b.open.Err() != nil
	if closed || b.held != nil || b.starting != nil || old == nil || old.dead() {
		b.mu.Unlock()
		return // the next worker looks with fresh eyes anyway
	}
	b.mu.Unlock()
	source := b.config.source()
	next, err := startWorker(b.open, b.config, firstQuestion(b.config))
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch {
		case b.open.Err() != nil:
		case errors.Is(err, ErrOperator):
			b.hold(err, source) // the old worker, which is logged in, goes on with what it has
		case b.usedAt.Before(began):
			old.kill(errReplaced)
		}
		return
	}
	if !b.finds(next) || !b.swap(old, next) {
		next.kill(errReplaced)
		<-next.gone
		return
	}
	old.retire()
}

// finds reports whether a worker holds one of the missing keys.
func (b *Backend) finds(next *process) bool {
	b.mu.Lock()
	var wanted []string
	for kid := range b.missed {
		wanted = append(wanted, kid)
	}
	b.mu.Unlock()
	for _, kid := range wanted {
		if _, err := next.ask(b.open, wire.AskKey, []byte(kid)); err == nil {
			return true
		}
	}
	return false
}

// swap puts a worker in the place of another, unless that has changed meanwhile.
func (b *Backend) swap(old, next *process) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open.Err() != nil || b.worker != old || b.starting != nil {
		return false
	}
	b.accepted(next)
	b.config.Logger.Warn("PKCS#11 worker lacked an active key that the token holds; replaced", "pid", old.command.Process.Pid)
	return true
}

// retire ends a worker that is given nothing more to do, when it has answered, and in any case after the time of a signature.
func (w *process) retire() {
	const look = 5 * time.Millisecond
	for until := w.config.Now().Add(w.config.SignTimeout); w.config.Now().Before(until) && !w.dead(); time.Sleep(look) {
		w.mu.Lock()
		idle := len(w.waiting) == 0
		w.mu.Unlock()
		if idle {
			break
		}
	}
	w.kill(errReplaced)
	<-w.gone
}
