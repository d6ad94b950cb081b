// Package servers starts what the benchmarks and the fault runs work on, and ends it: nodes of Countersign, PostgreSQL,
// Patroni, and other authorization servers. All are real programs in processes of their own, which can be killed, and
// whose CPU time and memory can be read.
package servers

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"slices"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// The client that all servers know, and the user who signs in.
const (
	ClientID    = "bench"
	RedirectURI = "https://client.example/callback"
	Username    = "alice"
	scope       = "openid accounts"
)

// Lab is one run: where its files are, and what its servers are made of.
type Lab struct {
	// Binary is the countersign program.
	Binary string
	// Cache is where peers are installed, and Peers the folder of their own files.
	Cache, Peers string
	// Folder takes all files of the run.
	Folder string
}

// Server is one that runs, of one process or of several.
type Server struct {
	Name string
	// Alg is the signature algorithm of its tokens.
	Alg       string
	Issuer    string
	Endpoints flowclient.Endpoints
	Roots     *x509.CertPool
	// Key is the client's, which signs its assertions.
	Key jose.PrivateKey
	// Password is the user's.
	Password string
	// Fill fills in the form of a page; nil for Countersign's pages.
	Fill func(flowclient.Page) (flowclient.Form, error)
	// AnyRedirect is set for servers whose pages redirect with other statuses than 303.
	AnyRedirect bool
	// WarmLonger is how many measurements longer than others it is warmed with each step.
	WarmLonger int
	// Rotates is set where a refresh token is replaced with each use.
	Rotates bool
	// Nodes are those of Countersign, the first one first.
	Nodes []*Node

	processes []func() int
	closers   []func()
}

// onClose has something be done when the server is closed: what was started last is ended first.
func (s *Server) onClose(end func()) { s.closers = append(s.closers, end) }

// serves has a process, which may be replaced, and all below it count for the server.
func (s *Server) serves(id func() int) { s.processes = append(s.processes, id) }

// Own has a database count for the server, and end with it.
func (s *Server) Own(p *Postgres) {
	s.serves(p.ID)
	s.onClose(func() {
		if err := p.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "bench: PostgreSQL was not removed:", err)
		}
	})
}

// Close ends all processes of the server.
func (s *Server) Close() {
	for _, end := range slices.Backward(s.closers) {
		end()
	}
	s.closers = nil
}

// Processes are the roots of the process trees that serve.
func (s *Server) Processes() []int {
	var ids []int
	for _, id := range s.processes {
		ids = append(ids, id())
	}
	return ids
}

// Transport reaches the server by its name.
func (s *Server) Transport() *http.Transport {
	return &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.Roots, MinVersion: tls.VersionTLS13}, MaxIdleConnsPerHost: 4}
}

// Client is a client application with a browser. Both keep their connections, the browser its session.
type Client struct {
	*flowclient.Client
	Browser *flowclient.Browser
}

// NewClient makes the client that the server knows, with a DPoP key of its own.
func (s *Server) NewClient(now func() time.Time) (*Client, error) {
	proof, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	through := s.Transport()
	reached := flowclient.NewHTTP(nil)
	reached.Transport = through
	browser, err := flowclient.NewBrowser(through)
	if err != nil {
		return nil, err
	}
	browser.Username, browser.Password, browser.Fill, browser.AnyRedirect = Username, s.Password, s.Fill, s.AnyRedirect
	return &Client{flowclient.New(flowclient.Config{
		Issuer: s.Issuer, Endpoints: s.Endpoints, HTTP: reached, ID: ClientID, RedirectURI: RedirectURI, Scope: scope,
		Key: s.Key, ProofKey: proof, ProofForTokensOnly: true, Now: now,
		Before: flowclient.Set("client_id", ClientID),
	}), browser}, nil
}

// At is the same client with the same keys and session by way of one node.
func (c *Client) At(n *Node) *Client {
	through := n.Transport()
	reached := *c.HTTP
	reached.Transport = through
	return &Client{c.Via(&reached), c.Browser.Via(through)}
}

// endpoints puts paths behind an issuer.
func endpoints(issuer, par, authorize, token, jwks string) flowclient.Endpoints {
	return flowclient.Endpoints{PAR: issuer + par, Authorization: issuer + authorize, Token: issuer + token, JWKS: issuer + jwks}
}

// trust reads the authority of the server's certificate.
func (s *Server) trust(file string) error {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	s.Roots = x509.NewCertPool()
	if !s.Roots.AppendCertsFromPEM(encoded) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	return nil
}
