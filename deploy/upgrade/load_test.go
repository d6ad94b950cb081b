package upgrade

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"countersign/internal/flowclient"
)

func trusting(roots *x509.CertPool) *tls.Config { return &tls.Config{RootCAs: roots} }

// party is a client of the demo's registration and a user's browser, both by way of one address.
type party struct {
	*flowclient.Client
	browser *flowclient.Browser
}

// newParty makes a client that knows the server, with a browser in which nobody has signed in.
func (i *installation) newParty(address string) (*party, error) {
	transport := i.transport(address)
	p := &party{Client: flowclient.New(flowclient.Config{
		Issuer: i.issuer, ID: i.demo.ClientID, Scope: i.demo.Scope, RedirectURI: i.demo.RedirectURI, Key: i.demo.ClientKey, ProofKey: i.demo.ProofKey,
		HTTP: &http.Client{Timeout: 20 * time.Second, Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }},
	})}
	browser, err := flowclient.NewBrowser(transport)
	if err != nil {
		return nil, err
	}
	browser.Issuer, browser.Username, browser.Password = i.issuer, "alice", i.demo.Password
	p.browser = browser
	return p, p.Discover(context.Background())
}

// flow goes from the pushed request to UserInfo, and then to new tokens, which it gives.
func (p *party) flow(ctx context.Context) (flowclient.Tokens, error) {
	issued, err := p.Flow(ctx, p.browser)
	if err != nil {
		return issued, fmt.Errorf("flow: %w", err)
	}
	if err := p.use(ctx, issued.AccessToken); err != nil {
		return issued, err
	}
	return p.renew(ctx, issued.RefreshToken)
}

// use asks for UserInfo.
func (p *party) use(ctx context.Context, accessToken string) error {
	info, err := p.Get(ctx, p.Endpoints.UserInfo, accessToken)
	if err == nil {
		err = info.Expect(http.StatusOK)
	}
	if err != nil {
		return fmt.Errorf("UserInfo: %w", err)
	}
	return nil
}

// renew gets new tokens by a refresh token, and uses them.
func (p *party) renew(ctx context.Context, refreshToken string) (flowclient.Tokens, error) {
	reply, err := p.Refresh(ctx, refreshToken)
	if err != nil {
		return flowclient.Tokens{}, fmt.Errorf("refresh: %w", err)
	}
	renewed, err := reply.Tokens()
	if err != nil {
		return renewed, fmt.Errorf("refresh: %w", err)
	}
	renewed.RefreshToken = cmp.Or(renewed.RefreshToken, refreshToken) // which goes on, when no other comes
	return renewed, p.use(ctx, renewed.AccessToken)
}

// load is parties that go through flows until they are stopped.
type load struct {
	flows, failed atomic.Int64
	stop          atomic.Bool
	all           sync.WaitGroup
}

// begin starts parties at each address. Every tenth flow is in a new browser, so that somebody signs in again.
func (i *installation) begin(t *testing.T, addresses ...string) *load {
	t.Helper()
	l := new(load)
	for _, address := range addresses {
		for range 3 {
			l.all.Go(func() {
				var p *party
				for n := 0; !l.stop.Load(); n++ {
					var err error
					if n%10 == 0 {
						p, err = i.newParty(address)
					}
					if err == nil {
						_, err = p.flow(t.Context())
					}
					l.flows.Add(1)
					if err != nil {
						l.failed.Add(1)
						t.Errorf("%s, by way of %s: %v", time.Now().Format("15:04:05.000"), address, err)
						p, err = i.newParty(address)
						if err != nil {
							t.Error(err)
							return
						}
					}
					time.Sleep(20 * time.Millisecond)
				}
			})
		}
	}
	return l
}

// end waits for the flows that have begun.
func (l *load) end() {
	l.stop.Store(true)
	l.all.Wait()
}
