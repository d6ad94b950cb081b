package jose

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// BenchmarkRemoteKeySets is the search for a key of one of many clients, each with a set of a hundred keys at an address. It must not cost
// more where there are more clients.
func BenchmarkRemoteKeySets(b *testing.B) {
	key := newKey(b, ES256)
	one := string(key.PublicJWK())
	document := []byte(`{"keys":[` + strings.Repeat(one+",", 99) + one + `]}`)
	for _, clients := range []int{100, 10_000} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			remote := NewRemoteKeySets(func(context.Context, string) ([]byte, time.Duration, error) { return document, maxLifetime, nil }, time.Now)
			remote.MaxSets, remote.MaxKeys = clients, 100*clients
			addresses := make([]string, clients)
			for i := range addresses {
				addresses[i] = fmt.Sprintf("https://client-%d.example/jwks.json", i)
				if _, err := remote.Keys(b.Context(), addresses[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ResetTimer()
			for b.Loop() {
				set, err := remote.Keys(b.Context(), addresses[rand.IntN(clients)])
				if err != nil || set.size != 100 {
					b.Fatal(set.size, err)
				}
			}
			b.ReportMetric(float64(len(remote.sets)), "sets")
		})
	}
}
