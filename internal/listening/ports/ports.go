// Package ports keeps the listeners of the server as its configuration says, also when that changes while it runs: new addresses are
// opened before old ones are given up, new connections are answered as the new configuration says, and no request is lost.
package ports

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"countersign/internal/listening"
)

// Want is a listener that there should be.
type Want struct {
	// Key is that of the configuration which has the address.
	Key, Address string
	// Kind is what answers there, and Settings is a value that can be compared, of all by which connections are answered. Where one of
	// them differs from what is open at the address, new connections are answered by a new server.
	Kind     string
	Settings any
	// Secure has also a unix socket encrypted.
	Secure bool
	// Server makes what answers: over TLS, except on a unix socket.
	Server func() *http.Server
	// Wrap is around the connections that the server accepts; nil adds nothing.
	Wrap func(net.Listener) net.Listener
}

// Times are how long a listener that is given up accepts further connections, and how long its requests may take then.
type Times struct{ Drain, Shutdown time.Duration }

// Ports are the listeners of a server. Make them with [New].
type Ports struct {
	// times are those in use.
	times func() Times
	log   *slog.Logger

	// changing is held from [Ports.Prepare] to the end of the change.
	changing sync.Mutex

	mu   sync.Mutex
	open map[string]*port
	// serving is set while connections are accepted, and failed gets why a listener does not any more.
	serving bool
	failed  chan error
	// draining has all answers end their connections, and ended is set when nothing more is opened.
	draining, ended bool
	// retired are servers whose connections end one by one.
	retired map[*server]bool
	// ending is closed at the end; leaving waits for what is given up.
	ending  chan struct{}
	leaving sync.WaitGroup
}

// New makes ports of which none is open.
func New(times func() Times, log *slog.Logger) *Ports {
	return &Ports{
		times: times, log: log, open: map[string]*port{}, failed: make(chan error, 1), retired: map[*server]bool{}, ending: make(chan struct{}),
	}
}

// Change is a set of listeners that were opened, and are not in use yet.
type Change struct {
	ports  *Ports
	wanted []Want
	opened map[string]*port
	// revived are ports that were being given up, and are wanted again.
	revived map[string]*port
}

// Prepare opens the addresses of listeners that are not open. An error names the key of the configuration; then nothing has changed.
// Without one [Change.Use] or [Change.Drop] is to be called, and until then nobody else changes anything.
func (p *Ports) Prepare(ctx context.Context, wanted ...Want) (*Change, error) {
	p.changing.Lock()
	c := &Change{ports: p, wanted: wanted, opened: map[string]*port{}, revived: map[string]*port{}}
	for i, want := range wanted {
		if err := c.open(ctx, want, wanted[:i]); err != nil {
			c.Drop()
			return nil, err
		}
	}
	return c, nil
}

// open opens one listener, unless it is open.
func (c *Change) open(ctx context.Context, want Want, before []Want) error {
	p := c.ports
	for _, other := range before {
		if other.Address == want.Address && !anyPort(want.Address) {
			return fmt.Errorf("%s: %s is the address of %s too; choose another", want.Key, want.Address, other.Key)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if have := p.open[want.Address]; have != nil {
		if have.left != nil {
			have.stay()
			c.revived[want.Address] = have
		}
		return nil
	}
	listener, plain, err := listening.Open(ctx, want.Address)
	if errors.Is(err, syscall.EADDRINUSE) {
		if own := p.overlapping(want.Address); own != "" {
			return fmt.Errorf("%s: the server itself listens at %s, and gives that up only when %s is open; choose another port, or restart",
				want.Key, own, want.Address)
		}
	}
	if err != nil {
		return listening.Error(want.Key, want.Address, err)
	}
	c.opened[want.Address] = &port{Listener: listener, plain: plain && !want.Secure}
	return nil
}

// anyPort reports whether the system chooses the port.
func anyPort(address string) bool {
	_, number, err := net.SplitHostPort(address)
	return err == nil && number == "0"
}

// overlapping is an address of ours with the port of another.
func (p *Ports) overlapping(address string) string {
	_, number, err := net.SplitHostPort(address)
	for own := range p.open {
		if _, other, ownErr := net.SplitHostPort(own); err == nil && ownErr == nil && other == number {
			return own
		}
	}
	return ""
}

// Drop closes what was opened.
func (c *Change) Drop() {
	p := c.ports
	defer p.changing.Unlock()
	for _, opened := range c.opened {
		_ = opened.Close() // nobody has been promised anything
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for address, have := range c.revived {
		p.leave(address, have)
	}
}

// Use has the listeners as they should be from now on. Those at other addresses are given up after a while.
func (c *Change) Use() {
	p := c.ports
	defer p.changing.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		for _, opened := range c.opened {
			_ = opened.Close() // the server has ended meanwhile
		}
		return
	}
	for _, want := range c.wanted {
		have := p.open[want.Address]
		if have == nil {
			have = c.opened[want.Address]
			p.open[want.Address] = have
		}
		p.answer(have, want)
		if p.serving && !have.accepting {
			p.log.Info("listener opened", "key", want.Key, "address", want.Address)
			p.accept(have)
		}
	}
	for address, have := range p.open {
		gone := !slices.ContainsFunc(c.wanted, func(want Want) bool { return want.Address == address })
		if gone && have.left == nil {
			p.leave(address, have)
		}
	}
}

// answer has new connections of a port answered as they should be.
func (p *Ports) answer(have *port, want Want) {
	before := have.current.Load()
	if before != nil && before.kind == want.Kind && before.settings == want.Settings {
		before.closing.Store(p.draining)
		before.leaving.Store(false)
		return
	}
	made := newServer(want)
	made.closing.Store(p.draining)
	have.current.Store(made)
	go p.run(made, have.plain)
	// Those that were retired before this change have no connection any more that was not counted yet.
	maps.DeleteFunc(p.retired, func(s *server, _ bool) bool { return s.connections.Load() == 0 })
	if before != nil {
		p.retired[before] = true
		before.retire()
	}
}

// run has a server answer the connections that it is given.
func (p *Ports) run(s *server, plain bool) {
	var err error
	if plain {
		err = s.http.Serve(s.accepting)
	} else {
		err = s.http.ServeTLS(s.accepting, "", "")
	}
	if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
		p.fail(err)
	}
}

// fail ends [Ports.Serve].
func (p *Ports) fail(err error) {
	select {
	case p.failed <- err:
	default: // it ends already
	}
}

// accept accepts the connections of a port until it is closed.
func (p *Ports) accept(have *port) {
	have.accepting = true
	go func() {
		if err := have.accept(); err != nil {
			p.fail(fmt.Errorf("listener %s: %w", have.Addr(), err))
		}
	}()
}

// leave gives up a port: its answers end their connections and its readiness says so, and after the time for that it is closed.
func (p *Ports) leave(address string, have *port) {
	times, left := p.times(), make(chan struct{})
	have.left = left
	have.current.Load().closing.Store(true)
	have.current.Load().leaving.Store(true)
	p.log.Info("listener given up; draining", "address", address, "drain_time", times.Drain)
	p.leaving.Go(func() {
		over := time.NewTimer(times.Drain)
		defer over.Stop()
		select {
		case <-over.C:
		case <-p.ending:
			return // all are closed
		case <-left:
			return // it is wanted again
		}
		p.mu.Lock()
		if have.left != left {
			p.mu.Unlock()
			return
		}
		delete(p.open, address)
		last := have.current.Load()
		_ = have.Close() // it was told that it is given up
		p.retired[last] = true
		p.mu.Unlock()
		limited, cancel := context.WithTimeout(context.Background(), times.Shutdown)
		defer cancel()
		if err := last.http.Shutdown(limited); err != nil {
			p.log.Warn("requests aborted at shutdown timeout", "error", err.Error())
			_ = last.http.Close() // it was told why
		}
		p.log.Info("listener closed", "address", address)
	})
}

// Addr is the address that a listener of a kind is open at; nil when none is.
func (p *Ports) Addr(kind string) net.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, have := range p.open {
		if current := have.current.Load(); current.kind == kind && have.left == nil {
			return have.Addr()
		}
	}
	return nil
}

// Serve accepts connections until ctx ends or a listener fails, and returns why. What was accepted is answered until [Ports.End].
func (p *Ports) Serve(ctx context.Context) error {
	p.mu.Lock()
	p.serving = true
	for _, have := range p.open {
		p.accept(have)
	}
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil
	case err := <-p.failed:
		return err
	}
}

// Serving reports whether connections are accepted.
func (p *Ports) Serving() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving && !p.ended
}

// Failed gets why a listener fails after [Ports.Serve] has returned.
func (p *Ports) Failed() <-chan error { return p.failed }

// CloseConnections has each answer from now on end its connection.
func (p *Ports) CloseConnections() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draining = true
	for _, have := range p.open {
		have.current.Load().closing.Store(true)
	}
}

// End closes the listeners, and waits for requests in flight as long as ctx lasts.
func (p *Ports) End(ctx context.Context) {
	p.mu.Lock()
	p.ended = true
	close(p.ending)
	all := maps.Clone(p.retired)
	for _, have := range p.open {
		_ = have.Close() // the server ends
		if current := have.current.Load(); current != nil {
			all[current] = true
		}
	}
	p.mu.Unlock()
	var ends sync.WaitGroup
	for one := range all {
		ends.Go(func() {
			if err := one.http.Shutdown(ctx); err != nil {
				p.log.Warn("requests aborted at shutdown timeout", "error", err.Error())
			}
		})
	}
	ends.Wait()
	p.leaving.Wait()
}
