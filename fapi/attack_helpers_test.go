package fapi_test

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// node is a further server of a world: the same issuer, database and HSM, but listeners, connections to the database
// and a clock of its own.
type node struct {
	w      *world
	clock  *clock
	store  store.Store
	server *fapi.Server
	// listeners are the node's addresses by those of the issuer that they stand for.
	listeners map[string]string
}

// node starts one; change may alter its configuration.
func (w *world) node(change func(*fapiConfig)) *node {
	w.t.Helper()
	n := &node{w: w, clock: &clock{now: w.clock.Now()}, listeners: map[string]string{}}
	n.store = w.open(n.clock.Now)
	config := w.config
	config.Store, config.Now, config.ClientTrust.Now = n.store, n.clock.Now, n.clock.Now
	var err error
	config.Signer, err = signer.New(context.Background(), signer.Config{Catalogue: catalogue{n.store}, Replicas: []signer.Replica{{Backend: w.backend}}, Now: n.clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	if change != nil {
		change(&config)
	}
	server, err := fapi.New(context.Background(), config)
	if err != nil {
		w.t.Fatal(err)
	}
	n.server = server
	certificate, _ := serverCertificate(w.t)
	listen := func(handler http.Handler, mutual bool, address string) {
		listener := httptest.NewUnstartedServer(handler)
		listener.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, mutual)
		listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		listener.StartTLS()
		w.t.Cleanup(listener.Close)
		n.listeners[mustURL(w.t, address).Host] = listener.Listener.Addr().String()
	}
	listen(server.Handler(), false, w.issuer)
	listen(server.MTLSHandler(), true, w.mtls)
	return n
}

// transport makes connections to this node, whatever address of the issuer is asked for.
func (n *node) transport(certificate *tls.Certificate) *http.Transport {
	config := &tls.Config{RootCAs: n.w.roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, n.listeners[address])
	}}
	n.w.t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// here is the client, sent to this node by whatever stands in front of the nodes.
func (n *node) here(c *client) *client {
	at, over := *c, *c.http
	over.Transport = n.transport(c.certificate)
	at.http = &over
	return &at
}

// browser is the browser with its cookies, sent to this node.
func (n *node) browser(b *browser) *browser {
	over := *b.http
	over.Transport = n.transport(nil)
	return &browser{b.w, &over}
}

// at moves the node's clock and the world's to one moment.
func (n *node) at(moment time.Time) {
	n.clock.Advance(moment.Sub(n.clock.Now()))
	n.w.clock.Advance(moment.Sub(n.w.clock.Now()))
}

// atOnce makes all calls at the same time, as near as goroutines come to it, and gives the answers in their order.
func atOnce(calls ...func() reply) []reply {
	replies := make([]reply, len(calls))
	start := make(chan struct{})
	var wait sync.WaitGroup
	for i, call := range calls {
		wait.Go(func() {
			<-start
			replies[i] = call()
		})
	}
	close(start)
	wait.Wait()
	return replies
}

// won gives the answers that are no refusals, and checks that each of the others is the refusal named.
func won(t *testing.T, replies []reply, status int, code string) []reply {
	t.Helper()
	var winners []reply
	for _, r := range replies {
		if r.status == http.StatusOK || r.status == http.StatusCreated {
			winners = append(winners, r)
			continue
		}
		wantError(t, r, status, code)
	}
	return winners
}

// knowing gives a world another copy of a client that is registered elsewhere with the same keys.
func (w *world) knowing(c *client, change func(*client, map[string]any)) *client {
	w.t.Helper()
	return w.register(c.id, all(change, func(copied *client, m map[string]any) {
		copied.key, copied.proofKey, copied.certificate = c.key, c.proofKey, c.certificate
		if m["jwks"] != nil {
			m["jwks"] = keySet(c.key.PublicJWK())
		}
	}))
}
