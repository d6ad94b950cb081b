package jose

import (
	"fmt"
	"testing"
	"time"
)

// Covers: KX-14. As many key sets are remembered as the bound says, and what is beyond it is fetched again.
func TestKX14RemoteBounds(t *testing.T) {
	known := newKey(t, ES256)
	for name, c := range map[string]struct{ sets, keys, most int }{"of sets": {sets: 3, most: 3}, "of keys": {sets: 100, keys: 2, most: 2}} {
		server := newKeyServer(known.Key())
		remote := NewRemoteKeySets(server.fetch, server.now)
		remote.MaxSets, remote.MaxKeys = c.sets, c.keys
		t.Run("accepts a bound "+name, func(t *testing.T) {
			for i := range 10 {
				if _, err := remote.Keys(t.Context(), fmt.Sprint(i)); err != nil {
					t.Fatal(err)
				}
				server.wait(time.Microsecond)
			}
			if len(remote.sets) != c.most || remote.keys != c.most {
				t.Errorf("%d sets and %d keys are remembered, want %d", len(remote.sets), remote.keys, c.most)
			}
		})
		t.Run("refuses to remember what is beyond the bound "+name, func(t *testing.T) {
			again := func(address string) int {
				if _, err := remote.Keys(t.Context(), address); err != nil {
					t.Error(err)
				}
				return server.fetches[address]
			}
			if last, first := again("9"), again("0"); last != 1 || first != 2 {
				t.Errorf("the last was fetched %d times, the first, which is forgotten and there again, %d times", last, first)
			}
		})
	}
}
