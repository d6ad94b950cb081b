package mtls

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// listener is a real TLS server on loopback that answers with what [Direct] found.
type listener struct {
	url   string
	roots *x509.CertPool
}

func listen(t *testing.T, requestClientCertificate bool) listener {
	t.Helper()
	root := newAuthority(t, "server root", nil, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	key := newP256(t)
	leaf := root.issue(t, key, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		c.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
		c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		presented, err := Direct().Certificate(r)
		switch {
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
		case presented == nil:
			fmt.Fprintf(w, "none resumed=%v", r.TLS.DidResume)
		default:
			fmt.Fprintf(w, "%s chain=%d source=%s proto=%s resumed=%v", Thumbprint(presented.Leaf), len(presented.Chain), presented.Source, r.Proto, r.TLS.DidResume)
		}
	}))
	server.EnableHTTP2 = true
	server.TLS = ServerConfig([]tls.Certificate{tlsCertificate(key, leaf)}, requestClientCertificate)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	return listener{server.URL, pool(root.certificate)}
}

// get makes one request over a new connection.
func (l listener) get(t *testing.T, config *tls.Config) (string, int, error) {
	t.Helper()
	config.RootCAs = l.roots
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true, DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport, Timeout: 30 * time.Second}).Get(l.url)
	if err != nil {
		return "", 0, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body), response.StatusCode, nil
}

// Covers: MT-11.
func TestHandshake(t *testing.T) {
	mutual, plain := listen(t, true), listen(t, false)
	root := newAuthority(t, "client root", nil, nil)
	middle := newAuthority(t, "client intermediate", root, nil)
	key := newP256(t)
	leaf := middle.issue(t, key, nil)
	own := selfSigned(t, key, nil)
	big := selfSigned(t, key, func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, extension([]int{1, 2, 3}, false, bytes.Repeat([]byte{5}, MaxCertificateSize)))
	})
	for _, test := range []struct {
		name     string
		listener listener
		config   *tls.Config
		want     string
		status   int
	}{
		{"none", mutual, &tls.Config{}, "none", 200},
		{"with intermediate", mutual, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(key, leaf, middle.certificate)}}, Thumbprint(leaf) + " chain=1 source=tls proto=HTTP/2.0 resumed=false", 200},
		{"self-signed", mutual, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(key, own)}}, Thumbprint(own) + " chain=0", 200},
		{"TLS 1.2", mutual, &tls.Config{MaxVersion: tls.VersionTLS12, Certificates: []tls.Certificate{tlsCertificate(key, own)}}, Thumbprint(own), 200},
		{"not asked for", plain, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(key, own)}}, "none", 200},
		{"too many", mutual, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(key, own, own, own, own, own, own, own)}}, "more than 6", 400},
		{"too large", mutual, &tls.Config{Certificates: []tls.Certificate{tlsCertificate(key, big)}}, "larger than 16384", 400},
	} {
		t.Run(title(test.status == 200, test.name), func(t *testing.T) {
			body, status, err := test.listener.get(t, test.config)
			if err != nil || status != test.status || !strings.Contains(body, test.want) {
				t.Errorf("%d %q, %v", status, body, err)
			}
		})
	}
}

// TestHandshakeRefuses: possession of the key, the version and the suites are checked by the handshake itself.
func TestHandshakeRefuses(t *testing.T) {
	mutual := listen(t, true)
	key, other := newP256(t), newP256(t)
	own := selfSigned(t, key, nil)
	for name, config := range map[string]*tls.Config{
		"another key":    {Certificates: []tls.Certificate{tlsCertificate(other, own)}},
		"TLS 1.1":        {MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11},
		"CBC suite":      {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA}},
		"ChaCha20 suite": {MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}},
	} {
		if body, _, err := mutual.get(t, config); err == nil {
			t.Errorf("%s: answered %q", name, body)
		}
	}
}

// Covers: TL-04, ATTACK-18. With client certificates no connection is resumed, on either version of TLS; without them,
// it is.
func TestResumption(t *testing.T) {
	key := newP256(t)
	own := selfSigned(t, key, nil)
	for name, requestClientCertificate := range map[string]bool{"mutual": true, "plain": false} {
		server := listen(t, requestClientCertificate)
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := &tls.Config{
				MinVersion: version, MaxVersion: version, ClientSessionCache: tls.NewLRUClientSessionCache(4),
				Certificates: []tls.Certificate{tlsCertificate(key, own)},
			}
			var last string
			for range 3 {
				var err error
				if last, _, err = server.get(t, config); err != nil {
					t.Fatal(err)
				}
			}
			t.Run(title(!requestClientCertificate, "to resume on a "+name+" listener, "+tls.VersionName(version)), func(t *testing.T) {
				if got := strings.Contains(last, "resumed=true"); got == requestClientCertificate {
					t.Error(last)
				}
			})
		}
	}
}

func TestServerConfig(t *testing.T) {
	config := ServerConfig(nil, true)
	if config.MinVersion != tls.VersionTLS12 || config.ClientAuth != tls.RequestClientCert || config.ClientCAs != nil || !config.SessionTicketsDisabled {
		t.Errorf("%+v", config)
	}
	for _, suite := range config.CipherSuites {
		if name := tls.CipherSuiteName(suite); !strings.HasPrefix(name, "TLS_ECDHE_") || !strings.Contains(name, "_GCM_") {
			t.Errorf("suite %s", name)
		}
	}
	if len(config.CipherSuites) != 4 {
		t.Errorf("%d suites", len(config.CipherSuites))
	}
	if plain := ServerConfig(nil, false); plain.ClientAuth != tls.NoClientCert || plain.SessionTicketsDisabled {
		t.Errorf("%+v", plain)
	}
}

func TestDirectWithoutTLS(t *testing.T) {
	if presented, err := Direct().Certificate(httptest.NewRequest("GET", "http://a/", nil)); presented != nil || err != nil {
		t.Errorf("%v, %v", presented, err)
	}
}

func TestDirectLimits(t *testing.T) {
	request := httptest.NewRequest("GET", "https://a/", nil)
	small, large := &x509.Certificate{Raw: make([]byte, MaxCertificateSize)}, &x509.Certificate{Raw: make([]byte, MaxCertificateSize+1)}
	request.TLS.PeerCertificates = []*x509.Certificate{small, small, small, small, small, small}
	if presented, err := Direct().Certificate(request); err != nil || len(presented.Chain) != MaxCertificates-1 {
		t.Errorf("%v, %v", presented, err)
	}
	request.TLS.PeerCertificates = []*x509.Certificate{small, large}
	if _, err := Direct().Certificate(request); !errors.Is(err, ErrMalformed) {
		t.Error(err)
	}
}

func TestThumbprint(t *testing.T) {
	certificate := selfSigned(t, newP256(t), nil)
	digest := sha256.Sum256(certificate.Raw)
	decoded, err := base64.RawURLEncoding.DecodeString(Thumbprint(certificate))
	if err != nil || !bytes.Equal(decoded, digest[:]) {
		t.Errorf("%x, %v", decoded, err)
	}
}
