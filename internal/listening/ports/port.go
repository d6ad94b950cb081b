package ports

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// port is an address that is open.
type port struct {
	net.Listener
	// plain is a unix socket, on which nothing has to be encrypted.
	plain bool
	// current answers new connections.
	current atomic.Pointer[server]
	// accepting is set once connections are accepted, and left is there while the port is given up; the lock is that of all.
	accepting bool
	left      chan struct{}
}

// stay has a port that was given up go on.
func (h *port) stay() {
	if h.left != nil {
		close(h.left)
		h.left = nil
	}
}

// accept gives each connection to the server that is current when it comes, until the port is closed. As net/http does, it waits for a
// moment where there are too many open files and the like.
func (h *port) accept() error {
	const longest = time.Second
	var wait time.Duration
	for {
		connection, err := h.Accept()
		if err == nil {
			wait = 0
			h.give(connection)
			continue
		}
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if !passing(err) {
			return err
		}
		wait = min(max(2*wait, 5*time.Millisecond), longest)
		if log := h.current.Load().http.ErrorLog; log != nil {
			log.Printf("http: Accept error: %v; retrying in %v", err, wait)
		}
		time.Sleep(wait)
	}
}

// passing tells what ends by itself: too many open files, no memory, a client that was gone already.
func passing(err error) bool {
	return slices.ContainsFunc([]error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED,
		syscall.ECONNRESET, syscall.EINTR, os.ErrDeadlineExceeded}, func(one error) bool { return errors.Is(err, one) })
}

func (h *port) give(connection net.Conn) {
	for {
		current := h.current.Load()
		select {
		case current.given.connections <- connection:
			return
		case <-current.given.closed:
			if h.current.Load() == current { // it has ended, and with it the port
				_ = connection.Close()
				return
			}
		}
	}
}

// given are the connections that a server is given. It implements [net.Listener].
type given struct {
	connections chan net.Conn
	closed      chan struct{}
	once        sync.Once
}

// Accept implements [net.Listener].
func (g *given) Accept() (net.Conn, error) {
	select {
	case connection := <-g.connections:
		return connection, nil
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (g *given) Close() error {
	g.once.Do(func() { close(g.closed) })
	return nil
}

// Addr implements [net.Listener]: net/http asks for it to show it to handlers.
func (g *given) Addr() net.Addr { return &net.TCPAddr{} }

// server answers connections in one way.
type server struct {
	kind     string
	settings any
	http     *http.Server
	// given are the connections that it gets, and accepting is what wraps them.
	given     *given
	accepting net.Listener
	// closing has each answer end its connection.
	closing atomic.Bool
	// leaving has readiness say that its port is given up.
	leaving atomic.Bool
	// connections is how many are open.
	connections atomic.Int64
}

// newServer makes a server that answers nothing yet.
func newServer(want Want) *server {
	s := &server{kind: want.Kind, settings: want.Settings, http: want.Server(), given: &given{
		connections: make(chan net.Conn), closed: make(chan struct{}),
	}}
	s.accepting = s.given
	if want.Wrap != nil {
		s.accepting = want.Wrap(s.given)
	}
	s.http.Handler = s.answers(s.http.Handler)
	next := s.http.ConnState
	s.http.ConnState = func(connection net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.connections.Add(1)
		case http.StateClosed, http.StateHijacked:
			s.connections.Add(-1)
		}
		if next != nil {
			next(connection, state)
		}
	}
	return s
}

// retire has a server get no more connections. Those that it has end by their next answer, or when they have rested for too long.
func (s *server) retire() {
	s.closing.Store(true)
	_ = s.given.Close() // never fails
}

// answers has answers end their connections when they should: HTTP/1.1 by Connection: close, and HTTP/2 by GOAWAY, which net/http sends
// for that header. So connections end by an answer, and none is cut off under a request that is on its way.
func (s *server) answers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.closing.Load() {
			w.Header().Set("Connection", "close")
		}
		if s.leaving.Load() && strings.HasSuffix(r.URL.Path, "/health/ready") {
			w.Header().Set("Cache-Control", "no-store")
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, "{\"status\":\"draining\"}\n") // response already started; error ignored
			return
		}
		next.ServeHTTP(w, r)
	})
}
