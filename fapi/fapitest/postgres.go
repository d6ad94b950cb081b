package fapitest

import (
	"context"
	"net/http"
	"testing"
	"time"

	"countersign/store"
	"countersign/store/postgres"
)

// keyPublished tells whether a key is in the key set.
func (c *Client) KeyPublished(id string) bool {
	c.W.T.Helper()
	request, err := http.NewRequest(http.MethodGet, c.W.Issuer+"/jwks", nil)
	if err != nil {
		c.W.T.Fatal(err)
	}
	keys, _ := c.Do(request).Body["keys"].([]any)
	for _, key := range keys {
		if fields, ok := key.(map[string]any); ok && fields["kid"] == id {
			return true
		}
	}
	return false
}

// pushedID is the digest of the request_uri of a new request.
func (w *World) PushedID(c *Client, nonce string) store.Digest {
	w.T.Helper()
	return store.DigestOf(c.Push(c.Proving("/par", Claim("nonce", nonce))).Text("request_uri"))
}

// sessionIn is the digest of the sign-in cookie that a browser has.
func (w *World) SessionIn(b *Browser) store.Digest {
	w.T.Helper()
	for _, cookie := range b.HTTP.Jar.Cookies(MustURL(w.T, w.Issuer)) {
		if cookie.Name == "__Host-countersign-session" {
			return store.DigestOf(cookie.Value)
		}
	}
	w.T.Fatal("the browser has no session")
	return store.Digest{}
}

// newWorldOnPostgres makes a world whose nodes share a PostgreSQL database; change may alter how a node connects.
func NewWorldOnPostgres(t *testing.T, change func(*postgres.Config), options ...Option) (w *World, url string) {
	t.Helper()
	url = database.Database(t)
	if _, err := postgres.Migrate(t.Context(), postgres.Config{URL: url}); err != nil {
		t.Fatal(err)
	}
	return newWorldOn(t, func(now func() time.Time) store.Store {
		config := postgres.Config{URL: url, Now: now, MaxConnections: 8}
		if change != nil {
			change(&config)
		}
		return OpenPostgres(t, config)
	}, options...), url
}

func OpenPostgres(t *testing.T, config postgres.Config) *postgres.Store {
	t.Helper()
	opened, err := postgres.Open(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Error(err)
		}
	})
	return opened
}
