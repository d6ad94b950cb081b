package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestRequestTellsNothing(t *testing.T) {
	var headers []http.Header
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		headers = append(headers, r.Header.Clone())
		http.SetCookie(w, &http.Cookie{Name: "track", Value: canary, Path: "/"})
	})
	client := server.client(Policy{})
	for _, accept := range []string{"application/json", ""} {
		if _, err := client.Get(t.Context(), server.address, accept); err != nil {
			t.Fatal(err)
		}
	}
	for i, accept := range []string{"application/json", ""} {
		want := http.Header{"User-Agent": {"Countersign"}, "Accept-Encoding": {"identity"}, "Connection": {"close"}}
		if accept != "" {
			want.Set("Accept", accept)
		}
		if fmt.Sprint(headers[i]) != fmt.Sprint(want) {
			t.Errorf("request %d: %v, want %v", i+1, headers[i], want)
		}
	}
	if count := server.connections.Load(); count != 2 {
		t.Errorf("%d connections for 2 exchanges", count)
	}
}

func TestAtMostSomeAtOnce(t *testing.T) {
	arrived, release := make(chan struct{}), make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) {
		arrived <- struct{}{}
		<-release
	})
	client := server.client(Policy{Timeout: time.Minute})
	var running sync.WaitGroup
	for range maxAtOnce {
		running.Go(func() {
			if _, err := client.Get(t.Context(), server.address, ""); err != nil {
				t.Error(err)
			}
		})
	}
	for range maxAtOnce {
		<-arrived
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := client.Get(ctx, server.address, "")
	refused(t, err, "too many")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v does not wrap the context's error", err)
	}
	if count := server.connections.Load(); count != maxAtOnce {
		t.Errorf("%d connections", count)
	}
	close(release)
	running.Wait()
	go func() { <-arrived }()
	if _, err := client.Get(t.Context(), server.address, ""); err != nil {
		t.Errorf("after all others have ended: %v", err)
	}
}

func TestGivenUp(t *testing.T) {
	arrived := make(chan struct{})
	server := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(arrived)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	_, err := server.client(Policy{}).Get(ctx, server.address, "")
	refused(t, err, "cancelled")
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestOtherAddressesAreTried: the first address of a name may be out of order.
func TestOtherAddressesAreTried(t *testing.T) {
	server := serve(t, answer("x"))
	client := server.client(Policy{})
	client.lookup = lookups([]string{"1.1.1.1", "8.8.8.8", "127.0.0.1"})
	var tried []string
	real := client.connect
	client.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		tried = append(tried, address)
		if !strings.HasPrefix(address, "127.") {
			return nil, &net.OpError{Op: "dial", Err: errors.New("refused")}
		}
		return real(ctx, network, address)
	}
	if _, err := client.Get(t.Context(), server.address, ""); err != nil {
		t.Error(err)
	}
	if want := []string{"1.1.1.1:" + server.port, "8.8.8.8:" + server.port, "127.0.0.1:" + server.port}; !slices.Equal(tried, want) {
		t.Errorf("tried %q", tried)
	}
	tried = nil
	client.lookup = lookups(slices.Repeat([]string{"1.1.1.1"}, 100))
	_, err := client.Get(t.Context(), server.address, "")
	refused(t, err, "no connection")
	if len(tried) != maxAttempts {
		t.Errorf("%d attempts", len(tried))
	}
}

func TestNamesThatDoNotResolve(t *testing.T) {
	client := New(Policy{Now: time.Now})
	client.connect = failOnConnect(t)
	for reason, lookup := range map[string]func(context.Context, string) ([]netip.Addr, error){
		"no address": func(context.Context, string) ([]netip.Addr, error) { return nil, nil },
		"does not exist": func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: canary, IsNotFound: true}
		},
		"could not be resolved": func(context.Context, string) ([]netip.Addr, error) {
			return nil, &net.DNSError{Err: canary, IsTemporary: true}
		},
	} {
		client.lookup = lookup
		_, err := client.Get(t.Context(), "https://keys.example/", "")
		refused(t, err, reason)
		if failure, _ := errors.AsType[*Error](err); failure.Host != name {
			t.Errorf("host %q", failure.Host)
		}
	}
}

func TestWhatIsNoHTTP(t *testing.T) {
	speak := func(t *testing.T, config *tls.Config, text string) *site {
		made := &site{}
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		made.setAddress(t, listener.Addr())
		if config != nil {
			made.roots = serve(t, answer("")).roots
			config.Certificates = []tls.Certificate{made.certificate(t, name, time.Now())}
			listener = tls.NewListener(listener, config)
		}
		t.Cleanup(func() { _ = listener.Close() })
		go func() {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			defer connection.Close()
			_, _ = connection.Read(make([]byte, 4096))
			_, _ = connection.Write([]byte(text))
		}()
		return made
	}
	for text, reason := range map[string]string{
		"HTTP/1.1 200 OK\r\n\r\n" + canary: "does not speak it",
		"220 " + canary + " ESMTP\r\n":     "does not speak it",
	} {
		server := speak(t, nil, text)
		_, err := server.client(Policy{}).Get(t.Context(), server.address, "")
		refused(t, err, reason)
	}
	for _, text := range []string{
		"", canary, "220 " + canary + "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + canary,
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n" + canary,
		"HTTP/1.1 200 OK\r\n" + canary + "\x00: x\r\n\r\n",
		strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: "+canary+"\r\n\r\n", 10000),
	} {
		server := speak(t, &tls.Config{}, text)
		_, err := server.client(Policy{}).Get(t.Context(), server.address, "")
		refused(t, err, "broke off")
	}
}

func TestMaxAge(t *testing.T) {
	for _, test := range []struct {
		values []string
		want   time.Duration
	}{
		{nil, 0},
		{[]string{""}, 0},
		{[]string{"max-age=60"}, time.Minute},
		{[]string{"Public, MAX-AGE=60 , must-revalidate"}, time.Minute},
		{[]string{`max-age="60"`}, time.Minute},
		{[]string{"public", "max-age=60"}, time.Minute},
		{[]string{"max-age=60, max-age=3600"}, time.Minute},
		{[]string{"s-maxage=60"}, 0},
		{[]string{"max-age=60, no-store"}, 0},
		{[]string{"no-store"}, 0},
		{[]string{"max-age=0"}, 0},
		{[]string{"max-age=0, max-age=60"}, 0},
		{[]string{"max-age"}, 0},
		{[]string{"max-age=-60"}, 0},
		{[]string{"max-age=1.5"}, 0},
		{[]string{"max-age=x"}, 0},
		{[]string{"max-age=2147483647"}, 2147483647 * time.Second},
		{[]string{"max-age=2147483648"}, 2147483647 * time.Second},
		{[]string{"max-age=99999999999999999999"}, 2147483647 * time.Second},
	} {
		header := http.Header{}
		for _, value := range test.values {
			header.Add("Cache-Control", value)
		}
		if got := maxAge(header); got != test.want {
			t.Errorf("%q: %v, want %v", test.values, got, test.want)
		}
	}
}

// TestSuites holds the suites against Go's, so that none is weaker than it looks.
func TestSuites(t *testing.T) {
	config := tlsConfig(Policy{})
	if config.MinVersion != tls.VersionTLS12 || config.InsecureSkipVerify || config.ClientSessionCache != nil {
		t.Errorf("%+v", config)
	}
	for _, suite := range config.CipherSuites {
		if text := tls.CipherSuiteName(suite); !strings.HasPrefix(text, "TLS_ECDHE_") || !strings.Contains(text, "_GCM_") {
			t.Error(text)
		}
	}
}
