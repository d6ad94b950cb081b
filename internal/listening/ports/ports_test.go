package ports_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/config/value"
	"countersign/internal/listening/ports"
	"countersign/internal/logbuffer"
)

// world has ports that are served, and clients of them.
type world struct {
	*testing.T
	*ports.Ports
	roots *x509.CertPool
	log   *logbuffer.Buffer
	stop  context.CancelFunc
	ended chan error
}

func newWorld(t *testing.T, drain time.Duration, first ...ports.Want) *world {
	t.Helper()
	w := &world{T: t, log: new(logbuffer.Buffer), ended: make(chan error, 1), roots: x509.NewCertPool()}
	w.Ports = ports.New(func() ports.Times { return ports.Times{Drain: drain, Shutdown: 10 * time.Second} }, slog.New(slog.NewTextHandler(w.log, nil)))
	w.change(first...)
	ctx, stop := context.WithCancel(context.Background())
	w.stop = stop
	go func() { w.ended <- w.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
		w.CloseConnections()
		limited, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		w.End(limited)
	})
	return w
}

// change has other listeners from now on.
func (w *world) change(wanted ...ports.Want) {
	w.Helper()
	changed, err := w.Prepare(w.Context(), wanted...)
	if err != nil {
		w.Fatal(err)
	}
	changed.Use()
}

// identity is a certificate for localhost, made once.
var identity = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"}, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots
})

// want is a listener that answers a word, after a while.
func want(address, word string, headerBytes int) ports.Want {
	certificate, _ := identity()
	return ports.Want{Key: "test.address", Address: address, Kind: "test", Settings: fmt.Sprint(word, headerBytes), Server: func() *http.Server {
		return &http.Server{
			MaxHeaderBytes: headerBytes, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 30 * time.Second,
			TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
			Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				_, _ = io.WriteString(w, word)
			}),
		}
	}}
}

// free is an address that nobody listens at.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func client(h2 bool) *http.Client {
	_, roots := identity()
	return &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{ForceAttemptHTTP2: h2, TLSClientConfig: &tls.Config{RootCAs: roots}}}
}

func ask(c *http.Client, address, path string) (string, error) {
	response, err := c.Post("https://"+address+path, "text/plain", struct{ io.Reader }{strings.NewReader("x")}) // which nobody can send again
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return fmt.Sprint(response.StatusCode, " ", string(text)), err
}

// load asks again and again, over connections that are kept, and returns how many requests were lost.
func load(t *testing.T, address func() string) (stop func()) {
	t.Helper()
	var ended atomic.Bool
	var sent, lost atomic.Int64
	var problem atomic.Pointer[string]
	var all sync.WaitGroup
	for n := range 8 {
		c := client(n%2 == 0)
		all.Go(func() {
			defer c.CloseIdleConnections()
			for !ended.Load() {
				sent.Add(1)
				if got, err := ask(c, address(), "/"); err != nil || !strings.HasPrefix(got, "200 ") {
					lost.Add(1)
					text := fmt.Sprint(got, err)
					problem.Store(&text)
				}
			}
		})
	}
	return func() {
		for began := time.Now(); sent.Load() < 100 && time.Since(began) < 20*time.Second; {
			time.Sleep(time.Millisecond)
		}
		ended.Store(true)
		all.Wait()
		if sent.Load() < 100 || lost.Load() > 0 {
			t.Errorf("%d requests, %d lost: %v", sent.Load(), lost.Load(), problem.Load())
			if text := problem.Load(); text != nil {
				t.Error(*text)
			}
		}
	}
}

// Covers: NM-194. Other settings are for new connections, and no request is lost on those that are open, which end one by one.
func TestSettings(t *testing.T) {
	at := free(t)
	w := newWorld(t, 0, want(at, "first", 16<<10))
	long := func(c *http.Client) int {
		request, err := http.NewRequest(http.MethodGet, "https://"+at+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-Long", strings.Repeat("x", 40<<10))
		response, err := c.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	stop := load(t, func() string { return at })
	t.Run("refuses a header that is too long", func(t *testing.T) {
		if status := long(client(false)); status != http.StatusRequestHeaderFieldsTooLarge {
			t.Error(status)
		}
	})
	t.Run("accepts it with other settings, on a new connection", func(t *testing.T) {
		w.change(want(at, "second", 64<<10))
		if status := long(client(false)); status != http.StatusOK {
			t.Error(status)
		}
	})
	t.Run("accepts a storm of changes under load without losing a request", func(t *testing.T) {
		for n := range 40 {
			w.change(want(at, fmt.Sprint("storm ", n), 32<<10))
			time.Sleep(5 * time.Millisecond)
		}
	})
	t.Run("accepts a connection that is kept: it is answered once more, and ends", func(t *testing.T) {
		kept := client(false)
		if got, err := ask(kept, at, "/"); err != nil || got != "200 storm 39" {
			t.Fatal(got, err)
		}
		w.change(want(at, "last", 32<<10))
		if got, err := ask(kept, at, "/"); err != nil || got != "200 storm 39" {
			t.Error(got, err)
		}
		if got, err := ask(kept, at, "/"); err != nil || got != "200 last" {
			t.Error(got, err)
		}
	})
	stop()
}

// Covers: NM-195. A new address is open before the old one is given up, which says so, answers for a while longer, and is closed. What
// cannot be opened changes nothing, and names its key.
func TestAddresses(t *testing.T) {
	first, second := free(t), free(t)
	w := newWorld(t, time.Second, want(first, "a", 8<<10))
	var current atomic.Pointer[string]
	current.Store(&first)
	stop := load(t, func() string { return *current.Load() })
	c := client(false)
	t.Run("refuses an address that another has, and goes on", func(t *testing.T) {
		other, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		fresh := free(t)
		_, err = w.Prepare(t.Context(), want(fresh, "a", 8<<10), want(other.Addr().String(), "a", 8<<10))
		if err == nil || !strings.Contains(err.Error(), "test.address: another program uses "+other.Addr().String()) {
			t.Errorf("%v", err)
		}
		if _, err := ask(c, fresh, "/"); err == nil {
			t.Error("half of it is open")
		}
		if got, err := ask(c, first, "/"); err != nil || got != "200 a" {
			t.Error(got, err)
		}
	})
	t.Run("refuses one that overlaps with its own, and two that are the same", func(t *testing.T) {
		_, port, err := net.SplitHostPort(first)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Prepare(t.Context(), want("0.0.0.0:"+port, "a", 8<<10)); err == nil || !strings.Contains(err.Error(), "the server itself listens at "+first) {
			t.Errorf("%v", err)
		}
		if _, err := w.Prepare(t.Context(), want(second, "a", 8<<10), want(second, "b", 8<<10)); err == nil || !strings.Contains(err.Error(), "is the address of test.address too") {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts another address, beside the old one for a while", func(t *testing.T) {
		w.change(want(second, "b", 8<<10))
		for address, word := range map[string]string{first: "200 a", second: "200 b"} {
			if got, err := ask(c, address, "/"); err != nil || got != word {
				t.Errorf("%s: %s %v", address, got, err)
			}
		}
		if got, err := ask(c, first, "/health/ready"); err != nil || !strings.HasPrefix(got, "503 ") {
			t.Errorf("the old one is ready: %s %v", got, err)
		}
		if got, err := ask(c, second, "/health/ready"); err != nil || got != "200 b" {
			t.Errorf("the new one is not: %s %v", got, err)
		}
		current.Store(&second)
		for range 400 {
			if strings.Contains(w.log.String(), "listener closed") {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if _, err := ask(client(false), first, "/"); err == nil {
			t.Error("the old address is open")
		}
	})
	t.Run("accepts one again that is being given up", func(t *testing.T) {
		w.change(want(first, "c", 8<<10))
		w.change(want(second, "b", 8<<10)) // both are open, and the first is given up
		dropped, err := w.Prepare(t.Context(), want(first, "c", 8<<10))
		if err != nil {
			t.Fatal(err)
		}
		dropped.Drop()
		w.change(want(first, "c", 8<<10), want(second, "b", 8<<10))
		time.Sleep(1500 * time.Millisecond) // longer than it is drained
		for address, word := range map[string]string{first: "200 c", second: "200 b"} {
			if got, err := ask(c, address, "/health/ready"); err != nil || got != word {
				t.Errorf("%s: %s %v", address, got, err)
			}
		}
	})
	stop()
}

// Covers: NM-195. A socket is given up and opened again; what is dropped is closed.
func TestSockets(t *testing.T) {
	folder := t.TempDir()
	at := func(name string) string { return value.SocketPrefix + filepath.Join(folder, name) }
	w := newWorld(t, 0, want(at("a"), "a", 8<<10))
	through := func(name string) (string, error) {
		c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(folder, name))
		}}}
		response, err := c.Get("http://socket/")
		if err != nil {
			return "", err
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return string(text), err
	}
	for _, name := range []string{"b", "a", "b"} {
		t.Run("accepts "+name, func(t *testing.T) {
			w.change(want(at(name), name, 8<<10))
			if got, err := through(name); err != nil || got != name {
				t.Error(got, err)
			}
			for range 200 {
				if strings.Count(w.log.String(), "listener closed") > 0 {
					break
				}
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	t.Run("refuses what was dropped", func(t *testing.T) {
		dropped, err := w.Prepare(t.Context(), want(at("c"), "c", 8<<10))
		if err != nil {
			t.Fatal(err)
		}
		dropped.Drop()
		if got, err := through("c"); err == nil {
			t.Error(got)
		}
	})
}

// Covers: NM-195. A change that comes while the server ends opens nothing, and what was begun is answered.
func TestEnd(t *testing.T) {
	at, later := free(t), free(t)
	p := ports.New(func() ports.Times { return ports.Times{Shutdown: 5 * time.Second} }, slog.New(slog.DiscardHandler))
	begun, more := make(chan struct{}), make(chan struct{})
	slow := want(at, "slow", 8<<10)
	made := slow.Server
	slow.Server = func() *http.Server {
		server := made()
		server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			close(begun)
			<-more
			_, _ = io.WriteString(w, "slow")
		})
		return server
	}
	opened, err := p.Prepare(t.Context(), slow)
	if err != nil {
		t.Fatal(err)
	}
	opened.Use()
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- p.Serve(ctx) }()
	answered := make(chan string, 1)
	go func() {
		got, err := ask(client(true), at, "/")
		answered <- fmt.Sprint(got, err)
	}()
	<-begun
	beside, err := p.Prepare(t.Context(), slow, want(later, "late", 8<<10))
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-served; err != nil {
		t.Fatal(err)
	}
	p.CloseConnections()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		p.End(t.Context())
	}()
	t.Run("accepts the end of what was begun", func(t *testing.T) {
		close(more)
		if got := <-answered; got != "200 slow<nil>" {
			t.Error(got)
		}
		<-ended
	})
	t.Run("refuses to open more", func(t *testing.T) {
		beside.Use()
		if got, err := ask(client(false), later, "/"); err == nil {
			t.Error(got)
		}
	})
}
