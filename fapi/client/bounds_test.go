package client

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"countersign/store"
)

type clients = store.Clients

// anyClient is a store in which each name is a client with the same registration.
type anyClient struct {
	clients
	metadata json.RawMessage
}

// Client implements [store.Clients].
func (c anyClient) Client(_ context.Context, id string) (store.Client, error) {
	return store.Client{ID: id, Profile: "fapi2-security", Metadata: c.metadata}, nil
}

// Covers: KX-14. The cache of clients is never larger than its bounds, in clients and in bytes of their key sets.
func TestKX14CacheBounds(t *testing.T) {
	now := func() time.Time { return time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC) }
	stored := anyClient{metadata: registration(t, func(map[string]any) {})}
	parsed, err := Parse("client", "fapi2-security", stored.metadata)
	if err != nil {
		t.Fatal(err)
	}
	weight := len(parsed.Metadata.JWKS)
	for name, c := range map[string]struct {
		bounds Bounds
		most   int
	}{
		"of clients": {Bounds{Clients: 5}, 5}, "of bytes": {Bounds{KeyBytes: 3 * weight}, 3},
	} {
		t.Run("accepts a bound "+name, func(t *testing.T) {
			cache := NewCache(stored, []string{"fapi2-security"}, now, slog.New(slog.DiscardHandler)).Within(c.bounds)
			most := 0
			for i := range 40 {
				if _, err := cache.Get(t.Context(), fmt.Sprint("client-", i)); err != nil {
					t.Fatal(err)
				}
				most = max(most, len(cache.entries))
			}
			if most != c.most || weight == 0 {
				t.Errorf("it held %d clients, want %d", most, c.most)
			}
		})
	}
}
