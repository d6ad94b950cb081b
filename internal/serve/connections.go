package serve

import (
	"log/slog"
	"net"
	"net/http"
	"sync"
	"syscall"
	"time"

	"countersign/internal/address"
	"countersign/internal/config"
)

const (
	// reservedFiles is how many file descriptors are left to everything but connections of clients: files, what the server
	// fetches, and room to start a worker.
	reservedFiles = 96
	// filesPerToken is how many a token's worker takes while it is replaced.
	filesPerToken = 16
	// leastConnections are kept open whatever the limits are.
	leastConnections = 16
	// settled is how long a connection is left alone that has not asked for anything: its handshake takes a while.
	settled = time.Second
)

// mostConnections is how many connections of clients may be open at once: as configured, or as many as leave the process
// file descriptors to work with.
func mostConnections(c *config.Config) (int, error) {
	if c.Limits.Connections > 0 {
		return c.Limits.Connections, nil
	}
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err != nil {
		return 0, err
	}
	reserved := reservedFiles + c.Store.MaxConnections + filesPerToken*(1+len(c.Signer.Replicas))
	return max(leastConnections, int(min(files.Cur, 1<<20))-reserved), nil
}

// connections bounds the open connections of all listeners. At the bound the network with the most connections gives one up,
// the one that has rested longest; so whoever opens many shuts out nobody else.
type connections struct {
	most int
	now  func() time.Time
	log  *slog.Logger

	mu   sync.Mutex
	open map[*bounded]struct{}
	// networks counts the open connections of each network.
	networks map[string]int
	// complainedAt is when the log was last told of the bound.
	complainedAt time.Time
}

func newConnections(most int, now func() time.Time, log *slog.Logger) *connections {
	return &connections{most: most, now: now, log: log, open: map[*bounded]struct{}{}, networks: map[string]int{}}
}

// bounded is one connection.
type bounded struct {
	net.Conn
	all     *connections
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
func (a *connections) drop(b *bounded) {
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
	all *connections
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
func (a *connections) admit(accepted net.Conn) *bounded {
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
func (a *connections) victim(newcomer string) *bounded {
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
func (a *connections) complain() {
	if now := a.now(); a.complainedAt.IsZero() || now.Sub(a.complainedAt) >= time.Minute {
		a.complainedAt = now
		a.log.Warn("connection limit reached; resting connections are closed", "count", a.most)
	}
}

// watch is the ConnState of a server, before another or nil.
func (a *connections) watch(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(connection net.Conn, state http.ConnState) {
		a.state(connection, state)
		if next != nil {
			next(connection, state)
		}
	}
}

// state notes whether a connection is answered a request.
func (a *connections) state(connection net.Conn, state http.ConnState) {
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
