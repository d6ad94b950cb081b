package main

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/internal/devsetup"
)

// installation is what `init --dev` makes, in a folder of its own and on free ports.
type installation struct {
	t       *testing.T
	folder  string
	address string // of the main listener
	mtls    string // of the other
	// demoPort is where the demo waits for its browser.
	demoPort string
	client   *http.Client
	roots    *x509.CertPool
}

func newInstallation(t *testing.T, arguments ...string) *installation {
	t.Helper()
	ports, err := freePorts(3)
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{t: t, folder: filepath.Join(t.TempDir(), "local"), roots: x509.NewCertPool()}
	i.address, i.mtls, i.demoPort = "localhost:"+ports[0], "localhost:"+ports[1], ports[2]
	output, err := exec.Command("countersign", append([]string{"init", "--dev", "--dir", i.folder,
		"--port", ports[0], "--mtls-port", ports[1], "--demo-port", ports[2]}, arguments...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	authority, err := os.ReadFile(filepath.Join(i.folder, "tls", "ca.crt"))
	if err != nil || !i.roots.AppendCertsFromPEM(authority) {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	i.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	return i
}

// freePorts finds ports that nobody listens on.
func freePorts(count int) ([]string, error) {
	var ports []string
	for range count {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer listener.Close() // all at once, so that no two are the same
		ports = append(ports, strconv.Itoa(listener.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

func (i *installation) config() string { return filepath.Join(i.folder, devsetup.ConfigName) }

// running is a serving process.
type running struct {
	t    *testing.T
	cmd  *exec.Cmd
	logs *logBuffer
	end  chan error
}

type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// serve starts the server and waits until it is ready.
func (i *installation) serve(environment ...string) *running {
	i.t.Helper()
	return i.serveUntil("msg=ready", environment...)
}

// serveUntil starts the server and waits for a text in its log.
func (i *installation) serveUntil(text string, environment ...string) *running {
	i.t.Helper()
	return i.serveConfig(i.config(), text, environment...)
}

// serveConfig is serveUntil with another configuration.
func (i *installation) serveConfig(file, text string, environment ...string) *running {
	i.t.Helper()
	r := &running{t: i.t, logs: new(logBuffer), end: make(chan error, 1)}
	r.cmd = exec.Command("countersign", "serve", "--config", file)
	r.cmd.Env = append(os.Environ(), environment...)
	r.cmd.Stdout, r.cmd.Stderr = r.logs, r.logs
	if err := r.cmd.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() { r.end <- r.cmd.Wait() }()
	i.t.Cleanup(func() { _ = r.cmd.Process.Kill() }) // it may have ended as it should
	for range 200 {
		if strings.Contains(r.logs.String(), text) {
			return r
		}
		select {
		case err := <-r.end:
			i.t.Fatalf("the server ended: %v\n%s", err, r.logs)
		case <-time.After(50 * time.Millisecond):
		}
	}
	i.t.Fatalf("the server does not log %q:\n%s", text, r.logs)
	return nil
}

// wait gives the exit code.
func (r *running) wait() int {
	r.t.Helper()
	select {
	case err := <-r.end:
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		} else if err != nil {
			r.t.Fatal(err)
		}
		return 0
	case <-time.After(30 * time.Second):
		r.t.Fatalf("the server does not end:\n%s", r.logs)
		return -1
	}
}

func (r *running) signal(s os.Signal) {
	r.t.Helper()
	if err := r.cmd.Process.Signal(s); err != nil {
		r.t.Fatal(err)
	}
}

func (i *installation) issuer() string {
	i.t.Helper()
	response, err := i.client.Get("https://" + i.address + "/.well-known/openid-configuration")
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	var document struct {
		Issuer  string            `json:"issuer"`
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil {
		i.t.Fatal(err)
	}
	if got, want := document.Aliases["token_endpoint"], "https://"+i.mtls+"/token"; got != want {
		i.t.Errorf("the token endpoint for client certificates is %q, want %q", got, want)
	}
	return document.Issuer
}

func TestServe(t *testing.T) {
	i := newInstallation(t)
	socket := notifySocket(t)
	server := i.serve("NOTIFY_SOCKET=" + socket.name)
	if got, want := i.issuer(), "https://"+i.address; got != want {
		t.Errorf("the issuer is %q, want %q", got, want)
	}
	socket.expect("READY=1")

	// The listener for client certificates asks for one, the other does not.
	for address, wanted := range map[string]bool{i.address: false, i.mtls: true} {
		if got := i.asksForCertificate(address); got != wanted {
			t.Errorf("%s asks for a certificate: %v, want %v", address, got, wanted)
		}
	}
	i.refusesOldTLS()

	output, err := exec.Command("countersign", "doctor", "--config", i.config()).CombinedOutput()
	if err != nil || strings.Count(string(output), "is this server's, and it answers") != 2 {
		t.Errorf("doctor: %v\n%s", err, output)
	}
	output, err = exec.Command("countersign", "serve", "--config", i.config()).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitError || !strings.Contains(string(output), "another program uses") {
		t.Errorf("a second server: %v\n%s", err, output)
	}

	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("SIGTERM ended the server with %d:\n%s", code, server.logs)
	}
	socket.expect("STOPPING=1")
	if !strings.Contains(server.logs.String(), "msg=stopped") {
		t.Errorf("the server did not stop in order:\n%s", server.logs)
	}
}

// TestDemo goes through the whole flow with the clients and users that init made.
func TestDemo(t *testing.T) {
	i := newInstallation(t)
	demo := func(arguments ...string) (string, int) {
		command := exec.Command("countersign", append([]string{"demo", "--auto", "--config", i.config(), "--port", i.demoPort}, arguments...)...)
		output, _ := command.CombinedOutput() // the exit code says it
		return string(output), command.ProcessState.ExitCode()
	}
	if output, code := demo(); code != exitError || !strings.Contains(output, "is it running") {
		t.Errorf("without a server the demo ends with %d:\n%s", code, output)
	}
	server := i.serve()
	for _, user := range []string{"alice", "bob"} {
		output, code := demo("--user", user)
		if code != 0 || !strings.Contains(output, "Everyday account") {
			t.Errorf("the demo of %s ends with %d:\n%s\n%s", user, code, output, server.logs)
		}
	}
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
	password, err := os.ReadFile(filepath.Join(i.folder, "demo", "password"))
	if err != nil {
		t.Fatal(err)
	}
	// No JWT but a checkpoint, which everybody may read, no request_uri and no password is logged.
	logged := regexp.MustCompile(`(?m)^.*audit checkpoint.*$`).ReplaceAllString(server.logs.String(), "")
	for _, secret := range []string{"eyJ", "urn:ietf:params:oauth:request_uri:", strings.TrimSpace(string(password))} {
		if strings.Contains(logged, secret) {
			t.Errorf("the log holds %s:\n%s", secret, server.logs)
		}
	}
}

// TestServeAgainAfterKill starts on what a killed server left.
func TestServeAgainAfterKill(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	issuer := i.issuer()
	server.signal(syscall.SIGKILL)
	server.wait()
	i.client.CloseIdleConnections()
	server = i.serve()
	if got := i.issuer(); got != issuer {
		t.Errorf("the issuer was %q and is %q", issuer, got)
	}
	server.signal(os.Interrupt)
	if code := server.wait(); code != 0 {
		t.Errorf("SIGINT ended the server with %d:\n%s", code, server.logs)
	}
}

// TestDrain answers a request that was under way when SIGTERM came, and refuses new connections.
func TestDrain(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	connection, err := tls.Dial("tcp", i.address, &tls.Config{RootCAs: i.roots, NextProtos: []string{"http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if _, err := io.WriteString(connection, "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 3\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	time.Sleep(200 * time.Millisecond) // the server has to have seen the header
	server.signal(syscall.SIGTERM)
	for range 100 {
		if strings.Contains(server.logs.String(), "msg=\"stopping") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	accepted := true
	for until := time.Now().Add(5 * time.Second); accepted && time.Now().Before(until); time.Sleep(20 * time.Millisecond) {
		late, err := tls.Dial("tcp", i.address, &tls.Config{RootCAs: i.roots})
		if accepted = err == nil; accepted {
			late.Close()
		}
	}
	if accepted {
		t.Error("new connections are accepted while the server stops")
	}
	if _, err := io.WriteString(connection, "a=b"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatalf("the request under way was not answered: %v\n%s", err, server.logs)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized { // there is no client authentication in it
		t.Errorf("the request under way was answered with %d", response.StatusCode)
	}
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
}

// asksForCertificate looks at the handshake.
func (i *installation) asksForCertificate(address string) bool {
	i.t.Helper()
	asked := false
	connection, err := tls.Dial("tcp", address, &tls.Config{RootCAs: i.roots, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		asked = true
		return new(tls.Certificate), nil
	}})
	if err != nil {
		i.t.Fatal(err)
	}
	defer connection.Close()
	return asked
}

// refusesOldTLS: TLS 1.1 and suites without forward secrecy (FAPI 2.0 Security Profile §5.2.2).
func (i *installation) refusesOldTLS() {
	i.t.Helper()
	for name, config := range map[string]*tls.Config{
		"TLS 1.1":               {MinVersion: tls.VersionTLS11, MaxVersion: tls.VersionTLS11},
		"no forward secrecy":    {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256}},
		"CBC":                   {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA}},
		"not recommended suite": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}},
	} {
		config.RootCAs = i.roots
		for _, address := range []string{i.address, i.mtls} {
			if connection, err := tls.Dial("tcp", address, config); err == nil {
				i.t.Errorf("%s accepts %s", address, name)
				connection.Close()
			}
		}
	}
	config := &tls.Config{RootCAs: i.roots, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}}
	connection, err := tls.Dial("tcp", i.address, config)
	if err != nil {
		i.t.Fatalf("a recommended suite is refused: %v", err)
	}
	connection.Close()
}

// socket stands in for systemd.
type socket struct {
	t          *testing.T
	name       string
	connection *net.UnixConn
}

func notifySocket(t *testing.T) *socket {
	t.Helper()
	folder, err := os.MkdirTemp("", "notify") // t.TempDir may be longer than a socket's name can be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	name := filepath.Join(folder, "s")
	connection, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return &socket{t, name, connection}
}

func (s *socket) expect(want string) {
	s.t.Helper()
	buffer := make([]byte, 100)
	err := s.connection.SetReadDeadline(time.Now().Add(10 * time.Second))
	count := 0
	if err == nil {
		count, err = s.connection.Read(buffer)
	}
	if got := string(buffer[:count]); err != nil || got != want {
		s.t.Errorf("systemd is sent %q, want %q (%v)", got, want, fmt.Sprint(err))
	}
}
