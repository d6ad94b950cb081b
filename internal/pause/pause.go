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
