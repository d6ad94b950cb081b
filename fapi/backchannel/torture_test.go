package backchannel_test

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/mtls"
	"countersign/store/postgres"
)

// tortures is how many requests are raced for; `make torture-ciba` asks for many more.
var tortures = flag.Int("tortures", 25, "how many backchannel requests TestTortureBackchannel races for")

// TestTortureBackchannel has two nodes on one PostgreSQL race polls and decisions of many requests, over TLS and with real
// signatures: each request ends in one decision, and in exactly one token or exactly one refusal.
func TestTortureBackchannel(t *testing.T) {
	t.Parallel()
	const pollers, deciders, side = 6, 2, 4
	w, address := fapitest.NewPostgresWorld(t, nil, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.PersonBurst = *tortures }), func(c *fapitest.Config) {
		c.AccessTokenAlgorithm, c.TracerProvider, c.Logger = "ES256", nil, nil
	})
	config := w.Config
	second, err := postgres.Open(t.Context(), postgres.Config{URL: address, Now: w.Clock.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
	config.Store = second
	node, err := fapi.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	certificate, _ := fapitest.ServerCertificate(t)
	listener := httptest.NewUnstartedServer(node.MTLSHandler())
	listener.TLS = mtls.ServerConfig([]tls.Certificate{certificate}, true)
	listener.StartTLS()
	t.Cleanup(listener.Close)
	nodes := []*fapi.Server{w.Server, node}
	c := w.Register("client-1", fapitest.All(fapitest.TLSClientAuth, fapitest.CIBAPoll, fapitest.SetMember("id_token_signed_response_alg", "ES256")))
	c.HTTP.Transport.(*http.Transport).MaxIdleConnsPerHost = side * (pollers + deciders)
	elsewhere, there := *w, *c // the same client at the other node
	elsewhere.MTLSIssuer, there.World = listener.URL, &elsewhere
	clients := []*fapitest.Client{c, &there}

	began := time.Now()
	var polls, decisions, tokens, denials atomic.Int64
	numbers := make(chan int)
	var running sync.WaitGroup
	for range side {
		running.Go(func() {
			for number := range numbers {
				asked := c.Backchannel(nil)
				id := asked.Text("auth_req_id")
				if id == "" {
					t.Errorf("request %d: %d %s", number, asked.Status, asked.Raw)
					continue
				}
				var won, allowed, fetched atomic.Int64
				fetch := func(i int) string {
					polls.Add(1)
					r := clients[i%2].Post("/token", url.Values{"grant_type": {fapitest.CIBAGrant}, "auth_req_id": {id}}, nil)
					if r.Status == http.StatusOK {
						fetched.Add(1)
					}
					return r.Text("error")
				}
				var racing sync.WaitGroup
				for i := range pollers + deciders {
					racing.Go(func() {
						if i >= deciders {
							fetch(i)
							return
						}
						decisions.Add(1)
						allow := (number+i)%3 != 0
						err := nodes[i%2].Backchannel().Decide(context.Background(), w.ByAlice(id, allow))
						switch {
						case err == nil:
							won.Add(1)
							if allow {
								allowed.Add(1)
							}
						case !errors.Is(err, backchannel.ErrDecided):
							t.Errorf("request %d: %v", number, err)
						}
					})
				}
				racing.Wait()
				last := fetch(number)
				if won.Load() != 1 || fetched.Load() != allowed.Load() || last != map[bool]string{true: "", false: "access_denied"}[allowed.Load() == 1] && last != "invalid_grant" {
					t.Errorf("request %d: %d decisions won, %d of them to allow, %d tokens, the last poll said %q", number, won.Load(), allowed.Load(), fetched.Load(), last)
				}
				tokens.Add(fetched.Load())
				denials.Add(1 - allowed.Load())
			}
		})
	}
	for number := range *tortures {
		numbers <- number
	}
	close(numbers)
	running.Wait()
	took := time.Since(began)
	summary := fmt.Sprintf("%d requests: %d polls and %d decisions raced, %d tokens, %d refusals, in %s", *tortures, polls.Load(), decisions.Load(), tokens.Load(), denials.Load(), took.Round(time.Millisecond))
	t.Log(summary)
	if tokens.Load()+denials.Load() != int64(*tortures) {
		t.Error(summary)
	}
}
