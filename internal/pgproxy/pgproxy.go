// Package pgproxy is a proxy in front of a PostgreSQL server, for tests and benchmarks: it counts round trips, and
// cuts or stalls connections.
package pgproxy

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
)

// Proxy forwards connections to one server. Make one with [Start].
type Proxy struct {
	folder   string
	server   string
	listener net.Listener
	trips    atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	// silent is closed when stalled connections may go on; nil when none are stalled.
	silent chan struct{}
	closed bool
}

// Start listens on a Unix socket in a new folder, like a server with that folder as unix_socket_directories, and
// forwards to the server in the folder given.
func Start(server string) (*Proxy, error) {
	folder, err := os.MkdirTemp("", "pgproxy")
	if err != nil {
		return nil, fmt.Errorf("pgproxy: %w", err)
	}
	const socket = ".s.PGSQL.5432"
	listener, err := net.Listen("unix", filepath.Join(folder, socket))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("pgproxy: %w", err), os.RemoveAll(folder))
	}
	p := &Proxy{folder: folder, server: filepath.Join(server, socket), listener: listener, conns: map[net.Conn]struct{}{}}
	go p.accept()
	return p, nil
}

// Host returns the value of host in a connection URL.
func (p *Proxy) Host() string { return p.folder }

// RoundTrips returns how often a client has sent after the server had: each time a client waits for a response.
func (p *Proxy) RoundTrips() int64 { return p.trips.Load() }

// Cut closes all connections. New ones are accepted.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close() // both sides notice
	}
}

// Silence stalls all responses of the server, like a network that drops packets, until resume is called. Connections
// stay open.
func (p *Proxy) Silence() (resume func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent := make(chan struct{})
	p.silent = silent
	return sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.silent = nil
		close(silent)
	})
}

// Close stops the proxy and closes its connections.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.Cut()
	return errors.Join(err, os.RemoveAll(p.folder))
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // it was closed
		}
		go p.serve(client)
	}
}

func (p *Proxy) serve(client net.Conn) {
	server, err := net.Dial("unix", p.server)
	if err != nil {
		_ = client.Close() // the client sees that the server is unreachable
		return
	}
	if !p.keep(client, server) {
		return
	}
	var answered atomic.Bool // whether the server has spoken since the client last did
	answered.Store(true)
	var both sync.WaitGroup
	both.Go(func() {
		pass(server, client, func() {
			if answered.Swap(false) {
				p.trips.Add(1)
			}
		})
	})
	both.Go(func() {
		pass(client, server, func() {
			p.mu.Lock()
			silent := p.silent
			p.mu.Unlock()
			if silent != nil {
				<-silent
			}
			answered.Store(true)
		})
	})
	both.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, client)
	delete(p.conns, server)
}

func (p *Proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, conn := range conns {
		if p.closed {
			_ = conn.Close() // too late
			continue
		}
		p.conns[conn] = struct{}{}
	}
	return !p.closed
}

// pass copies until either side ends, and then closes both. onData is called before each piece is forwarded.
func pass(to, from net.Conn, onData func()) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			onData()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
