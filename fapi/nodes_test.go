package fapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"countersign/internal/pgproxy"
	"countersign/signer"
	"countersign/store"
	"countersign/store/postgres"
)

// watched is how a node of TestNodesFollow hears of changes.
type watched struct {
	name string
	// connection is what becomes of the listening connection once it is there.
	connection func(*pgproxy.Proxy)
	none       bool
	// atOnce tells that changes are to be noticed long before anybody would look for himself.
	atOnce bool
}

// TestNodesFollow: what one node changes holds on another within a second: clients, key states, revocations, sessions and
// nonces, on one PostgreSQL. It does so when the other is told, when it is not, and when the connection by which it was told
// is cut, or goes silent as one does behind a broken network.
func TestNodesFollow(t *testing.T) {
	for _, how := range []watched{
		{name: "listening", atOnce: true},
		{name: "not listening", none: true},
		{name: "cut", connection: func(p *pgproxy.Proxy) {
			go func() {
				for range 200 {
					p.Cut()
					time.Sleep(20 * time.Millisecond)
				}
			}()
		}},
		{name: "silent", connection: func(p *pgproxy.Proxy) { time.AfterFunc(5*time.Second, p.Silence()) }},
	} {
		t.Run(how.name, func(t *testing.T) { nodesFollow(t, how) })
	}
}

func nodesFollow(t *testing.T, how watched) {
	w, url := newWorldOnPostgres(t, nil, func(c *fapiConfig, _ *autoInteractor) { c.RequireDPoPNonce = true })
	n := w.node(func(c *fapiConfig) {
		var err error
		c.Signer, err = signer.New(t.Context(), signer.Config{Catalogue: catalogue{c.Store}, Replicas: []signer.Replica{{Backend: w.backend}},
			Now: c.Now, RefreshInterval: 500 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
	})
	// Time goes by as it does.
	ctx, stop := context.WithCancel(t.Context())
	t.Cleanup(stop)
	go func() {
		for last := time.Now(); ctx.Err() == nil; time.Sleep(2 * time.Millisecond) {
			now := time.Now()
			w.clock.Advance(now.Sub(last))
			n.clock.Advance(now.Sub(last))
			last = now
		}
	}()
	c := w.register("client-1", nil)
	there := n.here(c)
	nonce := func(at *client) string { return at.push(nil).header.Get("DPoP-Nonce") }
	first := nonce(c)

	// Nonces, and what is never kept in memory, hold at once.
	good("", nil).check(t, there.push(c.proving("/par", claim("nonce", first))))
	b := w.browser()
	authorize := func(at *client, b *browser) (string, bool) {
		pushed := at.push(c.proving("/par", claim("nonce", first)))
		_, _, sentTo := b.visit(w.authorizeURL(c.id, pushed.text("request_uri")))
		return sentTo.Query().Get("code"), sentTo.Query().Get("code") != ""
	}
	code, ok := authorize(c, b)
	if !ok {
		t.Fatal("no code")
	}
	tokens := there.redeem(code, c.proving("/token", claim("nonce", first)))
	if tokens.status != http.StatusOK {
		t.Fatalf("%d %s", tokens.status, tokens.raw)
	}
	if opened, err := n.store.Open(t.Context(), w.pushedID(c, first), w.sessionIn(b)); err != nil || opened.Session == nil {
		t.Errorf("the sign-in of the other node: %v, %v", opened.Session, err)
	}
	if r := c.revoke(tokens.text("refresh_token"), c.proving("/revoke", claim("nonce", first))); r.status != http.StatusOK {
		t.Fatalf("revoke: %d %s", r.status, r.raw)
	}
	if r := there.refresh(tokens.text("refresh_token"), c.proving("/token", claim("nonce", first))); r.text("error") != "invalid_grant" {
		t.Errorf("after the other node's revocation: %d %s", r.status, r.raw)
	}

	if !how.none {
		var proxy *pgproxy.Proxy
		listening := postgres.Config{URL: url, Now: n.clock.Now}
		through(t, &proxy)(&listening)
		listening.MaxConnections = 1
		ears := openPostgres(t, listening)
		told := make(chan struct{}, 1)
		go ears.Watch(ctx, func(change store.Change) {
			n.server.OnChange(change)
			if (change == store.Change{}) {
				select {
				case told <- struct{}{}:
				default:
				}
			}
		})
		<-told
		if how.connection != nil {
			// The node has what it was told to be fresh when the connection goes.
			good("", nil).check(t, there.push(c.proving("/par", claim("nonce", first))))
			how.connection(proxy)
		}
	}
	follow := func(what string, change func(), noticed func() bool) {
		t.Helper()
		if noticed() { // and so it has what there was before in memory
			t.Fatalf("%s: noticed before the change", what)
		}
		change()
		began := time.Now()
		for !noticed() {
			if time.Since(began) > 3*time.Second {
				t.Fatalf("%s: not noticed", what)
			}
			time.Sleep(time.Millisecond)
		}
		took := time.Since(began)
		t.Logf("%s: noticed after %s", what, took.Round(time.Millisecond))
		if took > time.Second+200*time.Millisecond { // the calls that notice take their time, too
			t.Errorf("%s: noticed after %s", what, took)
		}
		if how.atOnce && took > 400*time.Millisecond {
			t.Errorf("%s: nobody told; noticed after %s", what, took)
		}
	}
	refused := func() bool {
		return there.push(c.proving("/par", claim("nonce", first))).text("error") == "invalid_client"
	}
	record, err := w.store.Client(t.Context(), c.id)
	if err != nil {
		t.Fatal(err)
	}
	put := func(disabled bool) func() {
		return func() {
			record.Version, record.Disabled = record.Version+1, disabled
			if err := w.store.PutClient(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	follow("a client that is disabled", put(true), refused)
	follow("a client that is enabled", put(false), func() bool { return !refused() })
	signing := func() bool { return there.keyPublished(sharedKeys(t)[0].ID) }
	follow("a key that is destroyed", func() {
		if err := w.store.MoveKey(t.Context(), sharedKeys(t)[0].ID, "active", "retiring", w.clock.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.store.MoveKey(t.Context(), sharedKeys(t)[0].ID, "retiring", "destroyed", w.clock.Now()); err != nil {
			t.Fatal(err)
		}
	}, func() bool { return !signing() })
}

// keyPublished tells whether a key is in the key set.
func (c *client) keyPublished(id string) bool {
	c.w.t.Helper()
	request, err := http.NewRequest(http.MethodGet, c.w.issuer+"/jwks", nil)
	if err != nil {
		c.w.t.Fatal(err)
	}
	keys, _ := c.do(request).body["keys"].([]any)
	for _, key := range keys {
		if fields, ok := key.(map[string]any); ok && fields["kid"] == id {
			return true
		}
	}
	return false
}

// pushedID is the digest of the request_uri of a new request.
func (w *world) pushedID(c *client, nonce string) store.Digest {
	w.t.Helper()
	return store.DigestOf(c.push(c.proving("/par", claim("nonce", nonce))).text("request_uri"))
}

// sessionIn is the digest of the sign-in cookie that a browser has.
func (w *world) sessionIn(b *browser) store.Digest {
	w.t.Helper()
	for _, cookie := range b.http.Jar.Cookies(mustURL(w.t, w.issuer)) {
		if cookie.Name == "__Host-countersign-session" {
			return store.DigestOf(cookie.Value)
		}
	}
	w.t.Fatal("the browser has no session")
	return store.Digest{}
}
