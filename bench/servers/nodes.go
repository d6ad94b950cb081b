package servers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// Node is one process of Countersign. All nodes of a server have the same configuration and database, behind other ports.
type Node struct {
	server      *Server
	binary      string
	config, log string
	port        int
	mu          sync.Mutex
	process     *Process
}

// listeners finds the listeners of a configuration.
var listeners = regexp.MustCompile(`(?m)^address = "([^"]*):(\d+)"$`)

// serve starts the first node, at the ports of the configuration.
func (i *Installation) serve(ctx context.Context, s *Server) error {
	raw, err := os.ReadFile(i.Config)
	if err != nil {
		return err
	}
	first := listeners.FindSubmatch(raw)
	if first == nil {
		return errors.New("the configuration names no listener")
	}
	n := &Node{server: s, binary: i.lab.Binary, config: i.Config}
	if _, err := fmt.Sscan(string(first[2]), &n.port); err != nil {
		return err
	}
	return n.join(ctx, i.Folder)
}

// AddNode starts one more node, at ports of its own.
func (i *Installation) AddNode(ctx context.Context, s *Server) (*Node, error) {
	raw, err := os.ReadFile(i.Config)
	if err != nil {
		return nil, err
	}
	n := &Node{server: s, binary: i.lab.Binary}
	text := listeners.ReplaceAllStringFunc(string(raw), func(line string) string {
		port, portErr := freePort()
		if err = errors.Join(err, portErr); n.port == 0 {
			n.port = port // the first listener is the one without client certificates
		}
		return listeners.ReplaceAllString(line, fmt.Sprintf(`address = "${1}:%d"`, port))
	})
	if err != nil {
		return nil, err
	}
	n.config = filepath.Join(i.Folder, fmt.Sprintf("node-%d.toml", n.port))
	if err := os.WriteFile(n.config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	return n, n.join(ctx, i.Folder)
}

// join starts the node as one of its server's.
func (n *Node) join(ctx context.Context, folder string) error {
	n.log = filepath.Join(folder, fmt.Sprintf("node-%d.log", n.port))
	n.server.onClose(func() {
		if p := n.running(); p != nil {
			p.End(syscall.SIGTERM)
		}
	})
	if err := n.Start(ctx); err != nil {
		return err
	}
	n.server.serves(func() int { return n.running().ID() })
	n.server.Nodes = append(n.server.Nodes, n)
	return nil
}

func (n *Node) running() *Process {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.process
}

// Start starts the process, which must not run, and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	started, err := Run(exec.Command(n.binary, "serve", "--config", n.config), n.log)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.process = started
	n.mu.Unlock()
	through := n.Transport()
	defer through.CloseIdleConnections()
	return started.Await(ctx, 50*time.Millisecond, time.Minute, func(ctx context.Context) bool {
		return answers(ctx, through, n.server.Issuer+"/health/ready")
	})
}

// Kill kills the process (SIGKILL) and waits for its end.
func (n *Node) Kill() { n.running().End(syscall.SIGKILL) }

// Transport reaches this node by the issuer's name, as a load balancer would.
func (n *Node) Transport() *http.Transport {
	through := n.server.Transport()
	through.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", n.port))
	}
	return through
}

// TransportFrom reaches this node from another address of the loopback network.
func (n *Node) TransportFrom(address string) *http.Transport {
	through := n.Transport()
	from := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	through.DialContext = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return from.DialContext(ctx, network, fmt.Sprintf("127.0.0.1:%d", n.port))
	}
	return through
}
