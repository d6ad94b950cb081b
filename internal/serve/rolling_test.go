package serve_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
)

// rollingHAProxy passes connections through on one port and requests on the other, to two nodes that are asked for their
// readiness: the settings of docs/operations.md, faster.
const rollingHAProxy = `
global
    tune.ssl.cachesize 0
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 4s
    option httpchk GET /health/ready
    default-server check inter 200ms fall 2 rise 1 check-ssl verify none
frontend through
    mode tcp
    bind 127.0.0.1:%[1]d
    default_backend nodes_tcp
backend nodes_tcp
    mode tcp
    option redispatch
    server a 127.0.0.1:%[3]d
    server b 127.0.0.1:%[4]d
frontend requests
    mode http
    bind 127.0.0.1:%[2]d
    default_backend nodes_http
backend nodes_http
    mode http
    option redispatch
    server a 127.0.0.1:%[3]d ssl
    server b 127.0.0.1:%[4]d ssl
`

// TestRollingRestarts: two nodes behind a real HAProxy are restarted three times each under load, and no request is lost:
// neither where HAProxy passes connections through nor where it passes requests, by HTTP/1.1 and HTTP/2.
//
// Covers: FD-106.
func TestRollingRestarts(t *testing.T) {
	program := "haproxy"
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/sbin/haproxy"
	}
	i := setuptest.New(t)
	ports, err := setuptest.FreePorts(6)
	if err != nil {
		t.Fatal(err)
	}
	nodes := [2]*config.Config{}
	for n := range nodes {
		c := *i.Config
		c.Audit.Node = fmt.Sprint("node-", n)
		c.Listen.Address, c.ListenMTLS.Address = fmt.Sprintf("127.0.0.1:%d", ports[2+n]), fmt.Sprintf("127.0.0.1:%d", ports[4+n])
		c.Limits.DrainTime = config.Duration(2 * time.Second)
		nodes[n] = &c
	}
	running := [2]*running{start(t, nodes[0]), start(t, nodes[1])}
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, fmt.Appendf(nil, rollingHAProxy, ports[0], ports[1], ports[2], ports[3]), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	output := new(logbuffer.Buffer)
	proxy := exec.CommandContext(ctx, program, "-db", "-f", file)
	proxy.Stdout, proxy.Stderr = output, output
	if err := proxy.Start(); err != nil {
		t.Fatalf("%v; apt-get install haproxy", err)
	}
	defer func() {
		cancel()
		_ = proxy.Wait() // it was killed
	}()

	trust := func(protocol string) *http.Transport {
		return &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: i.Roots, ServerName: "localhost", NextProtos: []string{protocol}}, ForceAttemptHTTP2: protocol == "h2",
			MaxIdleConnsPerHost: 4,
		}
	}
	var sent, lost atomic.Int64
	var stop atomic.Bool
	var all sync.WaitGroup
	for name, way := range map[string]struct {
		address   string
		transport *http.Transport
	}{
		"passed through, HTTP/1.1": {fmt.Sprintf("https://127.0.0.1:%d", ports[0]), trust("http/1.1")},
		"passed through, HTTP/2":   {fmt.Sprintf("https://127.0.0.1:%d", ports[0]), trust("h2")},
		"requests passed on":       {fmt.Sprintf("http://127.0.0.1:%d", ports[1]), &http.Transport{MaxIdleConnsPerHost: 4}},
	} {
		defer way.transport.CloseIdleConnections()
		client := &http.Client{Transport: way.transport, Timeout: 10 * time.Second}
		reachable(t, way.address, output)
		for worker := range 4 {
			all.Go(func() {
				for n := 0; !stop.Load(); n++ {
					method, want := http.MethodGet, http.StatusOK
					if n%2 == 0 {
						method, want = http.MethodPost, http.StatusMethodNotAllowed
					}
					if status, err := once(client, method, way.address+"/.well-known/openid-configuration"); err != nil || status != want {
						lost.Add(1)
						t.Errorf("%s, worker %d: %s was answered %d, %v", name, worker, method, status, err)
					}
					sent.Add(1)
					time.Sleep(time.Duration(5+worker) * time.Millisecond)
				}
			})
		}
	}
	for restart := range 6 {
		n := restart % 2
		running[n].stop()
		if err := running[n].ended(); err != nil {
			t.Error(err)
		}
		running[n] = start(t, nodes[n])
		time.Sleep(time.Second) // until HAProxy has seen it
	}
	stop.Store(true)
	all.Wait()
	t.Run("accepts every request of 6 restarts", func(t *testing.T) {
		t.Logf("%d requests, %d lost", sent.Load(), lost.Load())
		if sent.Load() < 1000 || lost.Load() > 0 {
			t.Errorf("%d requests were sent, %d of them lost; want at least 1000, and none", sent.Load(), lost.Load())
		}
	})
}

// once sends a request and reads its answer.
func once(client *http.Client, method, address string) (int, error) {
	var body io.Reader
	if method == http.MethodPost {
		// A client sends this again only where the server says that it has not begun with it (RFC 9113 §6.8).
		body = strings.NewReader("a=b")
	}
	request, err := http.NewRequest(method, address, body)
	if err != nil {
		return 0, err
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// reachable waits until something listens.
func reachable(t *testing.T, address string, output *logbuffer.Buffer) {
	t.Helper()
	_, host, _ := strings.Cut(address, "://")
	for range 200 {
		if c, err := net.Dial("tcp", host); err == nil {
			c.Close()
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("nothing listens on %s: %s", address, output)
}

// TestAnswersEndConnectionsWhileDraining: in HTTP/1.1 by a header, in HTTP/2 by GOAWAY; readiness says draining meanwhile.
//
// Covers: FD-106.
func TestAnswersEndConnectionsWhileDraining(t *testing.T) {
	i := setuptest.New(t)
	i.Config.Limits.DrainTime = config.Duration(3 * time.Second)
	server := start(t, i.Config)
	for _, protocol := range []string{"http/1.1", "h2"} {
		var dialled atomic.Int64
		transport := &http.Transport{
			TLSClientConfig:   &tls.Config{RootCAs: i.Roots, NextProtos: []string{protocol}},
			ForceAttemptHTTP2: protocol == "h2",
			DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
				dialled.Add(1)
				return new(net.Dialer).DialContext(ctx, network, address)
			},
		}
		defer transport.CloseIdleConnections()
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		if status, err := once(client, http.MethodGet, i.Config.Issuer+"/health/live"); err != nil || status != http.StatusOK {
			t.Fatalf("%s: %d %v", protocol, status, err)
		}
		if protocol == "http/1.1" {
			server.stop()
			server.logs("draining; readiness reports not ready")
		}
		t.Run("refuses to be ready while draining, over "+protocol, func(t *testing.T) {
			response, err := client.Get(i.Config.Issuer + "/health/ready")
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			response.Body.Close()
			if err != nil || response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(string(body), "draining") {
				t.Errorf("%s %s %v", response.Status, body, err)
			}
			if protocol == "http/1.1" && !response.Close {
				t.Error("the answer does not end its connection")
			}
			if protocol == "h2" && response.ProtoMajor != 2 {
				t.Errorf("the answer is %s", response.Proto)
			}
		})
		t.Run("accepts requests while draining, over "+protocol, func(t *testing.T) {
			for range 3 { // each on a connection of its own
				if status, err := once(client, http.MethodGet, i.Config.Issuer+"/health/live"); err != nil || status != http.StatusOK {
					t.Errorf("requests are no longer answered: %d %v", status, err)
				}
			}
		})
		t.Run("refuses a further request on a connection while draining, over "+protocol, func(t *testing.T) {
			if n := dialled.Load(); n < 4 {
				t.Errorf("five requests, four of them while draining, took %d connections", n)
			}
		})
	}
	if err := server.ended(); err != nil {
		t.Error(err)
	}
}
