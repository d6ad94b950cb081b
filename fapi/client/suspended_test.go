package client

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"countersign/store"
)

// Covers: LD-18. A client that its directory suspends is gone for whoever asks the cache, and says why; its registration does not
// change by that.
func TestLD18Cache(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	stored := &oneClient{record: store.Client{
		ID: "client-1", Profile: "fapi2-security", Version: 1, UpdatedAt: now,
		Metadata: registration(t, func(m map[string]any) { m["jwks"] = keysOf(publicJWK(t)) }),
	}}
	cache := NewCache(stored, []string{"fapi2-security"}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	get := func() error {
		_, err := cache.Get(t.Context(), "client-1")
		return err
	}
	t.Run("accepts it before", func(t *testing.T) {
		if err := get(); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("refuses it from the next look on, with the reason", func(t *testing.T) {
		stored.record.Suspended = "the directory says so"
		now = now.Add(cacheAge)
		err := get()
		if _, fresh := cache.Fresh(t.Context(), "client-1"); !errors.Is(err, store.ErrNotFound) || !errors.Is(fresh, store.ErrNotFound) {
			t.Errorf("%v, %v", err, fresh)
		}
		if Gone(err, "gone") != "the directory says so" || Gone(store.ErrNotFound, "gone") != "gone" {
			t.Errorf("%q", Gone(err, "gone"))
		}
	})
	t.Run("refuses it at once when this node is told", func(t *testing.T) {
		stored.record.Suspended = ""
		cache.Invalidate("client-1")
		if err := get(); err != nil {
			t.Fatal(err)
		}
		stored.record.Suspended = "again"
		cache.OnChange(store.Change{Client: "client-1"})
		if err := get(); err == nil || err.Error() != "again" {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts it when it is restored", func(t *testing.T) {
		stored.record.Suspended = ""
		now = now.Add(cacheAge)
		if err := get(); err != nil {
			t.Error(err)
		}
	})
}

// A client is held to the roles that its directory lists from the next look on, without being told, and gets them back.
func TestCacheRoles(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	stored := &oneClient{record: store.Client{
		ID: "client-1", Profile: "uk-openbanking/fapi2-security", Version: 1, UpdatedAt: now,
		Metadata: registration(t, func(m map[string]any) {
			m["jwks"], m["scope"] = keysOf(publicJWK(t)), "openid accounts payments"
		}),
		Directory: store.DirectoryEntry{Directory: "central", Organisation: "bank"},
	}}
	cache := NewCache(stored, []string{"uk-openbanking/fapi2-security"}, func() time.Time { return now }, slog.New(slog.DiscardHandler))
	var lost []string
	cache.Roles = func(of store.DirectoryEntry) []string {
		if of != stored.record.Directory {
			t.Errorf("asked about %v", of)
		}
		return lost
	}
	wants := func(scopes ...string) {
		t.Helper()
		if found, err := cache.Get(t.Context(), "client-1"); err != nil || !slices.Equal(found.Scopes, scopes) {
			t.Errorf("%v, %v", found, err)
		}
	}
	t.Run("accepts all before", func(t *testing.T) { wants("openid", "accounts", "payments") })
	t.Run("refuses those of a role that is lost", func(t *testing.T) {
		lost = []string{"PISP"}
		wants("openid", "accounts")
	})
	t.Run("accepts them when it is back", func(t *testing.T) {
		lost = nil
		wants("openid", "accounts", "payments")
	})
}
