package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"countersign/signer"
	"countersign/signer/pkcs11/internal/wire"
)

// A module that crashes with each signature must not keep the machine busy with starting workers: after mostStarts within
// startsPeriod each further one waits until startsPause after the last. A start that fails is tried again after firstWait,
// doubling up to startsPause. The pause is all that is lost when the module is well again, so it is short, and only
// signatures that are asked for start anything.
const (
	mostStarts   = 10
	startsPeriod = 5 * time.Second
	firstWait    = 50 * time.Millisecond
	startsPause  = 250 * time.Millisecond
)

const (
	// sourceEvery is how often it is looked whether the file of a PIN that was refused has changed.
	sourceEvery = 250 * time.Millisecond
	// heldEvery is how often a worker looks again at a token whose PIN needs an operator. It sends none that was refused.
	heldEvery = 10 * time.Second
)

// ErrOperator matches what only an operator can mend: the token's PIN is refused, locked, or at its last try. It is not sent
// again before it has changed.
var ErrOperator = wire.ErrOperator

// errOverdue: somebody would have to wait for longer than is reasonable.
var errOverdue = fmt.Errorf("%w: its worker is starting and is overdue", signer.ErrUnavailable)

// startup is the start of a worker that is under way.
type startup struct {
	// done is closed when it has ended, and overdue when nobody should wait for it any longer.
	done, overdue chan struct{}
}

// held says why no PIN is sent.
type held struct {
	err error
	// remembered tells that a worker may look again without sending the same PIN: it is remembered that it was refused.
	remembered bool
	// source is what the PIN's file looked like.
	source         string
	lookAt, statAt time.Time
}

// source shows whether the PIN's file was changed since: the time, the size and the place of its content.
func (c Config) source() string {
	if c.PINFile == "" {
		return ""
	}
	info, err := os.Stat(c.PINFile)
	if err != nil {
		return err.Error()
	}
	text := fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size())
	if of, ok := info.Sys().(*syscall.Stat_t); ok {
		text += fmt.Sprint(" ", of.Dev, " ", of.Ino)
	}
	return text
}

// over reports whether a worker may be started to look again.
func (h *held) over(c Config) bool {
	now := c.Now()
	if h.remembered && !now.Before(h.lookAt) {
		return true
	}
	if now.Before(h.statAt) {
		return false
	}
	h.statAt = now.Add(sourceEvery)
	return c.source() != h.source
}

// current gives a living worker. Of many callers one starts it and the rest wait, no longer than their contexts, and
// unless they are patient not beyond the time when it is overdue.
func (b *Backend) current(ctx context.Context, patient bool) (*process, error) {
	for {
		w, starting, err := b.living()
		if w != nil || err != nil {
			return w, err
		}
		overdue := starting.overdue
		if patient {
			overdue = nil
		}
		select {
		case <-starting.done:
			continue
		default:
		}
		select {
		case <-starting.done:
		case <-overdue:
			return nil, errOverdue
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for a worker: %w", signer.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// living gives the living worker. Without one it has one started, and gives that start.
func (b *Backend) living() (w *process, starting *startup, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.open.Err() != nil:
		return nil, nil, errClosed
	case b.worker != nil && !b.worker.dead():
		return b.worker, nil, nil
	case b.held != nil:
		// Nobody waits for a look that most likely finds what the last one found.
		if b.starting == nil && b.held.over(b.config) && b.noteStart(b.config.Now()) == nil {
			b.startNow()
		}
		return nil, nil, b.held.err
	case b.starting == nil && b.config.Now().Before(b.retryAt):
		return nil, nil, b.startErr
	case b.starting == nil:
		if err := b.noteStart(b.config.Now()); err != nil {
			return nil, nil, err
		}
		b.startNow()
	}
	return nil, b.starting, nil
}

// noteStart counts a start of a worker, or refuses it when there were too many and the last was just now.
func (b *Backend) noteStart(now time.Time) error {
	if len(b.started) == mostStarts {
		if now.Sub(b.started[0]) < startsPeriod && now.Sub(b.started[mostStarts-1]) < startsPause {
			return fmt.Errorf("%w: its worker process died %d times in %s; the next is started in a moment", signer.ErrUnavailable, mostStarts, startsPeriod)
		}
		b.started = append(b.started[:0], b.started[1:]...)
	}
	b.started = append(b.started, now)
	return nil
}

// startNow begins to start a worker. After a start that was overdue nobody waits for the next: it will most likely be, too.
// The caller holds mu.
func (b *Backend) startNow() {
	s := &startup{done: make(chan struct{}), overdue: make(chan struct{})}
	b.starting = s
	b.starts++
	if b.late {
		close(s.overdue)
	}
	go b.start(s, b.late)
}

// overdueAfter is how long requests wait for a worker: as long as for a signature, or twice as long as the last start took.
func (b *Backend) overdueAfter() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return min(max(b.config.SignTimeout, 2*b.usual), b.config.StartTimeout)
}

// start makes a worker and publishes the outcome. It keeps its own time: only Close ends it, not a caller's impatience.
func (b *Backend) start(s *startup, late bool) {
	source, began := b.config.source(), b.config.Now()
	if !late {
		overdue := time.AfterFunc(b.overdueAfter(), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.starting == s {
				b.late = true
				close(s.overdue)
			}
		})
		defer overdue.Stop()
	}
	w, err := startWorker(b.open, b.config, firstQuestion(b.config))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starting = nil
	close(s.done)
	if err == nil {
		b.usual = b.config.Now().Sub(began)
		b.accepted(w)
		return
	}
	if b.open.Err() != nil {
		return
	}
	if errors.Is(err, ErrOperator) {
		b.hold(err, source)
		return
	}
	if !errors.Is(err, signer.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	b.held = nil // the token does not even say that
	wait := min(firstWait<<min(b.failures, 7), startsPause)
	b.failures++
	b.startErr, b.retryAt = err, b.config.Now().Add(wait)
	if b.failures&(b.failures-1) == 0 { // the 1st, 2nd, 4th, 8th: one that stays away must not fill the log
		b.config.Logger.Error("PKCS#11 worker did not start", "error", err.Error(), "in_a_row", b.failures, "next_try_in", wait)
	}
}

// accepted publishes a worker. The caller holds mu.
func (b *Backend) accepted(w *process) {
	if b.held != nil {
		b.config.Logger.Info("token accepts the PIN again")
	}
	b.worker, b.failures, b.startErr, b.late, b.held = w, 0, nil, false, nil
}

// hold keeps the PIN from being sent until it changes. The log says so once for each change. The caller holds mu.
func (b *Backend) hold(err error, source string) {
	now := b.config.Now()
	if b.held == nil || b.held.source != source {
		b.config.Logger.Error("HSM login needs an operator; the PIN is not sent again until it changes", "error", err.Error())
	}
	failure, ok := errors.AsType[*wire.Failure](err)
	b.held = &held{
		err: err, remembered: ok && failure.Code == wire.FailHeld, source: source, lookAt: now.Add(heldEvery), statAt: now.Add(sourceEvery),
	}
	b.failures, b.startErr = 0, nil
}
