package outbound

import (
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestAsk: what is posted arrives once and as it is, and the answer is a document as for Get.
func TestAsk(t *testing.T) {
	t.Parallel()
	header := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	t.Run("accepts an answer", func(t *testing.T) {
		var asked atomic.Int64
		site := serve(t, func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			body, _ := io.ReadAll(r.Body)
			w.Header().Set("Content-Type", r.Header.Get("Content-Type")+"; "+r.Method)
			w.Header().Set("Cache-Control", "private, max-age=7")
			_, _ = w.Write(body)
		})
		got, err := site.client(Policy{}).Ask(t.Context(), site.address, header, []byte(`{"a":1}`))
		if err != nil || string(got.Body) != `{"a":1}` || got.ContentType != "application/json; POST" || got.MaxAge != 7*time.Second || !got.Restricted || asked.Load() != 1 {
			t.Errorf("%+v %v, asked %d times", got, err, asked.Load())
		}
	})
	for status, reason := range map[int]string{
		http.StatusNoContent: "status 204", http.StatusTemporaryRedirect: "redirect (307)", http.StatusForbidden: "status 403", http.StatusServiceUnavailable: "status 503",
	} {
		t.Run("refuses the answer "+http.StatusText(status)+", and says its status", func(t *testing.T) {
			var asked atomic.Int64
			site := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header().Set("Location", "/"+canary)
				w.WriteHeader(status)
			})
			got, err := site.client(Policy{}).Ask(t.Context(), site.address, header, nil)
			refused(t, err, reason)
			if failure, _ := errors.AsType[*Error](err); failure.Status != status || !failure.Answered || got.Body != nil || asked.Load() != 1 {
				t.Errorf("%+v %v, asked %d times", failure, got, asked.Load())
			}
		})
	}
	t.Run("refuses a connection that breaks off, without asking again", func(t *testing.T) {
		var asked atomic.Int64
		site := serve(t, func(http.ResponseWriter, *http.Request) {
			asked.Add(1)
			panic(http.ErrAbortHandler)
		})
		_, err := site.client(Policy{}).Ask(t.Context(), site.address, header, []byte("x"))
		refused(t, err, "broke off")
		if failure, _ := errors.AsType[*Error](err); failure.Status != 0 || asked.Load() != 1 {
			t.Errorf("%+v, asked %d times", failure, asked.Load())
		}
	})
	t.Run("refuses a body that is too large", func(t *testing.T) {
		site := serve(t, answer(strings.Repeat("x", 101)))
		_, err := site.client(Policy{MaxBody: 100}).Ask(t.Context(), site.address, header, nil)
		refused(t, err, "larger than 100 bytes")
	})
}

// TestRestricted: whether a response says how long it may be kept.
func TestRestricted(t *testing.T) {
	t.Parallel()
	for control, want := range map[string]bool{
		"": false, "public": false, "private, must-revalidate": false, "no-store": true, "No-Cache": true, "max-age=5": true, "public , max-age=x": true,
	} {
		if got := restricted(http.Header{"Cache-Control": {control}}); got != want {
			t.Errorf("%q: %v", control, got)
		}
	}
}

// TestRefusedCertificate: a server that wants another certificate, or one at all, is told from one that speaks another TLS.
func TestRefusedCertificate(t *testing.T) {
	t.Parallel()
	t.Run("refuses to go on without a certificate", func(t *testing.T) {
		site := serveTLS(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}, name, time.Now(), answer("x"))
		_, err := site.client(Policy{}).Get(t.Context(), site.address, "")
		refused(t, err, "the certificate that it was shown, or wants to be shown one")
	})
	t.Run("refuses to go on with another TLS", func(t *testing.T) {
		site := serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_RSA_WITH_AES_128_CBC_SHA}}, name, time.Now(), answer("x"))
		_, err := site.client(Policy{}).Get(t.Context(), site.address, "")
		refused(t, err, "what is offered")
	})
}

// Covers: KB-14. Networks that an operator names are reached, whatever kind of private they are; links, groups and clouds'
// metadata never are.
func TestKB14Networks(t *testing.T) {
	t.Parallel()
	within := func(networks ...string) Policy {
		var p Policy
		for _, network := range networks {
			p.Networks = append(p.Networks, netip.MustParsePrefix(network))
		}
		return p
	}
	for _, test := range []struct{ address, network string }{
		{"10.1.2.3", "10.1.2.0/28"}, {"192.168.7.1", "192.168.0.0/16"}, {"172.16.0.1", "172.16.0.1/32"}, {"100.64.1.1", "100.64.0.0/10"},
		{"127.0.0.1", "127.0.0.0/8"}, {"::1", "::1/128"}, {"fd12:3456::1", "fd12:3456::/32"}, {"::ffff:10.1.2.3", "10.1.2.0/28"}, {"192.0.2.7", "192.0.2.0/24"},
	} {
		t.Run("accepts "+test.address+" in "+test.network, func(t *testing.T) {
			if reason := within(test.network).forbidden(netip.MustParseAddr(test.address)); reason != "" {
				t.Error(reason)
			}
			if err := CheckNetwork(netip.MustParsePrefix(test.network)); err != nil {
				t.Error(err)
			}
		})
		t.Run("refuses "+test.address+" beside it", func(t *testing.T) {
			if within("10.9.9.0/28", "fd99::/64").forbidden(netip.MustParseAddr(test.address)) == "" {
				t.Error("reached")
			}
		})
	}
	for _, address := range []string{
		"169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254", "fe80::1", "0.0.0.0", "::", "224.0.0.1",
		"ff02::1", "255.255.255.255", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::10.0.0.1", "::ffff:169.254.169.254", "fe80::1%eth0",
	} {
		t.Run("refuses "+address+" in every network", func(t *testing.T) {
			if within("0.0.0.0/0", "::/0").forbidden(netip.MustParseAddr(address)) == "" {
				t.Error("reached")
			}
		})
	}
	for _, network := range []string{"0.0.0.0/0", "10.0.0.0/7", "::/0", "fd00::/8", "169.254.0.0/16", "169.254.169.254/32", "fe80::/64", "168.63.129.16/32", "10.1.2.3/28"} {
		t.Run("refuses the network "+network, func(t *testing.T) {
			if CheckNetwork(netip.MustParsePrefix(network)) == nil {
				t.Error("accepted")
			}
		})
	}
	t.Run("accepts a literal address of a network in an address", func(t *testing.T) {
		if err := within("10.1.2.0/28").CheckAddress("https://10.1.2.3/x"); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses it without the network", func(t *testing.T) {
		if CheckAddress("https://10.1.2.3/x") == nil || within("10.1.3.0/28").CheckAddress("https://10.1.2.3/x") == nil {
			t.Error("accepted")
		}
	})
	t.Run("refuses a name with one address that is in no network", func(t *testing.T) {
		site := serve(t, answer("x"))
		client := site.client(within("10.1.2.0/28"))
		client.policy.AllowLoopback = false
		client.lookup = lookups([]string{"10.1.2.3", "10.1.3.3"})
		_, err := client.Get(t.Context(), site.address, "")
		refused(t, err, "10.1.3.3 is a private address")
	})
	t.Run("refuses at the socket what is in no network", func(t *testing.T) {
		client := New(within("10.1.2.0/28"))
		if client.checkSocket(t.Context(), "tcp", "10.1.2.3:443", nil) != nil || client.checkSocket(t.Context(), "tcp", "10.1.2.16:443", nil) == nil {
			t.Error("a socket is judged otherwise")
		}
	})
}
