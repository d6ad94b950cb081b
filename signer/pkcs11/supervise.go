package pkcs11

import (
	"context"
	"errors"
	"fmt"
	"time"

	"countersign/signer"
)

// At most mostStarts workers are started in startsPeriod: a module that crashes with each signature must not have the
// machine start workers all day.
const (
	mostStarts   = 10
	startsPeriod = 5 * time.Second
)

// current gives a living worker. Of many callers one starts it and the rest wait, no longer than their contexts.
func (b *Backend) current(ctx context.Context) (*worker, error) {
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
func (b *Backend) living() (w *worker, started <-chan struct{}, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return nil, nil, errClosed
	case b.fatal != nil:
		return nil, nil, b.fatal
	case b.worker != nil && !b.worker.dead():
		return b.worker, nil, nil
	case b.starting == nil && time.Now().Before(b.retryAt):
		return nil, nil, b.startErr
	case b.starting == nil:
		if err := b.noteStart(time.Now()); err != nil {
			return nil, nil, err
		}
		b.starting = make(chan struct{})
		go b.start(b.starting)
	}
	return nil, b.starting, nil
}

// noteStart counts a start of a worker, or refuses it when there were too many.
func (b *Backend) noteStart(now time.Time) error {
	if len(b.started) == mostStarts {
		if now.Sub(b.started[0]) < startsPeriod {
			return fmt.Errorf("%w: its worker process died %d times in %s", signer.ErrUnavailable, mostStarts, startsPeriod)
		}
		b.started = append(b.started[:0], b.started[1:]...)
	}
	b.started = append(b.started, now)
	return nil
}

// start makes a worker and publishes the outcome. It keeps its own time: the caller's impatience does not end it.
func (b *Backend) start(done chan struct{}) {
	w, err := startWorker(b.config, hello{
		Module: b.config.Module, Token: b.config.Token, PINFile: b.config.PINFile, PIN: b.config.PIN.text, Sessions: b.config.Sessions,
	})
	b.mu.Lock()
	defer b.mu.Unlock()
	b.starting = nil
	close(done)
	if b.closed && w != nil {
		w.kill(errClosed)
	}
	if err == nil {
		b.worker, b.failures, b.startErr = w, 0, nil
		return
	}
	if f, ok := errors.AsType[*failure](err); ok && f.code == failFatal {
		b.fatal = err
		b.config.Logger.Error("the HSM needs a person; it is not asked again until a restart", "error", err.Error())
		return
	}
	if !errors.Is(err, signer.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", signer.ErrUnavailable, err)
	}
	wait := min(50*time.Millisecond<<min(b.failures, 7), 5*time.Second)
	b.failures++
	b.startErr, b.retryAt = err, time.Now().Add(wait)
	b.config.Logger.Error("the PKCS#11 worker did not start", "error", err.Error(), "next_try_in", wait)
}
