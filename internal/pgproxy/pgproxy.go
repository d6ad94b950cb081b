// Package pgproxy stands between a client and a PostgreSQL server, for tests and benchmarks: it counts round trips, and
// cuts or silences connections.
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

// Proxy passes connections on to one server. Make one with [Start].
type Proxy struct {
	folder   string
	server   string
	listener net.Listener
	trips    atomic.Int64

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	// silent is closed when what was silenced may go on; nil when nothing is.
	silent chan struct{}
	closed bool
}

// Start listens in a new folder, as a server does whose unix_socket_directories it is, and passes what comes on to the
// server in the folder given.
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

// Host is what to put into a URL as host.
func (p *Proxy) Host() string { return p.folder }

// RoundTrips is how often a client has spoken after the server had: each time, somebody waits for an answer.
func (p *Proxy) RoundTrips() int64 { return p.trips.Load() }

// Cut ends every connection that there is. New ones are taken.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for conn := range p.conns {
		_ = conn.Close() // both sides notice
	}
}

// Silence keeps every answer of the server from coming through, as a network does that drops packets, until resume is
// called. Connections stay open.
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

// Close ends the proxy with its connections.
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
		_ = client.Close() // the client learns that there is nobody
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

// pass copies until either side ends, and then ends both. heard is called before each piece is passed on.
func pass(to, from net.Conn, heard func()) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			heard()
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
