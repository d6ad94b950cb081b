package fapitest

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"countersign/fapi"
	"countersign/mtls"
	"countersign/signer"
	"countersign/store"
)

// Node is a further server of a world: the same issuer, database and HSM, but listeners, connections to the database and a
// clock of its own.
type Node struct {
	w      *World
	Clock  *Clock
	Store  store.Store
	Server *fapi.Server
	// listeners are the node's addresses by those of the issuer that they stand for.
	listeners map[string]string
}

// Node starts one; change, if it is not nil, alters its configuration.
func (w *World) Node(change func(*Config)) *Node {
	w.T.Helper()
	n := &Node{w: w, Clock: NewClock(w.Clock.Now()), listeners: map[string]string{}}
	n.Store = w.open(n.Clock.Now)
	config := w.Config
	config.Store, config.Now, config.ClientTrust.Now = n.Store, n.Clock.Now, n.Clock.Now
	var err error
	config.Signer, err = signer.New(context.Background(), signer.Config{Catalogue: Catalogue{n.Store}, Replicas: []signer.Replica{{Backend: w.Backend}}, Now: n.Clock.Now})
	if err != nil {
		w.T.Fatal(err)
	}
	if change != nil {
		change(&config)
	}
	server, err := fapi.New(context.Background(), config)
	if err != nil {
		w.T.Fatal(err)
	}
	n.Server = server
	certificate, _ := ServerCertificate(w.T)
	listen := func(handler http.Handler, mutual bool, address string) {
		listener := httptest.NewUnstartedServer(handler)
		listener.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, mutual)
		listener.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		listener.StartTLS()
		w.T.Cleanup(listener.Close)
		n.listeners[MustURL(w.T, address).Host] = listener.Listener.Addr().String()
	}
	listen(server.Handler(), false, w.Issuer)
	listen(server.MTLSHandler(), true, w.MTLSIssuer)
	return n
}

func (n *Node) transport(certificate *tls.Certificate) *http.Transport {
	config := &tls.Config{RootCAs: n.w.Roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	transport := &http.Transport{TLSClientConfig: config, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, n.listeners[address])
	}}
	n.w.T.Cleanup(transport.CloseIdleConnections)
	return transport
}

// Client is the client, sent to this node by whatever is in front of the nodes.
func (n *Node) Client(c *Client) *Client {
	at, over := *c, *c.HTTP
	over.Transport = n.transport(c.Certificate)
	at.HTTP = &over
	return &at
}

// Browser is the browser with its cookies, sent to this node.
func (n *Node) Browser(b *Browser) *Browser {
	over := *b.HTTP
	over.Transport = n.transport(nil)
	return &Browser{b.w, &over}
}

// SetTime moves the node's clock and the world's to one moment.
func (n *Node) SetTime(moment time.Time) {
	n.Clock.Advance(moment.Sub(n.Clock.Now()))
	n.w.Clock.Advance(moment.Sub(n.w.Clock.Now()))
}

// Concurrently makes all calls at the same time, as near as goroutines come to it, and returns the replies in their order.
func Concurrently(calls ...func() Reply) []Reply {
	replies := make([]Reply, len(calls))
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
