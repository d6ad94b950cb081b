// Package bank is a stand-in for a bank's APIs beside the authorization server that is judged: the accounts, customers and
// payments of the ecosystems for which the suite has plans, and consents where the server keeps none itself. It is a resource
// server like any other: it asks the server about each access token (RFC 7662) and checks that its sender holds the key.
package bank

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"sync"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// Config is what a bank needs.
type Config struct {
	// Server is the bank as a client of the server: a resource server that may introspect.
	Server *flowclient.Client
	// Organisation identifies the bank in the directory of its ecosystem, and Key signs its answers there.
	Organisation string
	Key          jose.PrivateKey
}

// Bank serves the APIs. Make one with [Listen].
type Bank struct {
	base     string
	ca       []byte
	now      func() time.Time
	listener net.Listener
	server   *http.Server
	mux      *http.ServeMux

	mu       sync.Mutex
	config   Config
	partners map[string]partner
	consents map[string]consent
	answers  map[string]answer
	proofs   map[string]time.Time
}

// partner is an organisation that calls.
type partner struct {
	organisation string
	keys         jose.KeySet
	raw          json.RawMessage
}

// consent is what an application asked for.
type consent struct {
	client string
	body   map[string]any
}

// answer is what a request with an idempotency key was answered.
type answer struct {
	digest string
	body   map[string]any
}

// Listen serves a bank on a free port of loopback until [Bank.Stop]. Its APIs want [Bank.Open] first.
func Listen(now func() time.Time) (*Bank, error) {
	certificate, err := selfSigned(now())
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &Bank{
		now: now, base: fmt.Sprintf("https://localhost:%d", listener.Addr().(*net.TCPAddr).Port), mux: http.NewServeMux(),
		partners: map[string]partner{}, consents: map[string]consent{}, answers: map[string]answer{}, proofs: map[string]time.Time{},
	}
	b.ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Certificate[0]})
	b.mux.HandleFunc("GET /clients/{id}/application.jwks", b.clientKeys)
	for _, r := range resources() {
		b.mux.HandleFunc(r.pattern, b.serve(r))
	}
	b.listener = tls.NewListener(listener, TLS(certificate))
	// The suite tries ciphers that are refused: that is not worth a line.
	b.server = &http.Server{Handler: b.mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = b.server.Serve(b.listener) }() // it ends with Stop
	return b, nil
}

// Open tells the bank who it is.
func (b *Bank) Open(c Config) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.config = c
}

// opened is what the bank was told.
func (b *Bank) opened() Config {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.config
}

// Authority is the bank's certificate, PEM: who fetches from it has to trust that.
func (b *Bank) Authority() []byte { return b.ca }

// ClientKeys is the address of the key set of a client that [Bank.Know] was told of, for its jwks_uri.
func (b *Bank) ClientKeys(clientID string) string {
	return b.base + "/clients/" + clientID + "/application.jwks"
}

func (b *Bank) clientKeys(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	known, ok := b.partners[r.PathValue("id")]
	b.mu.Unlock()
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	_, _ = w.Write(known.raw) // who went away needs none
}

// Base is the address under which the APIs are.
func (b *Bank) Base() string { return b.base }

// Stop ends the bank.
func (b *Bank) Stop() { _ = b.server.Close() }

// Know has the bank accept what a client signs with the keys of its organisation.
func (b *Bank) Know(clientID, organisation string, keys json.RawMessage) error {
	set, err := jose.ParseKeySet(keys)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.partners[clientID] = partner{organisation, set, keys}
	return nil
}

// KeySet is the bank's own key set, as its directory publishes it.
func (b *Bank) KeySet() json.RawMessage {
	return json.RawMessage(`{"keys":[` + string(b.opened().Key.PublicJWK()) + `]}`)
}

// TLS is how a listener for the suite has to be: the suites that FAPI 1.0 allows, and any client certificate.
func TLS(certificate tls.Certificate) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
	}
}

// selfSigned makes a certificate for loopback: the suite trusts any. It is RSA because FAPI 1.0 wants that.
func selfSigned(now time.Time) (tls.Certificate, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return tls.Certificate{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Stand-in"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: now.Add(-time.Minute), NotAfter: now.Add(7 * 24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
