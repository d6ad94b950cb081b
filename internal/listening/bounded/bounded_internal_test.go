package bounded

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"
)

// from is a connection from an address.
type from struct {
	net.Conn
	address string
	closed  bool
}

type remote string

func (a remote) Network() string { return "tcp" }
func (a remote) String() string  { return string(a) }

func (f *from) RemoteAddr() net.Addr { return remote(f.address) }
func (f *from) Close() error         { f.closed = true; return nil }

// TestConnectionsAreShared: at the limit room is made by a resting connection of the network with the most; nobody who
// opens many shuts out another, and no request under way is cut off.
//
// Covers: FD-107.
func TestConnectionsAreShared(t *testing.T) {
	now := time.Unix(1000, 0)
	var log bytes.Buffer
	a := New(10, func() time.Time { return now }, slog.New(slog.NewTextHandler(&log, nil)))
	open := func(network string) (*from, *bounded) {
		f := &from{address: network + ":1"}
		b := a.admit(f)
		return f, b
	}
	var flood []*from
	t.Run("accepts all below the limit", func(t *testing.T) {
		for range 10 {
			f, b := open("192.0.2.1")
			if b == nil {
				t.Fatal("refused")
			}
			flood = append(flood, f)
			now = now.Add(10 * time.Millisecond)
		}
	})
	if len(flood) < 10 {
		t.FailNow()
	}
	a.state(boundedFor(a, flood[0]), http.StateActive)
	t.Run("refuses one more while all others are new", func(t *testing.T) {
		if _, b := open("198.51.100.7"); b != nil {
			t.Error("accepted: a handshake of another is cut off")
		}
	})
	now = now.Add(2 * settled)
	var honest *from
	t.Run("accepts an honest client in place of the one of the flood that rested longest", func(t *testing.T) {
		var b *bounded
		if honest, b = open("198.51.100.7"); b == nil || flood[0].closed || !flood[1].closed {
			t.Errorf("%v, %t %t", b, flood[0].closed, flood[1].closed)
		}
	})
	t.Run("refuses the flood the place of another network", func(t *testing.T) {
		if _, b := open("192.0.2.1"); b == nil || honest.closed || !flood[2].closed {
			t.Error("a connection of the flood does not replace one of its own")
		}
	})
	t.Run("accepts an honest client up to its share", func(t *testing.T) {
		for range 4 {
			if _, b := open("198.51.100.7"); b == nil {
				t.Error("refused")
			}
		}
		if counts := fmt.Sprint(a.networks); counts != "map[192.0.2.1:5 198.51.100.7:5]" || len(a.open) != 10 || flood[0].closed {
			t.Errorf("%s, %d open; want five each, and the request under way left alone", counts, len(a.open))
		}
	})
	if lines := strings.Count(log.String(), "connection limit reached"); lines != 1 {
		t.Errorf("%d lines about it, want one a minute: %s", lines, &log)
	}
	if err := boundedFor(a, flood[0]).Close(); err != nil || len(a.open) != 9 || a.networks["192.0.2.1"] != 4 {
		t.Errorf("a closed connection counts: %v %v", err, a.networks)
	}
}

func boundedFor(a *Connections, f *from) *bounded {
	for b := range a.open {
		if b.Conn == net.Conn(f) {
			return b
		}
	}
	return nil
}

// TestFloodOfConnections: a server whose connections are all taken by one who does nothing answers another, and still opens
// files.
//
// Covers: FD-107.
func TestFloodOfConnections(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := New(20, time.Now, slog.New(slog.DiscardHandler))
	server := &http.Server{ConnState: a.state, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") })}
	go func() { _ = server.Serve(boundedListener{inner, a}) }()
	defer server.Close()
	for range 60 {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	time.Sleep(settled + 100*time.Millisecond)
	response, err := http.Get("http://" + inner.Addr().String())
	if err != nil {
		t.Fatalf("a request beside the flood: %v", err)
	}
	response.Body.Close()
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) > 20 {
		t.Errorf("%d connections are open, the limit is 20", len(a.open))
	}
	if f, err := os.Open(os.DevNull); err != nil {
		t.Error(err)
	} else {
		f.Close()
	}
}
