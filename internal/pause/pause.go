// Package pause waits for a time, or until a context ends.
package pause

import (
	"context"
	"time"
)

// For waits for a duration, and returns the error of ctx when that ends before. What is done from time to time is a loop:
//
//	for pause.For(ctx, every) == nil { … }
func For(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastFlush is how long the last call of [Flush] may take.
const lastFlush = 5 * time.Second

// Flush calls flush from time to time until ctx ends, and then a last time, for which there are a few seconds more. failed is told
// of the first of errors in a row.
func Flush(ctx context.Context, every time.Duration, flush func(context.Context) error, failed func(context.Context, error)) {
	failing := false
	once := func(ctx context.Context) {
		err := flush(ctx)
		if err != nil && !failing && ctx.Err() == nil {
			failed(ctx, err)
		}
		failing = err != nil
	}
	for For(ctx, every) == nil {
		once(ctx)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastFlush)
	defer cancel()
	once(last)
}
