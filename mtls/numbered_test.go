package mtls

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// greeter is a listener of each kind with a key of each kind: what a client meets before it can say anything.
type greeter struct {
	name    string
	address string
	roots   *x509.CertPool
	rsa     bool
}

func greeters(t *testing.T) []greeter {
	t.Helper()
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	root := newAuthority(t, "server root", nil, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	})
	var all []greeter
	for kind, key := range map[string]crypto.Signer{"RSA": private, "ECDSA": newP256(t)} {
		leaf := root.issue(t, key, func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
			c.IPAddresses, c.ExtKeyUsage = []net.IP{net.IPv4(127, 0, 0, 1)}, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
		})
		for purpose, mutual := range map[string]bool{"for clients": true, "for browsers": false} {
			server := httptest.NewUnstartedServer(http.NotFoundHandler())
			server.TLS = ServerConfig([]tls.Certificate{tlsCertificate(key, leaf)}, mutual)
			server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0)
			server.StartTLS()
			t.Cleanup(server.Close)
			all = append(all, greeter{kind + " " + purpose, server.Listener.Addr().String(), pool(root.certificate), kind == "RSA"})
		}
	}
	return all
}

// dial makes a handshake and tells what came of it.
func (g greeter) dial(config *tls.Config) (tls.ConnectionState, error) {
	config.RootCAs = g.roots
	connection, err := tls.Dial("tcp", g.address, config)
	if err != nil {
		return tls.ConnectionState{}, err
	}
	defer connection.Close()
	return connection.ConnectionState(), nil
}

// hello sends a ClientHello of TLS 1.2 or older, as Go's client would not, and gives the type of the record that comes
// back: 22 for a handshake that goes on, 21 for an alert.
func (g greeter) hello(t *testing.T, version uint16, suites []uint16, compressions []byte) byte {
	t.Helper()
	message := clientHello(version, suites, compressions)
	record := append([]byte{22, 3, 1, byte(len(message) >> 8), byte(len(message))}, message...)
	connection, err := net.DialTimeout("tcp", g.address, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := connection.Write(record); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1)
	if _, err := io.ReadFull(connection, answer); err != nil && !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	return answer[0]
}

// clientHello is a handshake message of TLS 1.2 or older.
func clientHello(version uint16, suites []uint16, compressions []byte) []byte {
	body := binary.BigEndian.AppendUint16(nil, version)
	body = append(body, make([]byte, 32)...) // random
	body = append(body, 0)                   // no session
	body = binary.BigEndian.AppendUint16(body, uint16(2*len(suites)))
	for _, suite := range suites {
		body = binary.BigEndian.AppendUint16(body, suite)
	}
	body = append(append(body, byte(len(compressions))), compressions...)
	extensions := []byte{
		0, 10, 0, 6, 0, 4, 0, 29, 0, 23, // supported_groups: x25519, secp256r1
		0, 11, 0, 2, 1, 0, // ec_point_formats: uncompressed
		0, 13, 0, 12, 0, 10, 8, 4, 4, 3, 4, 1, 2, 1, 2, 3, // signature_algorithms: PSS, ECDSA, PKCS#1 with SHA-256, and both with SHA-1
		0xff, 1, 0, 1, 0, // renegotiation_info
	}
	body = append(binary.BigEndian.AppendUint16(body, uint16(len(extensions))), extensions...)
	return append([]byte{1, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// recommended are the suites of TLS 1.2 that RFC 9325 §4.2 recommends.
func recommended(rsa bool) []uint16 {
	if rsa {
		return []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384}
	}
	return []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384}
}

// Covers: SP-02, TL-01, RULE-01. TLS 1.3 where the client can, 1.2 where it must, nothing older.
func TestSP02Versions(t *testing.T) {
	for _, g := range greeters(t) {
		for name, one := range map[string]struct{ lowest, highest, want uint16 }{
			"1.3 of a client that has all":  {tls.VersionTLS10, tls.VersionTLS13, tls.VersionTLS13},
			"1.3 of a client that has that": {tls.VersionTLS13, tls.VersionTLS13, tls.VersionTLS13},
			"1.2 of a client without 1.3":   {tls.VersionTLS10, tls.VersionTLS12, tls.VersionTLS12},
		} {
			t.Run("accepts "+name+", "+g.name, func(t *testing.T) {
				state, err := g.dial(&tls.Config{MinVersion: one.lowest, MaxVersion: one.highest})
				if err != nil || state.Version != one.want {
					t.Errorf("%s, %v", tls.VersionName(state.Version), err)
				}
			})
		}
		for name, version := range map[string]uint16{"1.1": tls.VersionTLS11, "1.0": tls.VersionTLS10} {
			t.Run("refuses TLS "+name+", "+g.name, func(t *testing.T) {
				if _, err := g.dial(&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: version}); err == nil {
					t.Error("accepted")
				}
			})
		}
		t.Run("refuses SSL 3.0, "+g.name, func(t *testing.T) {
			if answer := g.hello(t, 0x0300, []uint16{0x002f, 0xc02f, 0xc02b}, []byte{0}); answer == 22 {
				t.Error("accepted")
			}
		})
	}
}

// Covers: SP-03, SP-06, SP-07, SP-09, F1-14, RULE-01. Of the suites of TLS 1.2 only the recommended ones, on every listener.
func TestSP07CipherSuites(t *testing.T) {
	old := map[string]uint16{ // what Go's own client cannot offer
		"DHE_RSA_WITH_AES_128_GCM_SHA256": 0x009e, "DHE_RSA_WITH_AES_256_GCM_SHA384": 0x009f, "DHE_RSA_WITH_AES_128_CBC_SHA": 0x0033, "DHE_RSA_WITH_CHACHA20_POLY1305": 0xccaa,
		"ECDHE_ECDSA_WITH_AES_128_CCM": 0xc0ac, "ECDHE_ECDSA_WITH_AES_128_CCM_8": 0xc0ae, "NULL_WITH_NULL_NULL": 0x0000, "RSA_WITH_NULL_SHA256": 0x003b, "ECDHE_RSA_WITH_NULL_SHA": 0xc010,
		"RSA_EXPORT_WITH_RC4_40_MD5": 0x0003, "DH_anon_WITH_AES_128_GCM_SHA256": 0x00a6, "ECDH_anon_WITH_AES_128_CBC_SHA": 0xc018, "PSK_WITH_AES_128_GCM_SHA256": 0x00a8,
		"ECDH_RSA_WITH_AES_128_GCM_SHA256": 0xc031, "RSA_WITH_DES_CBC_SHA": 0x0009, "RSA_WITH_CAMELLIA_128_CBC_SHA": 0x0041, "ECDHE_RSA_WITH_ARIA_128_GCM_SHA256": 0xc060,
	}
	for _, g := range greeters(t) {
		for _, suite := range slices.Concat(tls.CipherSuites(), tls.InsecureCipherSuites()) {
			if !slices.Contains(suite.SupportedVersions, tls.VersionTLS12) {
				continue
			}
			wanted := slices.Contains(recommended(g.rsa), suite.ID)
			t.Run(title(wanted, suite.Name+", "+g.name), func(t *testing.T) {
				state, err := g.dial(&tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}})
				if (err == nil) != wanted || wanted && state.CipherSuite != suite.ID {
					t.Errorf("%s, %v", tls.CipherSuiteName(state.CipherSuite), err)
				}
			})
		}
		for name, suite := range old {
			t.Run("refuses "+name+", "+g.name, func(t *testing.T) {
				if answer := g.hello(t, tls.VersionTLS12, []uint16{suite}, []byte{0}); answer == 22 {
					t.Error("accepted")
				}
			})
		}
		t.Run("accepts forward secrecy only, "+g.name, func(t *testing.T) {
			state, err := g.dial(&tls.Config{MaxVersion: tls.VersionTLS12})
			if name := tls.CipherSuiteName(state.CipherSuite); err != nil || !strings.HasPrefix(name, "TLS_ECDHE_") || !strings.Contains(name, "_GCM_") {
				t.Errorf("%s, %v", name, err)
			}
		})
	}
}

// Covers: TL-02, MT-10. Nothing is compressed, and nothing is negotiated twice.
func TestTL02Compression(t *testing.T) {
	for _, g := range greeters(t) {
		t.Run("accepts a client that need not compress, "+g.name, func(t *testing.T) {
			for _, compressions := range [][]byte{{0}, {1, 0}} {
				if answer := g.hello(t, tls.VersionTLS12, recommended(g.rsa), compressions); answer != 22 {
					t.Errorf("%d: %d", compressions, answer)
				}
			}
		})
		t.Run("refuses one that must, "+g.name, func(t *testing.T) {
			if answer := g.hello(t, tls.VersionTLS12, recommended(g.rsa), []byte{1}); answer == 22 {
				t.Error("accepted")
			}
		})
		t.Run("accepts data after the handshake, "+g.name, func(t *testing.T) {
			if answer := g.after(t, 23, []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")); answer != 23 {
				t.Errorf("answered with a record of type %d", answer)
			}
		})
		t.Run("refuses another handshake after it, "+g.name, func(t *testing.T) {
			if answer := g.after(t, 22, clientHello(tls.VersionTLS12, recommended(g.rsa), []byte{0})); answer == 22 {
				t.Error("the handshake goes on")
			}
		})
	}
}
