package upgrade

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/devsetup"
	"countersign/internal/devsetup/setuptest"
)

// drain is how long a node still takes requests after SIGTERM: HAProxy looks five times a second.
const drain = "1500ms"

// balancer is HAProxy with TLS of its own, whose requests go to the two nodes by turns, and with connections passed through.
const balancer = `
global
    tune.ssl.cachesize 0
defaults
    timeout connect 5s
    timeout client 60s
    timeout server 60s
    timeout check 4s
    option httpchk GET /health/ready
    option redispatch
    balance roundrobin
    default-server check inter 200ms fall 2 rise 1 check-ssl verify none
frontend requests
    mode http
    bind 127.0.0.1:%[1]d ssl crt %[5]s
    default_backend nodes_http
backend nodes_http
    mode http
    server a 127.0.0.1:%[3]d ssl
    server b 127.0.0.1:%[4]d ssl
frontend through
    mode tcp
    bind 127.0.0.1:%[2]d
    default_backend nodes_tcp
backend nodes_tcp
    mode tcp
    server a 127.0.0.1:%[3]d
    server b 127.0.0.1:%[4]d
`

// installation is what the release before has made, with two nodes on one PostgreSQL behind HAProxy.
type installation struct {
	t      *testing.T
	folder string
	// demo is a client that is registered, and its user.
	demo   devsetup.Demo
	issuer string
	// requests and through are HAProxy's addresses, nodes those of the nodes.
	requests, through string
	nodes             [2]*node
}

// node is a place where a server runs, of one release or the other.
type node struct {
	name, file, address string
	running             *process
}

// process is a running program.
type process struct {
	t       *testing.T
	command *exec.Cmd
	log     buffer
	end     chan error
}

type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// run runs a program to its end and gives what it says.
func run(program string, arguments ...string) (string, error) {
	output, err := exec.Command(program, arguments...).CombinedOutput()
	return string(output), err
}

// install makes everything with a program: keys in SoftHSM2, users and clients, in an empty PostgreSQL.
func install(t *testing.T, program, database string) *installation {
	t.Helper()
	ports, err := setuptest.FreePorts(7)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, folder: filepath.Join(t.TempDir(), "etc"), issuer: fmt.Sprintf("https://localhost:%d", ports[0])}
	i.requests, i.through = fmt.Sprintf("127.0.0.1:%d", ports[0]), fmt.Sprintf("127.0.0.1:%d", ports[1])
	file := filepath.Join(i.folder, devsetup.ConfigName)
	initialise := []string{"init", "--dev", "--dir", i.folder, "--port", fmt.Sprint(ports[0]), "--mtls-port", fmt.Sprint(ports[6])}
	must := func(arguments ...string) {
		t.Helper()
		if output, err := run(program, arguments...); err != nil {
			t.Fatalf("%s: %v\n%s", arguments, err, output)
		}
	}
	must(initialise...)
	i.write("database-url", database+"\n")
	i.edit(file, file, `(?m)^# driver = "sqlite"\n`, "driver = \"postgres\"\n", `(?m)^file = "countersign.db"\n`, "url_file = \"database-url\"\n", `(?m)^# url_file = ""\n`, "")
	must("migrate", "up", "--config", file)
	must(initialise...)
	for n, name := range []string{"a", "b"} {
		one := &node{name: name, file: filepath.Join(i.folder, name+".toml"), address: fmt.Sprintf("127.0.0.1:%d", ports[2+n])}
		i.edit(file, one.file,
			fmt.Sprintf(`(?m)^address = "127\.0\.0\.1:%d"$`, ports[0]), fmt.Sprintf("address = %q", one.address),
			fmt.Sprintf(`(?m)^address = "127\.0\.0\.1:%d"$`, ports[6]), fmt.Sprintf("address = \"127.0.0.1:%d\"", ports[4+n]),
			`(?m)^drain_time = .*$`, fmt.Sprintf("drain_time = %q", drain),
			`(?m)^# node = ""$`, fmt.Sprintf("node = %q", name),
			`(?m)^# client_per_second = .*$`, "client_per_second = 100000")
		i.nodes[n] = one
	}
	settings, err := config.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	if i.demo, err = devsetup.LoadDemo(settings); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *installation) write(name, text string) string {
	i.t.Helper()
	file := filepath.Join(i.folder, name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		i.t.Fatal(err)
	}
	return file
}

// edit writes a configuration with other values: pairs of a pattern, which has to be there once, and what takes its place.
func (i *installation) edit(from, to string, pairs ...string) {
	i.t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		i.t.Fatal(err)
	}
	changed := string(text)
	for n := 0; n < len(pairs); n += 2 {
		pattern := regexp.MustCompile(pairs[n])
		if found := len(pattern.FindAllString(changed, -1)); found != 1 {
			i.t.Fatalf("%s is %d times in the configuration", pairs[n], found)
		}
		changed = pattern.ReplaceAllString(changed, pairs[n+1])
	}
	i.write(filepath.Base(to), changed)
}

// start starts a program and stops it with the test.
func start(t *testing.T, program string, arguments ...string) *process {
	t.Helper()
	p := &process{t: t, command: exec.Command(program, arguments...), end: make(chan error, 1)}
	p.command.Stdout, p.command.Stderr = &p.log, &p.log
	if err := p.command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.end <- p.command.Wait() }()
	t.Cleanup(func() { _ = p.command.Process.Kill() }) // it may have ended in order
	return p
}

// balance starts HAProxy.
func (i *installation) balance() *process {
	i.t.Helper()
	program := "haproxy"
	if _, err := exec.LookPath(program); err != nil {
		program = "/usr/sbin/haproxy"
	}
	var pair []byte
	for _, name := range []string{"tls/server.crt", "tls/server.key"} {
		text, err := os.ReadFile(filepath.Join(i.folder, name))
		if err != nil {
			i.t.Fatal(err)
		}
		pair = append(pair, text...)
	}
	port := func(address string) (port int) {
		_, text, _ := net.SplitHostPort(address)
		fmt.Sscan(text, &port)
		return port
	}
	file := i.write("haproxy.cfg", fmt.Sprintf(balancer, port(i.requests), port(i.through), port(i.nodes[0].address), port(i.nodes[1].address),
		i.write("pair.pem", string(pair))))
	p := start(i.t, program, "-db", "-f", file)
	for _, address := range []string{i.requests, i.through} {
		for n := 0; ; n++ {
			if c, err := net.Dial("tcp", address); err == nil {
				c.Close()
				break
			}
			if n == 200 {
				i.t.Fatalf("HAProxy does not listen on %s (apt-get install haproxy):\n%s", address, p.log.String())
			}
			time.Sleep(25 * time.Millisecond)
		}
	}
	return p
}

// serve starts a node with a program, and waits until it and HAProxy are ready for each other.
func (i *installation) serve(n *node, program string) {
	i.t.Helper()
	n.running = start(i.t, program, "serve", "--config", n.file)
	for range 400 {
		if strings.Contains(n.running.log.String(), "msg=ready") {
			time.Sleep(600 * time.Millisecond) // HAProxy looks five times a second
			return
		}
		select {
		case err := <-n.running.end:
			i.t.Fatalf("node %s ended: %v\n%s", n.name, err, n.running.log.String())
		case <-time.After(25 * time.Millisecond):
		}
	}
	i.t.Fatalf("node %s is not ready:\n%s", n.name, n.running.log.String())
}

// replace ends a node in order and starts it again with a program. It gives how many requests for tokens the former answered.
func (i *installation) replace(n *node, program string) (answered int) {
	i.t.Helper()
	former := n.running
	if err := former.command.Process.Signal(syscall.SIGTERM); err != nil {
		i.t.Fatal(err)
	}
	select {
	case err := <-former.end:
		if err != nil {
			i.t.Errorf("node %s ended with %v:\n%s", n.name, err, former.log.String())
		}
	case <-time.After(30 * time.Second):
		i.t.Fatalf("node %s does not end:\n%s", n.name, former.log.String())
	}
	i.serve(n, program)
	return former.answered()
}

// answered is how many requests for tokens a node has answered.
func (p *process) answered() int {
	return len(regexp.MustCompile(`(?m)msg=request .*route=/token .*status=200`).FindAllString(p.log.String(), -1))
}

// transport reaches the issuer at an address.
func (i *installation) transport(address string) *http.Transport {
	made := &http.Transport{TLSClientConfig: trusting(i.demo.Roots), ForceAttemptHTTP2: true, MaxIdleConnsPerHost: 4,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, address)
		}}
	i.t.Cleanup(made.CloseIdleConnections)
	return made
}
