package delivery_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"countersign/internal/delivery"
)

// TestRun: all that is due is sent, no more at once than may be, what is woken at once and what others left after a while, and Run
// ends when what is under way has.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const due, atOnce = 10, 4
		var left, sending, sent atomic.Int64
		left.Store(due)
		var loop delivery.Loop
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			delivery.Run(ctx, &loop, delivery.Work[int]{
				AtOnce: atOnce, Every: time.Minute,
				Claim: func(_ context.Context, limit int) []int {
					taken := min(int64(limit), left.Load())
					left.Add(-taken)
					return make([]int, taken)
				},
				Send: func(ctx context.Context, _ int) {
					if now := sending.Add(1); now > atOnce {
						t.Errorf("%d at once", now)
					}
					time.Sleep(time.Second)
					sending.Add(-1)
					if sent.Add(1); ctx.Err() != nil {
						t.Error("the context of a try ended")
					}
				},
			})
		}()
		time.Sleep(5 * time.Second)
		if sent.Load() != due {
			t.Errorf("%d sent", sent.Load())
		}
		left.Store(1)
		loop.Wake()
		time.Sleep(2 * time.Second)
		if sent.Load() != due+1 {
			t.Error("not sent when woken")
		}
		left.Store(1)
		time.Sleep(time.Minute)
		if sent.Load() != due+2 {
			t.Error("not found after a while")
		}
		left.Store(1)
		loop.Wake()
		synctest.Wait()
		cancel()
		<-ended
		if sent.Load() != due+3 {
			t.Error("Run ended before what was under way")
		}
	})
}

// TestBeginSoon: one that is refused while it waits, or by the time that its turn comes, is not begun and leaves nothing behind.
func TestBeginSoon(t *testing.T) {
	for name, already := range map[string]bool{"while it waits": true, "when its turn comes": false} {
		t.Run("refuses one "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var shares delivery.Shares
				var away atomic.Bool
				if !shares.Begin("slow", 1) {
					t.Fatal("not begun")
				}
				begun := make(chan bool)
				go func() { begun <- shares.BeginSoon("slow", 1, 2*time.Second, away.Load) }()
				synctest.Wait()
				away.Store(true)
				if !already {
					shares.End("slow")
				}
				if <-begun {
					t.Error("begun")
				}
				if already {
					shares.End("slow")
				}
				if shares.Receivers() != 0 {
					t.Error("something is left over")
				}
			})
		})
	}
}

// TestRetryAfter: each wait is twice the one before, up to the last.
func TestRetryAfter(t *testing.T) {
	for attempt, want := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 7: time.Minute, 1 << 30: time.Minute} {
		if got := delivery.RetryAfter(attempt, time.Second, time.Minute); got != want {
			t.Errorf("after attempt %d: %s, want %s", attempt, got, want)
		}
	}
}
