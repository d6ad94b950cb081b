package claimsource

import (
	"container/list"
	"maps"
	"strings"
	"sync"
	"time"

	"countersign/fapi/claims"
)

// key is what an answer is kept for. The client is a part of it: a source may answer two clients differently, and what one was
// not asked for is not found by it.
type key struct{ subject, client, claims, scopes string }

func keyOf(q claims.Question) key {
	return key{q.Subject, q.ClientID, strings.Join(q.Names, " "), strings.Join(q.Scopes, " ")}
}

type entry struct {
	key    key
	answer claims.Answer
	// at is when it was asked for, until when it ends.
	at, until time.Time
}

// cache keeps answers for a while; those that are not used go first when it is full.
type cache struct {
	capacity int

	mu      sync.Mutex
	entries map[key]*list.Element
	// used has the entries in the order of their last use, the newest first.
	used list.List
}

func newCache(capacity int) *cache {
	return &cache{capacity: capacity, entries: map[key]*list.Element{}}
}

// get returns an answer that has not ended, and forgets one that has. So it does when the clock was set back behind it.
func (c *cache) get(k key, now time.Time) (claims.Answer, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, found := c.entries[k]
	if !found {
		return claims.Answer{}, false
	}
	kept := element.Value.(*entry)
	if !now.Before(kept.until) || now.Before(kept.at) {
		c.remove(element)
		return claims.Answer{}, false
	}
	c.used.MoveToFront(element)
	return claims.Answer{Claims: maps.Clone(kept.answer.Claims)}, true
}

// forget forgets all answers about a user.
func (c *cache) forget(subject string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, element := range c.entries {
		if k.subject == subject {
			c.remove(element)
		}
	}
}

// put keeps an answer to what was asked at a time.
func (c *cache) put(k key, answer claims.Answer, at time.Time, keep time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if element, found := c.entries[k]; found {
		c.remove(element)
	}
	if keep <= 0 || c.capacity <= 0 {
		return
	}
	for len(c.entries) >= c.capacity {
		c.remove(c.used.Back())
	}
	kept := &entry{key: k, answer: claims.Answer{Claims: maps.Clone(answer.Claims)}, at: at, until: at.Add(keep)}
	c.entries[k] = c.used.PushFront(kept)
}

// remove forgets an entry. The caller holds the mutex.
func (c *cache) remove(element *list.Element) {
	delete(c.entries, element.Value.(*entry).key)
	c.used.Remove(element)
}
