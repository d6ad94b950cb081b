package postgres

import (
	"context"
	"errors"
	"sync"
	"time"

	"countersign/internal/pause"
	"countersign/store"
	"countersign/store/postgres/internal/listener"
)

const (
	// beat is how often the listening connection is checked, and relisten how long to wait before another is made.
	beat     = 250 * time.Millisecond
	relisten = 200 * time.Millisecond
	// proveEvery is after how many beats it is proven again that notifications arrive, and retryDeaf how long to wait before it is
	// tried again to listen where nothing arrives.
	proveEvery = 40
	retryDeaf  = 15 * time.Second
)

var _ store.Watcher = (*Store)(nil)

// Condition returns what this node knows of its connection.
func (s *Store) Condition() store.Condition {
	return store.Condition{Clock: s.clock.Err(), Notifications: s.notified.Err(), Address: s.pool.Target().Failed(), Advice: s.advice}
}

// Watch listens to the notifications that triggers send, on a connection of its own, and keeps the database's time.
func (s *Store) Watch(ctx context.Context, onChange func(store.Change)) {
	var keeping sync.WaitGroup
	defer keeping.Wait()
	keeping.Go(func() { s.keepTime(ctx) })
	for ctx.Err() == nil {
		err := s.listen(ctx, onChange)
		if ctx.Err() != nil {
			return
		}
		// Without notifications nodes reload on their own; the verbs report what is wrong.
		s.notified.Set(err)
		wait := relisten
		if errors.Is(err, listener.ErrDeaf) {
			wait = retryDeaf
		}
		_ = pause.For(ctx, wait) // the loop looks at ctx
	}
}

// CheckNotifications reports whether a notification arrives.
func (s *Store) CheckNotifications(ctx context.Context) error {
	l, err := listener.Open(ctx, s.direct, s.pool, func(store.Change) {})
	if err != nil {
		return err
	}
	defer l.Close(ctx)
	return l.Prove(ctx)
}

func (s *Store) listen(ctx context.Context, onChange func(store.Change)) error {
	l, err := listener.Open(ctx, s.direct, s.pool, onChange)
	if err != nil {
		return err
	}
	defer l.Close(ctx)
	if err := l.Prove(ctx); err != nil {
		return err
	}
	s.notified.Set(nil)
	onChange(store.Change{Lost: true})
	for beats := 1; ctx.Err() == nil; beats++ {
		if err := l.Wait(ctx, s.askTime, func() { onChange(store.Change{}) }, beat); err != nil {
			return err
		}
		if beats%proveEvery != 0 {
			continue
		}
		// Without an answer from the pool nothing is known; the verbs report what is wrong.
		if err := l.Prove(ctx); errors.Is(err, listener.ErrDeaf) {
			return err
		}
	}
	return nil
}
