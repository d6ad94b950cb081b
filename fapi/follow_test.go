package fapi_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"countersign/fapi/fapitest"
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
	t.Parallel()
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
	w, url := fapitest.NewPostgresWorld(t, nil, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
	n := w.Node(func(c *fapitest.Config) {
		var err error
		c.Signer, err = signer.New(t.Context(), signer.Config{Catalogue: fapitest.Catalogue{Store: c.Store}, Replicas: []signer.Replica{{Backend: w.Backend}},
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
			w.Clock.Advance(now.Sub(last))
			n.Clock.Advance(now.Sub(last))
			last = now
		}
	}()
	c := w.Register("client-1", nil)
	there := n.Client(c)
	nonce := func(at *fapitest.Client) string { return at.Push(nil).Header.Get("DPoP-Nonce") }
	first := nonce(c)

	// Nonces, and what is never kept in memory, hold at once.
	fapitest.Good("", nil).Check(t, there.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", first))))
	b := w.Browser()
	authorize := func(at *fapitest.Client, b *fapitest.Browser) (string, bool) {
		pushed := at.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", first)))
		_, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
		return sentTo.Query().Get("code"), sentTo.Query().Get("code") != ""
	}
	code, ok := authorize(c, b)
	if !ok {
		t.Fatal("no code")
	}
	tokens := there.Redeem(code, c.ReplaceProof("/token", fapitest.SetClaim("nonce", first)))
	if tokens.Status != http.StatusOK {
		t.Fatalf("%d %s", tokens.Status, tokens.Raw)
	}
	if opened, err := n.Store.Open(t.Context(), pushedID(w, c, first), sessionIn(w, b)); err != nil || opened.Session == nil {
		t.Errorf("the sign-in of the other node: %v, %v", opened.Session, err)
	}
	if r := c.Revoke(tokens.Text("refresh_token"), c.ReplaceProof("/revoke", fapitest.SetClaim("nonce", first))); r.Status != http.StatusOK {
		t.Fatalf("revoke: %d %s", r.Status, r.Raw)
	}
	if r := there.Refresh(tokens.Text("refresh_token"), c.ReplaceProof("/token", fapitest.SetClaim("nonce", first))); r.Text("error") != "invalid_grant" {
		t.Errorf("after the other node's revocation: %d %s", r.Status, r.Raw)
	}

	if !how.none {
		var proxy *pgproxy.Proxy
		listening := postgres.Config{URL: url, Now: n.Clock.Now, DatabaseNow: w.Clock.Now}
		through(t, &proxy)(&listening)
		listening.MaxConnections = 1
		ears := fapitest.OpenPostgres(t, listening)
		told := make(chan struct{}, 1)
		go ears.Watch(ctx, func(change store.Change) {
			n.Server.OnChange(change)
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
			fapitest.Good("", nil).Check(t, there.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", first))))
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
		return there.Push(c.ReplaceProof("/par", fapitest.SetClaim("nonce", first))).Text("error") == "invalid_client"
	}
	record, err := w.Store.Client(t.Context(), c.ID)
	if err != nil {
		t.Fatal(err)
	}
	put := func(disabled bool) func() {
		return func() {
			record.Version, record.Disabled = record.Version+1, disabled
			if err := w.Store.PutClient(t.Context(), record); err != nil {
				t.Fatal(err)
			}
		}
	}
	follow("a client that is disabled", put(true), refused)
	follow("a client that is enabled", put(false), func() bool { return !refused() })
	signing := func() bool { return keyPublished(there, fapitest.SharedKeys(t)[0].ID) }
	follow("a key that is destroyed", func() {
		if err := w.Store.MoveKey(t.Context(), fapitest.SharedKeys(t)[0].ID, "active", "retiring", w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
		if err := w.Store.MoveKey(t.Context(), fapitest.SharedKeys(t)[0].ID, "retiring", "destroyed", w.Clock.Now()); err != nil {
			t.Fatal(err)
		}
	}, func() bool { return !signing() })
}

// keyPublished reports whether a key is in the key set.
func keyPublished(c *fapitest.Client, id string) bool {
	c.World.T.Helper()
	request, err := http.NewRequest(http.MethodGet, c.World.Issuer+"/jwks", nil)
	if err != nil {
		c.World.T.Fatal(err)
	}
	keys, _ := c.Do(request).Body["keys"].([]any)
	for _, key := range keys {
		if fields, ok := key.(map[string]any); ok && fields["kid"] == id {
			return true
		}
	}
	return false
}
