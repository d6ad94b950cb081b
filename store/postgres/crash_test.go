package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/postgrestest"
	"countersign/store"
	"countersign/store/postgres"
)

// crashing is a server that is killed, and so writes through to the disk.
var crashing = postgrestest.Cluster{Fsync: true}

// TestServerIsKilled: PostgreSQL is killed with all its processes while many write, three times. What was acknowledged is
// there afterwards, each failure in between is one that reports that the database is away, and writing goes on by itself.
func TestServerIsKilled(t *testing.T) {
	database := migrated(t, crashing.Database(t))
	s := opened(t, postgres.Config{URL: database, MaxConnections: 8})
	ctx, stop := context.WithCancel(t.Context())
	const writers = 8
	acknowledged := make([][]string, writers)
	var failed, done atomic.Int64
	var writing sync.WaitGroup
	for i := range writers {
		writing.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				name := fmt.Sprint(i, " ", n)
				err := oneFlow(s, time.Now(), name, 10*time.Minute)
				switch {
				case err == nil:
					acknowledged[i] = append(acknowledged[i], name)
					done.Add(1)
				case errors.Is(err, store.ErrUnavailable), errors.Is(err, store.ErrOverloaded):
					failed.Add(1)
					time.Sleep(5 * time.Millisecond) // as a client would
				default:
					t.Errorf("with the server gone: %v", err)
					return
				}
			}
		})
	}
	for range 3 {
		await := func(more int64) time.Duration {
			began, before := time.Now(), done.Load()
			for done.Load() < before+more {
				if time.Since(began) > 30*time.Second {
					t.Fatal("nothing is written")
				}
				time.Sleep(time.Millisecond)
			}
			return time.Since(began)
		}
		await(40)
		crashing.Crash(t)
		t.Logf("written again %s after the server was", await(1).Round(time.Millisecond))
	}
	stop()
	writing.Wait()
	lost, total := 0, 0
	for _, names := range acknowledged {
		for _, name := range names {
			total++
			digest := func(what string) store.Digest { return store.DigestOf(name + what) }
			again := s.ConsumeOneTime(t.Context(), store.OneTime{Kind: "dpop", Key: digest("use2"), Until: time.Now().Add(10 * time.Minute)})
			_, tokenErr := s.AccessGrant(t.Context(), digest("access"))
			code, _, codeErr := s.CodeGrant(t.Context(), digest("code"))
			if !errors.Is(again, store.ErrReplayed) || tokenErr != nil || codeErr != nil || code.ConsumedAt.IsZero() {
				lost++
			}
		}
	}
	t.Logf("%d flows were acknowledged, %d calls failed", total, failed.Load())
	if lost > 0 {
		t.Errorf("%d of %d acknowledged flows are not all there", lost, total)
	}
}
