package fapi

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"countersign/store"
)

const (
	// clientCacheAge is how long a change of a client may stay unnoticed by a node that nobody tells, and clientCacheTrust
	// by one that is told of changes: for so long after it last was it may go on without looking.
	clientCacheAge   = 900 * time.Millisecond
	clientCacheTrust = 900 * time.Millisecond
	// clientCacheSize bounds the cache; when it is full, it starts anew.
	clientCacheSize = 10_000
)

// clientCache keeps parsed clients for a moment, so that one request reads each client at most once.
type clientCache struct {
	store store.Clients
	// profiles are the names of those that are offered.
	profiles []string
	now      func() time.Time

	mu      sync.Mutex
	entries map[string]cachedClient
	// trusted is until when entries that are watched need not be read anew. news counts what was told: an entry is watched
	// if nothing was while it was read.
	trusted time.Time
	news    int
}

type cachedClient struct {
	client *Client
	// version tells whether the parsed form still stands after a fresh read.
	version int
	readAt  time.Time
	watched bool
}

func newClientCache(clients store.Clients, profiles []string, now func() time.Time) *clientCache {
	return &clientCache{store: clients, profiles: profiles, now: now, entries: map[string]cachedClient{}}
}

// get returns a registered client that is not disabled and whose profile is offered; store.ErrNotFound otherwise. Unknown clients are not
// remembered, so that one that was just added works at once.
func (c *clientCache) get(ctx context.Context, id string) (*Client, error) {
	if id == "" || len(id) > maxClientID {
		return nil, store.ErrNotFound
	}
	c.mu.Lock()
	cached, ok := c.entries[id]
	trusted, news := c.trusted, c.news
	c.mu.Unlock()
	now := c.now()
	young := now.Sub(cached.readAt) < clientCacheAge && !now.Before(cached.readAt)
	told := cached.watched && now.Before(trusted) && !now.Before(trusted.Add(-clientCacheTrust))
	if !ok || !young && !told {
		record, err := c.store.Client(ctx, id)
		if err != nil {
			return nil, err
		}
		if !ok || cached.version != record.Version {
			client, err := ParseClient(record.ID, record.Profile, record.Metadata)
			if err != nil {
				return nil, fmt.Errorf("fapi: the stored client %q: %w", id, err)
			}
			client.disabled, client.changedAt = record.Disabled || !slices.Contains(c.profiles, record.Profile), record.UpdatedAt
			cached = cachedClient{client: client, version: record.Version}
		}
		cached.readAt = now
		c.put(id, cached, news)
	}
	if cached.client.disabled {
		return nil, store.ErrNotFound
	}
	return cached.client, nil
}

// forget makes this node read a client anew.
func (c *clientCache) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.entries, id)
}

// hear takes news of the store.
func (c *clientCache) hear(change store.Change) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case change.Lost:
		clear(c.entries)
		c.news++
		c.trusted = time.Time{}
	case change.Client != "":
		delete(c.entries, change.Client)
		c.news++
	case change == store.Change{}:
		c.trusted = c.now().Add(clientCacheTrust)
	}
}

// put keeps an entry that was read when so much news had been told.
func (c *clientCache) put(id string, entry cachedClient, news int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	entry.watched = news == c.news
	if !entry.watched {
		// What was read may be what was before the news: it must not take the place of what was read after it.
		if _, ok := c.entries[id]; ok {
			return
		}
	}
	if len(c.entries) >= clientCacheSize {
		clear(c.entries)
	}
	c.entries[id] = entry
}
