package main

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"countersign/bench/servers"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// Addresses of the loopback network: of the honest users, and of the first attacker.
const (
	honestAddress = "127.0.0.77"
	attackAddress = "127.0.0.66"
)

// site is a server under attack.
type site struct {
	*servers.Server
	installation *servers.Installation
	// web serves the documents of clients: /slow takes its time, /sector is a sector_identifier_uri's.
	web *httptest.Server
}

// redirectURI is that of clients that register themselves.
const redirectURI = "https://client.example/callback"

// open starts a server, of one node or of two.
func open(ctx context.Context, lab *servers.Lab, kind string) (*site, error) {
	s := &site{Server: &servers.Server{Name: "countersign, " + kind, Alg: "ES256"}}
	mux := http.NewServeMux()
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { pause(r.Context(), 20*time.Second) })
	mux.HandleFunc("/sector", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, "[%q]", redirectURI)
	})
	s.web = httptest.NewUnstartedServer(mux)
	s.web.Config.ErrorLog = log.New(io.Discard, "", 0) // connections that are cut are what a flood is made of
	s.web.StartTLS()
	authority := filepath.Join(lab.Folder, "web.crt")
	encoded := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.web.Certificate().Raw})
	err := os.WriteFile(authority, encoded, 0o600)
	if err == nil {
		s.installation, err = lab.Countersign(ctx, s.Server, servers.Options{Postgres: kind == "postgres", Settings: map[string]string{
			// As they are where nobody writes them into a configuration; a benchmark's server has none.
			"client_per_second": "50", "client_burst": "200", "outbound.ca_file": fmt.Sprintf("%q", authority),
		}})
	}
	if err == nil && kind == "postgres" {
		_, err = s.installation.AddNode(ctx, s.Server)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *site) close() {
	s.Close()
	s.web.CloseClientConnections()
	s.web.Close()
}

// from reaches a node from an address. Workers take turns with the nodes.
func (s *site) from(address string, worker int) *http.Transport {
	through := s.Nodes[worker%len(s.Nodes)].TransportFrom(address)
	through.MaxIdleConnsPerHost = 256
	return through
}

// fromHonest reaches the nodes from the address of the honest users, who share a connection pool for each.
func (s *site) fromHonest() func(worker int) *http.Transport {
	through := []*http.Transport{s.from(honestAddress, 0), s.from(honestAddress, 1)}
	return func(worker int) *http.Transport { return through[worker%2] }
}

// browser is a new one, without cookies.
func (s *site) browser(through http.RoundTripper) *flowclient.Browser {
	b, err := flowclient.NewBrowser(through)
	if err != nil {
		panic(err) // a jar without options cannot fail
	}
	b.Username, b.Password = servers.Username, s.Password
	return b
}

// flow is an honest use: a whole flow in a new browser, from the pushed request to the tokens.
func (s *site) flow() use {
	through := s.fromHonest()
	return func(ctx context.Context, worker, _ int) (int, error) {
		client, err := s.NewClient(time.Now)
		if err != nil {
			return 0, err
		}
		reached := *client.HTTP
		reached.Transport = through(worker)
		_, err = client.Via(&reached).Flow(ctx, s.browser(through(worker)))
		return http.StatusOK, err
	}
}

// byValue registers a client that sends its requests by value.
func (s *site) byValue(ctx context.Context) (*flowclient.Client, error) {
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		return nil, err
	}
	err = s.installation.AddClient(ctx, "by-value", map[string]any{
		"client_name": "By value", "profile": "fapi1-advanced", "redirect_uris": []string{redirectURI}, "scope": "openid accounts",
		"grant_types": []string{"authorization_code"}, "response_types": []string{"code id_token"}, "token_endpoint_auth_method": "private_key_jwt",
		"id_token_signed_response_alg": s.Alg, "tls_client_certificate_bound_access_tokens": true, "jwks": map[string]any{"keys": []json.RawMessage{key.PublicJWK()}},
	})
	return flowclient.New(flowclient.Config{
		Issuer: s.Issuer, Endpoints: s.Endpoints, ID: "by-value", RedirectURI: redirectURI, Scope: "openid accounts", Key: key, Now: time.Now,
	}), err
}

// requestByValue is the address of a new request by value.
func (s *site) requestByValue(ctx context.Context, c *flowclient.Client) (string, error) {
	form := c.AuthorizationRequest(c.NewTransaction())
	form.Set("response_type", "code id_token")
	form.Set("client_id", c.ID)
	object, err := c.RequestObject(ctx, "", form, nil)
	query := url.Values{"client_id": {c.ID}, "response_type": {"code id_token"}, "scope": {"openid"}, "request": {object}}
	return c.Endpoints.Authorization + "?" + query.Encode(), err
}

// opened is an honest use: a new request by value is opened, and the page to sign in is shown.
func (s *site) opened(c *flowclient.Client) use {
	through := s.fromHonest()
	return func(ctx context.Context, worker, _ int) (int, error) {
		address, err := s.requestByValue(ctx, c)
		if err != nil {
			return 0, err
		}
		page, err := s.browser(through(worker)).Open(ctx, address)
		if err != nil {
			return 0, err
		}
		if page.SentTo != nil || page.Status != http.StatusOK || !strings.Contains(page.Text("title")+string(page.Body), "password") {
			return page.Status, fmt.Errorf("no page to sign in was shown (status %d): %s", page.Status, page.Text("main"))
		}
		return page.Status, nil
	}
}

// get is a use of an attacker: an address is opened, each time by a browser without cookies. Redirects are not followed.
func (s *site) get(address func(number int) string, from func(worker int) string) use {
	return s.send(from, func(ctx context.Context, number int) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodGet, address(number), nil)
	})
}

// post is a use of an attacker that sends a form.
func (s *site) post(address string, form func(number int) url.Values, from func(worker int) string) use {
	return s.send(from, func(ctx context.Context, number int) (*http.Request, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, strings.NewReader(form(number).Encode()))
		if err == nil {
			request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		return request, err
	})
}

// send sends requests over one connection of each worker.
func (s *site) send(from func(worker int) string, make func(ctx context.Context, number int) (*http.Request, error)) use {
	var connections perWorker[*http.Transport]
	return func(ctx context.Context, worker, number int) (int, error) {
		through := connections.of(worker, func() *http.Transport { return s.from(from(worker), worker) })
		request, err := make(ctx, number)
		if err != nil {
			return 0, err
		}
		response, err := through.RoundTrip(request)
		if err != nil {
			return 0, err
		}
		return response.StatusCode, drain(response)
	}
}
