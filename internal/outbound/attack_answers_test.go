package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

func refusesSlowServers(t *testing.T) {
	const timeout = 300 * time.Millisecond
	ended := make(chan struct{}, 1)
	for name, handler := range map[string]http.HandlerFunc{
		"no answer": func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() },
		"no body": func(w http.ResponseWriter, r *http.Request) {
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		},
		"a byte at a time": func(w http.ResponseWriter, r *http.Request) {
			for tick := time.Tick(10 * time.Millisecond); ; {
				select {
				case <-r.Context().Done():
					return
				case <-tick:
					_, _ = io.WriteString(w, "x")
					w.(http.Flusher).Flush()
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, func(w http.ResponseWriter, r *http.Request) {
				handler(w, r)
				ended <- struct{}{}
			})
			_, err := server.client(Policy{Timeout: timeout}).Get(t.Context(), server.address, "")
			refused(t, err, "too long")
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v does not wrap the deadline", err)
			}
			<-ended // the connection is gone, too
		})
	}
	t.Run("no handshake", func(t *testing.T) {
		listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		closed := make(chan error, 1)
		go func() {
			connection, err := listener.Accept()
			if err == nil {
				_, err = io.Copy(io.Discard, connection) // ends when the client hangs up
			}
			closed <- err
		}()
		silent := &site{}
		silent.setAddress(t, listener.Addr())
		client := silent.client(Policy{Timeout: time.Hour})
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		_, err = client.Get(ctx, silent.address, "")
		refused(t, err, "too long")
		<-closed // although the policy would have waited for an hour
	})
}

func refusesLargeAnswers(t *testing.T) {
	const limit = 1000
	send := func(size int, announced bool) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			if !announced {
				w.(http.Flusher).Flush()
			}
			_, _ = w.Write(bytes.Repeat([]byte("x"), size))
		}
	}
	for _, announced := range []bool{true, false} {
		server := serve(t, send(limit, announced))
		document, err := server.client(Policy{MaxBody: limit}).Get(t.Context(), server.address, "")
		if err != nil || len(document.Body) != limit {
			t.Errorf("the largest body: %d bytes, %v", len(document.Body), err)
		}
		server = serve(t, send(limit+1, announced))
		_, err = server.client(Policy{MaxBody: limit}).Get(t.Context(), server.address, "")
		refused(t, err, "larger than 1000 bytes")
	}
	endless := func(w http.ResponseWriter, _ *http.Request) {
		for chunk := bytes.Repeat([]byte("x"), 1<<16); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	}
	server := serve(t, endless)
	_, err := server.client(Policy{}).Get(t.Context(), server.address, "")
	refused(t, err, "larger than 262144 bytes")
	server = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Large", strings.Repeat(canary, maxHeader/len(canary)+1))
	})
	_, err = server.client(Policy{}).Get(t.Context(), server.address, "")
	refused(t, err, "broke off")
}

// refusesCompression: a body that says it is compressed is unpacked to the size of a body and no further, and one that does
// not say so stays as small as it came.
func refusesCompression(t *testing.T) {
	var bomb bytes.Buffer
	compressor, err := gzip.NewWriterLevel(&bomb, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	for zeros := make([]byte, 1<<20); bomb.Len() < 100<<10; {
		if _, err := compressor.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := compressor.Close(); err != nil {
		t.Fatal(err)
	}
	coding := ""
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if got := r.Header.Get("Accept-Encoding"); got != "identity" {
			t.Errorf("Accept-Encoding: %q", got)
		}
		if coding != "" {
			w.Header().Set("Content-Encoding", coding)
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bomb.Bytes())
	})
	client := server.client(Policy{})
	for _, coding = range []string{"deflate", "br", "identity, gzip", "gzip, gzip", "gzip,"} {
		_, err := client.Get(t.Context(), server.address, "")
		refused(t, err, "compressed")
	}
	for _, coding = range []string{"", "identity", "Identity", "gzip", "GZIP", "x-gzip"} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		document, err := client.Get(t.Context(), server.address, "")
		runtime.ReadMemStats(&after)
		if strings.HasSuffix(strings.ToLower(coding), "gzip") {
			refused(t, err, "larger than 262144 bytes")
		} else if err != nil || !bytes.Equal(document.Body, bomb.Bytes()) {
			t.Errorf("%q: %d bytes, %v", coding, len(document.Body), err)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 8<<20 { // it would unpack to 100 MiB
			t.Errorf("%q: %d bytes were allocated", coding, used)
		}
	}
}

func refusesTLS(t *testing.T) {
	now := time.Now()
	get := func(server *site, policy Policy) error {
		_, err := server.client(policy).Get(t.Context(), server.address, "")
		return err
	}
	plain := answer(canary)
	refused(t, get(serveTLS(t, &tls.Config{}, canary+".example", now, plain), Policy{}), "for another name")
	refused(t, get(serveTLS(t, &tls.Config{}, "127.0.0.1", now, plain), Policy{}), "for another name")
	refused(t, get(serveTLS(t, &tls.Config{}, name, now.Add(-2*time.Hour), plain), Policy{}), "expired")
	refused(t, get(serveTLS(t, &tls.Config{}, name, now.Add(2*time.Hour), plain), Policy{}), "not valid yet")
	refused(t, get(serveTLS(t, &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, name, now, plain), Policy{}), "TLS failed")
	for _, suite := range []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256} {
		refused(t, get(serveTLS(t, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}}, name, now, plain), Policy{}), "TLS failed")
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		if err := get(serveTLS(t, &tls.Config{MinVersion: version, MaxVersion: version}, name, now, plain), Policy{}); err != nil {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
	// The clock is the policy's.
	past := now.Add(-1000 * time.Hour)
	if err := get(serveTLS(t, &tls.Config{}, name, past, plain), Policy{Now: func() time.Time { return past }}); err != nil {
		t.Error(err)
	}
	server := serve(t, plain)
	server.roots = serve(t, plain).roots
	refused(t, get(server, Policy{}), "authority")
	server.roots = nil // the system's
	refused(t, get(server, Policy{}), "authority")
}
