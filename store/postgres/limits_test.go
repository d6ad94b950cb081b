package postgres_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// Covers: FD-67. Nodes share an allowance whatever their clocks say: one that is wrong neither widens it nor locks out.
func TestLimitsOfNodes(t *testing.T) {
	address := migrated(t, cluster.Database(t))
	var nodes []*postgres.Store
	for _, wrong := range []time.Duration{0, 20 * time.Second, 25 * time.Second, -25 * time.Second} {
		nodes = append(nodes, opened(t, postgres.Config{URL: address, Now: func() time.Time { return time.Now().Add(wrong) }, MaxConnections: 4}))
	}
	rate := store.Rate{Key: store.DigestOf("shared"), Interval: time.Minute, Burst: 10}
	var all sync.WaitGroup
	var winners, longest atomic.Int64
	for i := range 100 {
		all.Go(func() {
			waits, err := nodes[i%len(nodes)].Allow(t.Context(), rate)
			switch {
			case err != nil:
				t.Error(err)
			case waits[0] == 0:
				winners.Add(1)
			case waits[0] > time.Duration(longest.Load()):
				longest.Store(int64(waits[0]))
			}
		})
	}
	all.Wait()
	t.Run("accepts as many as one node would", func(t *testing.T) {
		if winners.Load() < 10 {
			t.Errorf("%d of 100 events were allowed, want 10", winners.Load())
		}
	})
	t.Run("refuses more, whatever the clock of a node says", func(t *testing.T) {
		if winners.Load() > 10 {
			t.Errorf("%d of 100 events were allowed, want 10", winners.Load())
		}
	})
	if wait := time.Duration(longest.Load()); wait < 30*time.Second || wait > time.Minute {
		t.Errorf("the longest wait is %s, want a minute or a little less", wait)
	}
	short := store.Rate{Key: store.DigestOf("short"), Interval: 100 * time.Millisecond, Burst: 1}
	for range 2 {
		waits, err := nodes[1].Allow(t.Context(), short)
		if err != nil || waits[0] != 0 {
			t.Fatalf("after the time that was named: %v, %v", waits, err)
		}
		if waits, err = nodes[2].Allow(t.Context(), short); err != nil || waits[0] > short.Interval {
			t.Fatalf("to wait is %v, %v", waits, err)
		}
		time.Sleep(waits[0]) // the database's own clock
	}
	for i, node := range nodes { // nor is a limit forgotten by a purge of a node whose clock is fast
		if _, err := node.Purge(t.Context(), 100); err != nil {
			t.Fatal(err)
		}
		if taken, err := node.Taken(t.Context(), rate); err != nil || taken[0] != 10 {
			t.Errorf("node %d says that %v are taken: %v", i, taken, err)
		}
	}
}

// TestLimitsAreIntact: what a crash may forget are events of limits, never what a verb after them writes.
func TestLimitsAreIntact(t *testing.T) {
	s := opened(t, postgres.Config{URL: migrated(t, cluster.Database(t)), MaxConnections: 1})
	if _, err := s.Allow(t.Context(), store.Rate{Key: store.DigestOf("a"), Interval: time.Minute, Burst: 1}); err != nil {
		t.Fatal(err)
	}
	setting, err := s.Setting(t.Context(), "synchronous_commit")
	if err != nil || setting != "on" {
		t.Errorf("synchronous_commit is %q after a verb of limits: %v", setting, err)
	}
}
