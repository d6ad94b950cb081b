package outbound

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Covers: FD-78. One owner, and one host, gets a few of the exchanges that run at once; others go on.
func TestFD78Slots(t *testing.T) {
	full := func(t *testing.T, s *slots, of share, number int) {
		t.Helper()
		for range number {
			if !s.take(t.Context(), of) {
				t.Fatal("no slot")
			}
		}
	}
	refusesFor := func(t *testing.T, s *slots, of share, wait time.Duration) {
		t.Helper()
		before := time.Now()
		if s.take(t.Context(), of) {
			t.Errorf("%v got a slot", of)
		}
		if took := time.Since(before); took != wait {
			t.Errorf("refused after %s, want %s", took, wait)
		}
	}
	t.Run("refuses an owner more than a few, and accepts others", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots()
			full(t, s, share{"mallory", "slow.example"}, maxPerOwner)
			refusesFor(t, s, share{"mallory", "other.example"}, patience)
			full(t, s, share{"bank", "bank.example"}, 1)
			s.release(share{"mallory", "slow.example"})
			full(t, s, share{"mallory", "other.example"}, 1)
		})
	})
	t.Run("refuses a host more than a few, of any owners", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots()
			for i := range maxPerHost {
				full(t, s, share{fmt.Sprint("owner ", i), "victim.example"}, 1)
			}
			refusesFor(t, s, share{"another", "victim.example"}, patience)
			full(t, s, share{"another", "other.example"}, 1)
		})
	})
	t.Run("refuses at once where too many of an owner wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots()
			full(t, s, share{"mallory", "slow.example"}, maxPerOwner)
			var waiting sync.WaitGroup
			for range maxWaitingPerOwner {
				waiting.Go(func() { s.take(t.Context(), share{"mallory", "slow.example"}) })
			}
			synctest.Wait()
			refusesFor(t, s, share{"mallory", "slow.example"}, 0)
			waiting.Wait()
			if len(s.waiting) != 0 {
				t.Errorf("%d still wait", len(s.waiting))
			}
		})
	})
	t.Run("refuses what waits longer than its context", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots()
			full(t, s, share{}, maxAtOnce)
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if s.take(ctx, share{}) {
				t.Error("got a slot")
			}
		})
	})
	t.Run("accepts those who wait, in their order", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := newSlots()
			full(t, s, share{}, maxAtOnce)
			granted := make(chan int, 2)
			for i := range 2 {
				go func() {
					if s.take(t.Context(), share{}) {
						granted <- i
					}
				}()
				synctest.Wait()
			}
			for want := range 2 {
				s.release(share{})
				if got := <-granted; got != want {
					t.Errorf("%d got a slot before %d", got, want)
				}
			}
		})
	})
}

// Covers: FD-78. However many race, no more than the slots run at once, and none is lost.
func TestFD78SlotsRace(t *testing.T) {
	s := newSlots()
	var running, most, mallory, mallorys atomic.Int64
	raise := func(most *atomic.Int64, now int64) {
		for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
		}
	}
	var all sync.WaitGroup
	for i := range 400 {
		all.Go(func() {
			of := share{fmt.Sprint("owner ", i), fmt.Sprint("host ", i)}
			if i%2 == 0 {
				of = share{"mallory", fmt.Sprint("host ", i)}
			}
			for range 20 {
				if !s.take(t.Context(), of) {
					continue
				}
				raise(&most, running.Add(1))
				if of.owner == "mallory" {
					raise(&mallorys, mallory.Add(1))
				}
				time.Sleep(10 * time.Microsecond)
				if of.owner == "mallory" {
					mallory.Add(-1)
				}
				running.Add(-1)
				s.release(of)
			}
		})
	}
	all.Wait()
	if most.Load() > maxAtOnce || mallorys.Load() > maxPerOwner {
		t.Errorf("%d ran at once, %d of one owner", most.Load(), mallorys.Load())
	}
	if s.running != 0 || len(s.owners) != 0 || len(s.hosts) != 0 || len(s.waiting) != 0 {
		t.Errorf("left over: %d running, %v, %v, %d waiting", s.running, s.owners, s.hosts, len(s.waiting))
	}
}

// Covers: FD-79. What was not tried because of this server says so, and what failed by its host does not.
func TestFD79NoSlot(t *testing.T) {
	release := make(chan struct{})
	slow := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	client := slow.client(Policy{Timeout: time.Minute})
	ctx := For(t.Context(), "mallory")
	var running sync.WaitGroup
	for range maxPerOwner {
		running.Go(func() { _, _ = client.Get(ctx, slow.address, "") })
	}
	for slow.connections.Load() < maxPerOwner {
		time.Sleep(time.Millisecond)
	}
	t.Run("refuses one more of the owner as busy", func(t *testing.T) {
		_, err := client.Get(ctx, slow.address, "")
		if failed, ok := errors.AsType[*Error](err); !ok || !failed.Busy() || failed.Told() != "" {
			t.Errorf("%v", err)
		}
		if slow.connections.Load() != maxPerOwner {
			t.Error("it was sent")
		}
	})
	close(release)
	running.Wait()
	t.Run("refuses an answer that is no document, not as busy", func(t *testing.T) {
		answers := serve(t, http.NotFound)
		_, err := answers.client(Policy{}).Get(ctx, answers.address, "")
		if failed, ok := errors.AsType[*Error](err); !ok || failed.Busy() {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts one after the others", func(t *testing.T) {
		if _, err := client.Get(ctx, slow.address, ""); err != nil {
			t.Error(err)
		}
	})
}
