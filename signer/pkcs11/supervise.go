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
		b.mu.Lock()
		switch {
		case b.closed:
			b.mu.Unlock()
			return nil, errClosed
		case b.fatal != nil:
			defer b.mu.Unlock()
			return nil, b.fatal
		case b.worker != nil && !b.worker.dead():
			defer b.mu.Unlock()
			return b.worker, nil
		case b.starting == nil && time.Now().Before(b.retryAt):
			defer b.mu.Unlock()
			return nil, b.startErr
		case b.starting == nil:
			if err := b.noteStart(time.Now()); err != nil {
				b.mu.Unlock()
				return nil, err
			}
			b.starting = make(chan struct{})
			go b.start(b.starting)
		}
		started := b.starting
		b.mu.Unlock()
		select {
		case <-started:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: waiting for a worker: %w", signer.ErrUnavailable, context.Cause(ctx))
		}
	}
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
		Module: b.config.Module, Token: b.config.Token, PINFile: b.config.PINFile, Sessions: b.config.Sessions,
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
