// Package bounded bounds how many connections a server has open, so that nobody who opens many shuts out another.
package bounded

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"countersign/internal/address"
)

// settled is how long a connection is left alone that has not asked for anything: its handshake takes a while.
const settled = time.Second

// Connections bounds the open connections of all listeners. At the bound the network with the most connections gives one up,
// the one that has rested longest; so whoever opens many shuts out nobody else.
type Connections struct {
	now func() time.Time
	log *slog.Logger

	mu   sync.Mutex
	most int
	open map[*bounded]struct{}
	// networks counts the open connections of each network.
	networks map[string]int
	// complainedAt is when the log was last told of the bound.
	complainedAt time.Time
}

// New bounds the connections of all listeners to so many. now is the clock; log is told when the bound is reached.
func New(most int, now func() time.Time, log *slog.Logger) *Connections {
	return &Connections{most: most, now: now, log: log, open: map[*bounded]struct{}{}, networks: map[string]int{}}
}

// Limit changes how many connections may be open. More than that stay until they end.
func (a *Connections) Limit(most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most = most
}

// Listener accepts connections within the bound.
func (a *Connections) Listener(inner net.Listener) net.Listener { return boundedListener{inner, a} }

// bounded is one connection.
type bounded struct {
	net.Conn
	all     *Connections
	network string
	// busy reports that a request is being answered, since is when that changed. The lock is that of all.
	busy  bool
	since time.Time
}

// Close implements [net.Conn].
func (b *bounded) Close() error {
	b.all.mu.Lock()
	b.all.drop(b)
	b.all.mu.Unlock()
	return b.Conn.Close()
}

// drop forgets a connection.
func (a *Connections) drop(b *bounded) {
	if _, open := a.open[b]; !open {
		return
	}
	delete(a.open, b)
	if a.networks[b.network]--; a.networks[b.network] == 0 {
		delete(a.networks, b.network)
	}
}

// boundedListener accepts connections within the bound.
type boundedListener struct {
	net.Listener
	all *Connections
}

// Accept implements [net.Listener]. It never waits for room: a connection that there is no room for is closed, or another.
func (l boundedListener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if admitted := l.all.admit(accepted); admitted != nil {
			return admitted, nil
		}
		_ = accepted.Close() // nobody has been promised anything
	}
}

// admit takes a connection, or gives nil.
func (a *Connections) admit(accepted net.Conn) *bounded {
	one := &bounded{Conn: accepted, all: a, network: address.Network(accepted.RemoteAddr().String()), since: a.now()}
	a.mu.Lock()
	var given *bounded
	if len(a.open) >= a.most {
		given = a.victim(one.network)
		a.complain()
		if given == nil {
			a.mu.Unlock()
			return nil
		}
		a.drop(given)
	}
	a.open[one] = struct{}{}
	a.networks[one.network]++
	a.mu.Unlock()
	if given != nil {
		_ = given.Conn.Close()
	}
	return one
}

// victim chooses the connection that makes room for one of a network: one that rests, of the network with the most, which
// must have more than the newcomer's, or be it.
func (a *Connections) victim(newcomer string) *bounded {
	now := a.now()
	var found *bounded
	better := func(b *bounded) bool {
		if found == nil {
			return true
		}
		if mine, its := a.networks[b.network], a.networks[found.network]; mine != its {
			return mine > its
		}
		return b.since.Before(found.since)
	}
	for b := range a.open {
		fair := b.network == newcomer || a.networks[b.network] > a.networks[newcomer]+1
		if fair && !b.busy && now.Sub(b.since) >= settled && better(b) {
			found = b
		}
	}
	return found
}

// complain logs once a minute that the bound is reached.
func (a *Connections) complain() {
	if now := a.now(); a.complainedAt.IsZero() || now.Sub(a.complainedAt) >= time.Minute {
		a.complainedAt = now
		a.log.Warn("connection limit reached; resting connections are closed", "count", a.most)
	}
}

// Watch is the ConnState of a server, before another or nil.
func (a *Connections) Watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(connection net.Conn, state http.ConnState) {
		a.state(connection, state)
		if next != nil {
			next(connection, state)
		}
	}
}

// state notes whether a connection is answered a request.
func (a *Connections) state(connection net.Conn, state http.ConnState) {
	b := boundedOf(connection)
	if b == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b.busy, b.since = state == http.StateActive, a.now()
	if state == http.StateHijacked {
		a.drop(b)
	}
}

// boundedOf finds a connection of ours below TLS and PROXY protocol.
func boundedOf(connection net.Conn) *bounded {
	for {
		if b, ok := connection.(*bounded); ok {
			return b
		}
		inner, ok := connection.(interface{ NetConn() net.Conn })
		if !ok {
			return nil
		}
		connection = inner.NetConn()
	}
}
