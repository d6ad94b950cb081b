package claimsource

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"countersign/fapi/claims"
)

func about(name string) claims.Answer {
	return claims.Answer{Claims: map[string]json.RawMessage{"name": json.RawMessage(`"` + name + `"`)}}
}

// Covers: KB-18. An answer ends when its time is over, and when the clock goes back behind it; what was used least goes first.
func TestCache(t *testing.T) {
	t.Parallel()
	now := time.Now()
	k := keyOf(claims.Question{Subject: "s", ClientID: "c", Names: []string{"name"}})
	t.Run("accepts an answer until its time is over", func(t *testing.T) {
		c := newCache(10)
		c.put(k, about("Alice"), now, time.Minute)
		if got, ok := c.get(k, now.Add(time.Minute-1)); !ok || string(got.Claims["name"]) != `"Alice"` {
			t.Errorf("%v %v", got, ok)
		}
		if _, ok := c.get(k, now.Add(time.Minute)); ok || len(c.entries) != 0 || c.used.Len() != 0 {
			t.Errorf("used after its end, or kept: %d", len(c.entries))
		}
	})
	t.Run("refuses an answer of a later time", func(t *testing.T) {
		c := newCache(10)
		c.put(k, about("Alice"), now, time.Minute)
		if _, ok := c.get(k, now.Add(-time.Second)); ok {
			t.Error("used before it was asked for")
		}
	})
	t.Run("refuses to keep what may not be kept, and forgets what was", func(t *testing.T) {
		c := newCache(10)
		c.put(k, about("Alice"), now, time.Minute)
		c.put(k, about("Alicia"), now, 0)
		if got, ok := c.get(k, now); ok {
			t.Errorf("kept %v", got)
		}
	})
	t.Run("refuses more than there is room for", func(t *testing.T) {
		c := newCache(3)
		key := func(i int) key { return key{subject: fmt.Sprint(i)} }
		for i := range 3 {
			c.put(key(i), about("x"), now, time.Minute)
		}
		c.get(key(0), now)
		c.put(key(3), about("x"), now, time.Minute)
		for i, want := range []bool{true, false, true, true} {
			if _, ok := c.get(key(i), now); ok != want {
				t.Errorf("%d: kept %v", i, ok)
			}
		}
		if c.used.Len() != 3 {
			t.Errorf("%d entries", c.used.Len())
		}
	})
	t.Run("accepts changes of what it gave", func(t *testing.T) {
		c := newCache(10)
		c.put(k, about("Alice"), now, time.Minute)
		got, _ := c.get(k, now)
		got.Claims["email"] = json.RawMessage(`"x"`)
		if again, _ := c.get(k, now); len(again.Claims) != 1 {
			t.Errorf("kept %v", again)
		}
	})
	t.Run("refuses every answer about a user that it is to forget", func(t *testing.T) {
		c := newCache(10)
		c.put(k, about("Alice"), now, time.Minute)
		c.put(key{subject: "s", client: "d"}, about("Alice"), now, time.Minute)
		c.put(key{subject: "t"}, about("Bob"), now, time.Minute)
		c.forget("s")
		if _, ok := c.get(key{subject: "t"}, now); !ok || len(c.entries) != 1 || c.used.Len() != 1 {
			t.Errorf("%d entries", len(c.entries))
		}
	})
}

// Covers: KB-19. Another user, client, claim or scope is another question.
func TestKey(t *testing.T) {
	t.Parallel()
	base := claims.Question{Subject: "s", ClientID: "c", Names: []string{"email", "name"}, Scopes: []string{"openid"}, Purpose: claims.ForTokens}
	for name, change := range map[string]func(*claims.Question){
		"another user":          func(q *claims.Question) { q.Subject = "t" },
		"another client":        func(q *claims.Question) { q.ClientID = "d" },
		"fewer claims":          func(q *claims.Question) { q.Names = []string{"name"} },
		"more claims":           func(q *claims.Question) { q.Names = []string{"email", "locale", "name"} },
		"more scopes":           func(q *claims.Question) { q.Scopes = []string{"openid", "email"} },
		"claims in the subject": func(q *claims.Question) { q.Subject, q.Names = "s email", []string{"name"} },
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			other := base
			change(&other)
			if keyOf(other) == keyOf(base) {
				t.Error("answered alike")
			}
		})
	}
	t.Run("accepts the same for another purpose", func(t *testing.T) {
		other := base
		other.Purpose = claims.ForUserInfo
		if keyOf(other) != keyOf(base) {
			t.Error("asked again")
		}
	})
}
