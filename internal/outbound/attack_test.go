package outbound

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// TestAttack29: server-side request forgery by an address that a client registered.
func TestAttack29(t *testing.T) {
	t.Run("accepts a document over https", func(t *testing.T) {
		server := serve(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Cache-Control", "public, max-age=600")
			w.Header().Set("Content-Type", "application/jwk-set+json")
			_, _ = io.WriteString(w, r.Method+" "+r.URL.RequestURI()+" "+r.Host)
		})
		document, err := server.client(Policy{}).Get(t.Context(), server.address+"/jwks?a=b", "application/json")
		if err != nil {
			t.Fatal(err)
		}
		if want := "GET /jwks?a=b " + hostOf(t, server.address); string(document.Body) != want {
			t.Errorf("body %q, want %q", document.Body, want)
		}
		if document.MaxAge != 10*time.Minute || document.ContentType != "application/jwk-set+json" {
			t.Errorf("%+v", document)
		}
	})
	t.Run("accepts an IP address that the certificate names", func(t *testing.T) {
		server := serveTLS(t, &tls.Config{}, "127.0.0.1", time.Now(), answer("x"))
		if _, err := server.client(Policy{}).Get(t.Context(), "https://127.0.0.1:"+server.port, ""); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses redirects", refusesRedirects)
	t.Run("refuses names and literals of addresses that are not public", refusesAddresses)
	t.Run("refuses a name with one public and one private address", func(t *testing.T) {
		for _, second := range []string{"10.0.0.1", "169.254.169.254", "127.0.0.1"} {
			client := New(Policy{Now: time.Now})
			client.lookup = lookups([]string{"1.1.1.1", second})
			client.connect = failOnConnect(t)
			_, err := client.Get(t.Context(), "https://attacker.example/", "")
			refused(t, err, second+" is ")
		}
	})
	t.Run("refuses the real name of this machine", func(t *testing.T) {
		server := serve(t, answer(canary))
		client := New(Policy{Roots: server.roots, Now: time.Now}) // with the system's resolver
		_, err := client.Get(t.Context(), "https://localhost:"+server.port, "")
		refused(t, err, "loopback")
		if count := server.connections.Load(); count != 0 {
			t.Errorf("%d connections", count)
		}
	})
	t.Run("refuses DNS rebinding", refusesRebinding)
	t.Run("refuses at the socket what passed the resolver", refusesAtTheSocket)
	t.Run("refuses slow servers", refusesSlowServers)
	t.Run("refuses large answers", refusesLargeAnswers)
	t.Run("refuses compression", refusesCompression)
	t.Run("refuses what TLS does not vouch for", refusesTLS)
	t.Run("refuses addresses that are no https URLs", func(t *testing.T) {
		server := serve(t, answer(canary))
		host := hostOf(t, server.address)
		for address, reason := range map[string]string{
			"http://" + host + "/":        "must begin with https://",
			"https://user:pw@" + host:     "user information",
			"https://@" + host:            "user information",
			"https://" + host + "/#x":     "fragment",
			"//" + host:                   "must begin with https://",
			"file:///etc/passwd":          "must begin with https://",
			"gopher://" + host:            "must begin with https://",
			"https:///" + host:            "no host",
			"https://" + name + ":22/":    "port",
			"https://" + name + ":80/":    "port",
			"https://" + host + "/\r\nX:": "characters",
		} {
			_, err := server.client(Policy{}).Get(t.Context(), address, "")
			refused(t, err, reason)
		}
		if count := server.connections.Load(); count != 0 {
			t.Errorf("%d connections", count)
		}
	})
	t.Run("refuses to go by a proxy of the environment", func(t *testing.T) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if proxy, err := http.ProxyFromEnvironment(request); proxy == nil || err != nil {
			t.Fatalf("the environment has no proxy: %v", err)
		}
		server := serve(t, answer("direct"))
		document, err := server.client(Policy{}).Get(t.Context(), server.address, "")
		if err != nil || string(document.Body) != "direct" {
			t.Errorf("%s, %v", document.Body, err)
		}
	})
}

// refusesRedirects: none is followed, wherever it leads.
func refusesRedirects(t *testing.T) {
	reached := false
	target := serve(t, func(http.ResponseWriter, *http.Request) { reached = true })
	for _, location := range []string{"https://169.254.169.254/latest/meta-data/", "http://169.254.169.254/", target.address, "/other", ""} {
		for _, status := range []int{301, 302, 303, 307, 308, 300, 304} {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/" {
					reached = true
				}
				w.Header().Set("Location", location)
				w.WriteHeader(status)
			})
			_, err := server.client(Policy{}).Get(t.Context(), server.address+"/", "")
			refused(t, err, "redirect")
		}
	}
	if reached {
		t.Error("a redirect was followed")
	}
	for _, status := range []int{201, 204, 206, 400, 401, 404, 500, 503} {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != 204 {
				_, _ = io.WriteString(w, canary)
			}
		})
		_, err := server.client(Policy{}).Get(t.Context(), server.address, "")
		refused(t, err, "not 200")
	}
}

func lookups(answers ...[]string) func(context.Context, string) ([]netip.Addr, error) {
	call := 0
	return func(context.Context, string) ([]netip.Addr, error) {
		var addresses []netip.Addr
		for _, text := range answers[min(call, len(answers)-1)] {
			addresses = append(addresses, netip.MustParseAddr(text))
		}
		call++
		return addresses, nil
	}
}

func failOnConnect(t *testing.T) func(context.Context, string, string) (net.Conn, error) {
	return func(_ context.Context, _, address string) (net.Conn, error) {
		t.Errorf("connected to %s", address)
		return nil, errors.New("no network in this test")
	}
}

func refusesAddresses(t *testing.T) {
	for _, test := range forbiddenAddresses {
		for _, loopbackToo := range []bool{false, true} {
			client := New(Policy{Now: time.Now, AllowLoopback: loopbackToo})
			client.connect = failOnConnect(t)
			client.lookup = lookups([]string{test.address})
			if !loopbackToo || !test.loopback {
				_, err := client.Get(t.Context(), "https://attacker.example/", "")
				refused(t, err, test.reason)
				literal := "https://" + test.address + "/"
				if strings.Contains(test.address, ":") {
					literal = "https://[" + test.address + "]/"
				}
				_, err = client.Get(t.Context(), literal, "")
				refused(t, err, test.reason)
			}
		}
	}
}

// refusesRebinding: the name has a public address when it is looked at and a private one shortly after. It is looked
// up once for each exchange, and the connection goes to the address that was judged.
func refusesRebinding(t *testing.T) {
	server := serve(t, answer("public"))
	client := server.client(Policy{})
	client.policy.AllowLoopback = false
	count := 0
	answers := lookups([]string{"1.1.1.1"}, []string{"127.0.0.1"})
	client.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
		count++
		return answers(ctx, host)
	}
	var connected []string
	client.connect = func(ctx context.Context, network, address string) (net.Conn, error) {
		connected = append(connected, address)
		return new(net.Dialer).DialContext(ctx, network, net.JoinHostPort("127.0.0.1", server.port)) // plays 1.1.1.1
	}
	document, err := client.Get(t.Context(), server.address, "")
	if err != nil || string(document.Body) != "public" {
		t.Fatalf("%s, %v", document.Body, err)
	}
	if count != 1 || len(connected) != 1 || connected[0] != "1.1.1.1:"+server.port {
		t.Errorf("%d look-ups, connections to %q", count, connected)
	}
	_, err = client.Get(t.Context(), server.address, "")
	refused(t, err, "loopback")
	if count != 2 || len(connected) != 1 {
		t.Errorf("%d look-ups, connections to %q", count, connected)
	}
}

// refusesAtTheSocket goes around the check after the look-up.
func refusesAtTheSocket(t *testing.T) {
	server := serve(t, answer(canary))
	client := New(Policy{Now: time.Now})
	for _, host := range []string{"127.0.0.1", "::ffff:127.0.0.1", "localhost"} {
		connection, err := client.connect(t.Context(), "tcp", net.JoinHostPort(host, server.port))
		if err == nil {
			_ = connection.Close()
			t.Errorf("%s: connected", host)
			continue
		}
		if reason, ok := errors.AsType[refusal](err); !ok || !strings.Contains(string(reason), "loopback") {
			t.Errorf("%s: %v", host, err)
		}
	}
	if count := server.connections.Load(); count != 0 {
		t.Errorf("%d connections", count)
	}
	connection, err := server.client(Policy{}).connect(t.Context(), "tcp", net.JoinHostPort("127.0.0.1", server.port))
	if err != nil {
		t.Fatalf("the same socket where loopback is allowed: %v", err)
	}
	_ = connection.Close()
}
