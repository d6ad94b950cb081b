package pkcs11

import (
	"context"
	"errors"
	"fmt"
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

// current gives a living worker. Of many callers one starts it and the rest wait, no longer than their contexts.
func (b *Backend) current(ctx context.Context) (*process, error) {
	for {
		w, started, err := b.living()
		if w != nil || err != nil {
			return w, err
		}
		select {
		case <-started:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for a worker: %w", signer.ErrUnavailable, context.Cause(ctx))
		}
	}
}

// living gives the living worker. Without one it has one started, and gives what is closed when that has ended.
func (b *Backend) living() (w *process, started <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.open.Err() != nil:
		return nil, nil, errClosed
	case b.fatal != nil:
		return nil, nil, b.fatal
	case b.worker != nil && !b.worker.dead():
		return b.worker, nil, nil
	case b.starting == nil && b.config.Now().Before(b.retryAt):
		return nil, nil, b.startErr
	case b.starting == nil:
		if err := b.noteStart(b.config.Now()); err != nil {
			return nil, nil, err
		}
		b.starting = make(chan struct{})
		go b.start(b.starting)
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

// start makes a worker and publishes the outcome. It keeps its own time: only Close ends it, not a caller's impatience.
func (b *Backend) start(done chan struct{}) {
	w, err := startWorker(b.open, b.config, firstQuestion(b.config))
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starting = nil
	close(done)
	if err == nil {
		b.worker, b.failures, b.startErr = w, 0, nil
		return
	}
	if b.open.Err() != nil {
		return
	}
	if f, ok := errors.AsType[*wire.Failure](err); ok && f.Code == wire.FailFatal {
		b.fatal = err
		b.config.Logger.Error("HSM needs an operator; not retried until restart", "error", err.Error())
		return
	}
	if !errors.Is(err, signer.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	wait := min(firstWait<<min(b.failures, 7), startsPause)
	b.failures++
	b.startErr, b.retryAt = err, b.config.Now().Add(wait)
	if b.failures&(b.failures-1) == 0 { // the 1st, 2nd, 4th, 8th: one that stays away must not fill the log
		b.config.Logger.Error("PKCS#11 worker did not start", "error", err.Error(), "in_a_row", b.failures, "next_try_in", wait)
	}
}
