package client

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"countersign/fapi/profile"
	"countersign/internal/jose"
	"countersign/store"
)

const (
	// cacheAge is how long a node without notifications serves an entry before it reads it again.
	cacheAge = 900 * time.Millisecond
	// cacheTrust is how long after the last notification a node serves an entry without reading it again.
	cacheTrust = 900 * time.Millisecond
	// cacheSize bounds the cache, in clients, and cacheWeight their key sets, in bytes, unless it is told otherwise.
	cacheSize   = 10_000
	cacheWeight = 64 << 20
)

// Bounds are those of what a node remembers of clients; 0 is the default of each.
type Bounds struct {
	// Clients is how many are kept, and KeyBytes how large the key sets that they registered by value may be together; when it is
	// full, it is cleared.
	Clients, KeyBytes int
	// KeySets is how many key sets that clients publish at an address are kept, and Keys how many keys of all of them together;
	// the one that was not used for longest is forgotten.
	KeySets, Keys int
}

// Remote returns key sets at addresses within the bounds.
func (b Bounds) Remote(fetch jose.Fetch, now func() time.Time) *jose.RemoteKeySets {
	remote := jose.NewRemoteKeySets(fetch, now)
	remote.MaxSets, remote.MaxKeys = b.KeySets, b.Keys
	return remote
}

// Cache caches parsed clients briefly, so that one request reads each client at most once.
type Cache struct {
	store store.Clients
	// Roles returns the roles of a client that its directory lists as not active any more; nil knows none. It is asked whenever a client
	// of a directory is got, and must not block. Set it before the first use.
	Roles func(store.DirectoryEntry) []string
	// profiles are the names of the offered profiles.
	profiles []string
	now      func() time.Time
	log      *slog.Logger

	// size and most are the bounds, in clients and in bytes of key sets.
	size, most int

	mu      sync.Mutex
	entries map[string]cacheEntry
	// trustedUntil is until when notified entries need not be read again.
	trustedUntil time.Time
	// weight is the size of the key sets of all entries, in bytes.
	weight int
	// logged are the versions whose keys that are left out were logged.
	logged map[string]int
	// changes counts notifications: an entry is notified if there was none while it was read.
	changes int
}

type cacheEntry struct {
	client *Client
	// version is that of the stored registration: the parsed form is kept while it is unchanged, and so are the roles that its
	// directory, of which it is an entry, lists as not active.
	version int
	listed  store.DirectoryEntry
	lost    []string
	readAt  time.Time
	// notified: notifications invalidate the entry.
	notified bool
}

// NewCache makes a cache of a store's clients. Clients of other profiles than these are not found. Keys that are left out
// of a client's jwks are logged once for each version of the registration.
func NewCache(clients store.Clients, profiles []string, now func() time.Time, log *slog.Logger) *Cache {
	return &Cache{
		store: clients, profiles: profiles, now: now, log: log, entries: map[string]cacheEntry{}, logged: map[string]int{},
		size: cacheSize, most: cacheWeight,
	}
}

// Within returns the cache with these bounds. It is for before the first use.
func (c *Cache) Within(b Bounds) *Cache {
	c.size, c.most = cmp.Or(b.Clients, cacheSize), cmp.Or(b.KeyBytes, cacheWeight)
	return c
}

// Get returns a registered client that is not disabled and whose profile is offered; [store.ErrNotFound] otherwise, which is a
// [*SuspendedError] for one that its directory suspended.
// Unknown clients are not cached, so that one that was just added works at once.
func (c *Cache) Get(ctx context.Context, id string) (*Client, error) { return c.get(ctx, id, false) }

// Fresh is [Cache.Get] of what is stored now: decisions use it.
func (c *Cache) Fresh(ctx context.Context, id string) (*Client, error) { return c.get(ctx, id, true) }

func (c *Cache) get(ctx context.Context, id string, fresh bool) (*Client, error) {
	if id == "" || len(id) > maxID {
		return nil, store.ErrNotFound
	}
	c.mu.Lock()
	entry, ok := c.entries[id]
	trustedUntil, changes := c.trustedUntil, c.changes
	c.mu.Unlock()
	ok = ok && slices.Equal(entry.lost, c.lostRoles(entry.listed))
	now := c.now()
	recent := now.Sub(entry.readAt) < cacheAge && !now.Before(entry.readAt)
	trusted := entry.notified && now.Before(trustedUntil) && !now.Before(trustedUntil.Add(-cacheTrust))
	if fresh || !ok || !recent && !trusted {
		record, err := c.store.Client(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok || entry.version != record.Version || !entry.client.ChangedAt.Equal(record.UpdatedAt) ||
			entry.client.suspended != record.Suspended {
			parsed, err := Parse(record.ID, record.Profile, record.Metadata)
			if err != nil {
				return nil, fmt.Errorf("fapi: the stored client %q: %w", id, err)
			}
			parsed.disabled = record.Disabled || !profile.Offers(c.profiles, record.Profile)
			parsed.ChangedAt, parsed.Version, parsed.suspended = record.UpdatedAt, record.Version, record.Suspended
			parsed.Organisation, parsed.Directory = OrganisationOf(record.ID, record.Organisation), record.Directory.Directory
			lost := c.lostRoles(record.Directory)
			parsed.vouch(lost)
			entry = cacheEntry{client: parsed, version: record.Version, listed: record.Directory, lost: lost}
			c.logKeys(ctx, entry)
		}
		entry.readAt = now
		c.put(id, entry, changes)
	}
	switch {
	case entry.client.disabled:
		return nil, store.ErrNotFound
	case entry.client.suspended != "":
		return nil, &SuspendedError{Reason: entry.client.suspended}
	}
	return entry.client, nil
}

func (c *Cache) lostRoles(of store.DirectoryEntry) []string {
	if c.Roles == nil || of.Directory == "" {
		return nil
	}
	return c.Roles(of)
}

// Invalidate removes a client from the cache of this node.
func (c *Cache) Invalidate(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(id)
}

// remove forgets a client. The caller holds the mutex.
func (c *Cache) remove(id string) {
	if entry, ok := c.entries[id]; ok {
		c.weight -= len(entry.client.Metadata.JWKS)
		delete(c.entries, id)
	}
}

func (c *Cache) clear() {
	clear(c.entries)
	c.weight = 0
}

// logKeys names the keys by value that are left out of a new version of a registration.
func (c *Cache) logKeys(ctx context.Context, entry cacheEntry) {
	id := entry.client.ID
	c.mu.Lock()
	known := c.logged[id] == entry.version
	if len(c.logged) >= c.size {
		clear(c.logged)
	}
	c.logged[id] = entry.version
	c.mu.Unlock()
	if !known {
		logLeftOut(ctx, c.log, entry.client, entry.client.Keys)
	}
}

// OnChange handles a notification of the store; see [store.Watcher].
func (c *Cache) OnChange(change store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case change.Lost:
		c.clear()
		c.changes++
		c.trustedUntil = time.Time{}
	case change.Client != "":
		c.remove(change.Client)
		c.changes++
	case change == store.Change{}:
		c.trustedUntil = c.now().Add(cacheTrust)
	}
}

// put stores an entry. changes is the number of notifications before it was read.
func (c *Cache) put(id string, entry cacheEntry, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.notified = changes == c.changes
	if !entry.notified {
		// The entry may be older than the notification: it must not replace one that was read after it.
		if _, ok := c.entries[id]; ok {
			return
		}
	}
	c.remove(id)
	weight := len(entry.client.Metadata.JWKS)
	if len(c.entries) >= c.size || c.weight+weight > c.most {
		c.clear()
	}
	c.entries[id] = entry
	c.weight += weight
}
