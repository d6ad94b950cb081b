package outbound

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// TestPost: the body arrives as it is, once, and the result is the status and nothing more.
func TestPost(t *testing.T) {
	var last atomic.Pointer[http.Request]
	var body atomic.Value
	status := http.StatusNoContent
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		read, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		body.Store(string(read))
		last.Store(r)
		w.Header().Set("Location", "https://elsewhere.example/")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, strings.Repeat(canary, 1<<10))
	})
	c := s.client(Policy{})
	for _, status = range []int{204, 200, 301, 307, 308, 401, 403, 429, 500, 503} {
		before := s.connections.Load()
		got, err := c.Post(t.Context(), s.address+"/ping?a=b", "Bearer x", []byte(`{"a":1}`))
		if err != nil || got != status || s.connections.Load() != before+1 {
			t.Errorf("%d: got %d by %d connections, %v", status, got, s.connections.Load()-before, err)
		}
	}
	r := last.Load()
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/ping?a=b" || r.Header.Get("Authorization") != "Bearer x" || r.Header.Get("Content-Type") != "application/json" ||
		body.Load() != `{"a":1}` || r.Header.Get("Cookie") != "" {
		t.Errorf("sent %s %s %v %v", r.Method, r.URL, r.Header, body.Load())
	}
}

// TestPostRefused: an address is judged as that of a fetch is, and nothing is sent to one that is not valid.
func TestPostRefused(t *testing.T) {
	s := serve(t, answer(""))
	for _, address := range []string{"http://keys.example/", "https://user@keys.example/", "https://10.0.0.1/", "https://169.254.169.254/"} {
		if status, err := s.client(Policy{}).Post(t.Context(), address, "Bearer x", nil); err == nil {
			t.Errorf("%s answered %d", address, status)
		}
	}
	outside := New(Policy{Roots: s.roots, Now: time.Now}) // which may not call this machine
	_, err := outside.Post(t.Context(), "https://127.0.0.1:"+s.port, "Bearer x", nil)
	refused(t, err, "")
	if s.connections.Load() != 0 {
		t.Errorf("%d connections were made", s.connections.Load())
	}
}

// TestPostHangs: who never answers is given up in time.
func TestPostHangs(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	c := New(Policy{AllowLoopback: true, Timeout: 200 * time.Millisecond, Now: time.Now})
	began := time.Now()
	_, err = c.Post(t.Context(), "https://"+listener.Addr().String(), "Bearer x", nil)
	refused(t, err, "too long")
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("given up after %s", took)
	}
}

// TestPostCertificate: a server that asks for a certificate is shown ours, and no other is shown it.
func TestPostCertificate(t *testing.T) {
	var shown atomic.Int64
	handler := func(_ http.ResponseWriter, r *http.Request) { shown.Store(int64(len(r.TLS.PeerCertificates))) }
	asking := serveTLS(t, &tls.Config{ClientAuth: tls.RequestClientCert}, name, time.Now(), handler)
	silent := serveTLS(t, &tls.Config{}, name, time.Now(), handler)
	certificate := asking.certificate(t, "server.example", time.Now())
	own := new(atomic.Pointer[tls.Certificate])
	own.Store(&certificate)
	for site, want := range map[*site]int64{asking: 1, silent: 0} {
		if _, err := site.client(Policy{Certificate: own}).Post(t.Context(), site.address, "Bearer x", nil); err != nil || shown.Load() != want {
			t.Errorf("shown %d certificates, want %d, %v", shown.Load(), want, err)
		}
	}
	if _, err := asking.client(Policy{}).Post(t.Context(), asking.address, "Bearer x", nil); err != nil || shown.Load() != 0 {
		t.Errorf("shown %d certificates without one, %v", shown.Load(), err)
	}
}
