package mtls

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"countersign/mtls/internal/proxyheader"
)

func tlv(kind byte, value []byte) []byte {
	return append(binary.BigEndian.AppendUint16([]byte{kind}, uint16(len(value))), value...)
}

func sslTLV(client byte, verify uint32, certificate []byte) []byte {
	value := binary.BigEndian.AppendUint32([]byte{client}, verify)
	value = append(value, tlv(0x21, []byte("TLSv1.3"))...)
	if certificate != nil {
		value = append(value, tlv(proxyheader.TypeClientCertificate, certificate)...)
	}
	return tlv(proxyheader.TypeSSL, value)
}

// proxyHeader is a header with IPv4 addresses, or none for family 0.
func proxyHeader(command, family byte, rest []byte) []byte {
	body := rest
	if family != 0 {
		body = append(make([]byte, 12), rest...)
	}
	header := append([]byte(proxyheader.Signature), command, family)
	return append(binary.BigEndian.AppendUint16(header, uint16(len(body))), body...)
}

// Covers: ATTACK-16. PROXY protocol over real connections, with TLS behind it.
func TestProxyProtocol(t *testing.T) {
	g := newAuthority(t, "server root", nil, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	key := newP256(t)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented, err := ProxyProtocol().Certificate(r)
		switch {
		case err != nil:
			w.WriteHeader(http.StatusBadRequest)
		case presented == nil:
			_, _ = io.WriteString(w, "nobody")
		default:
			_, _ = io.WriteString(w, presented.Leaf.Subject.CommonName)
		}
	}))
	server.Listener = ProxyListener(server.Listener)
	server.Config.ConnContext = ProxyContext
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.TLS = ServerConfig([]tls.Certificate{tlsCertificate(key, g.issue(t, key, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}))}, true)
	server.StartTLS()
	t.Cleanup(server.Close)

	der := selfSigned(t, newP256(t), nil).Raw
	for _, test := range []struct {
		name   string
		header []byte
		want   string
	}{
		{"a certificate", proxyHeader(0x21, 0x11, sslTLV(0x07, 0, der)), "200 client"},
		{"a certificate of a session", proxyHeader(0x21, 0x11, sslTLV(0x05, 0, der)), "200 client"},
		{"TLS without a certificate", proxyHeader(0x21, 0x11, sslTLV(0x01, 0, nil)), "200 nobody"},
		{"no TLS", proxyHeader(0x21, 0x11, nil), "200 nobody"},
		{"a check by the ingress itself", proxyHeader(0x20, 0, nil), "200 nobody"},
		{"a certificate that is not there, as HAProxy 2.6 sends it", proxyHeader(0x21, 0x11, sslTLV(0x07, 0, nil)), "400 "},
		{"a certificate that nobody has shown", proxyHeader(0x21, 0x11, sslTLV(0x01, 0, der)), "400 "},
		{"a certificate without TLS", proxyHeader(0x21, 0x11, sslTLV(0x06, 0, der)), "400 "},
		{"one that failed verification", proxyHeader(0x21, 0x11, sslTLV(0x07, 18, der)), "400 "},
		{"no certificate at all", proxyHeader(0x21, 0x11, sslTLV(0x07, 0, []byte("x"))), "400 "},
		{"two TLS parts", proxyHeader(0x21, 0x11, append(sslTLV(0x07, 0, der), sslTLV(0x01, 0, nil)...)), "400 "},
		{"a value that is cut off", proxyHeader(0x21, 0x11, sslTLV(0x07, 0, der)[:40]), "400 "},
		{"unknown addresses", proxyHeader(0x21, 0x77, sslTLV(0x07, 0, der)), "400 "},
		{"an unknown command", proxyHeader(0x22, 0x11, sslTLV(0x07, 0, der)), "400 "},
		{"no header", nil, "closed"},
		{"version 1", []byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"), "closed"},
		{"a header of 60 KiB", proxyHeader(0x21, 0x11, make([]byte, 60<<10)), "closed"},
	} {
		t.Run(title(strings.HasPrefix(test.want, "200"), test.name), func(t *testing.T) {
			transport := &http.Transport{
				TLSClientConfig: &tls.Config{RootCAs: pool(g.certificate)},
				DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
					connection, err := new(net.Dialer).DialContext(ctx, network, address)
					if err == nil {
						_, err = connection.Write(test.header)
					}
					return connection, err
				},
			}
			defer transport.CloseIdleConnections()
			response, err := (&http.Client{Transport: transport, Timeout: 10 * time.Second}).Get(server.URL)
			got := "closed"
			if err == nil {
				body, _ := io.ReadAll(response.Body)
				got = fmt.Sprintf("%d %s", response.StatusCode, body)
				_ = response.Body.Close()
			}
			if got != test.want {
				t.Errorf("%q, want %q", got, test.want)
			}
		})
	}
}
