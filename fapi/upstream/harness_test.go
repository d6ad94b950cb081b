package upstream_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/fapi/login"
	"countersign/fapi/upstream"
	"countersign/internal/outbound"
	"countersign/rp/client"
	"countersign/rp/client/providertest"
	"countersign/signer"
)

// The classes here, and those of the provider.
const (
	acrSCA, acrPassword       = "urn:bank:sca", "urn:bank:password"
	providerHigh, providerLow = "urn:example:high", "urn:example:low"
)

// site is a server that has its users signed in by a provider.
type site struct {
	*fapitest.World
	provider *providertest.Provider
	client   *fapitest.Client
}

// newSite starts one. change alters the settings.
func newSite(t *testing.T, change func(*upstream.Settings), more ...fapitest.Option) *site {
	t.Helper()
	s := &site{provider: providertest.New(t)}
	w, _ := fapitest.NewFullWorld(t, append([]fapitest.Option{fapitest.WithAuditChain, fapitest.WithLogout, func(c *fapitest.Config) {
		settings := &upstream.Settings{
			Issuer: s.provider.Issuer, ClientID: providertest.ClientID, Scopes: []string{"openid", "profile"},
			Credential: hsmKey(c), Username: "preferred_username", SignOut: true,
			Classes: []upstream.Class{
				{Upstream: providerHigh, ACR: acrSCA, AMR: []string{"mfa"}},
				{Upstream: providerLow, With: []string{"otp"}, ACR: acrSCA, AMR: []string{"otp"}},
				{Upstream: providerLow, ACR: acrPassword, AMR: []string{"pwd"}},
			},
			Claims: []upstream.Claim{{Name: "name", From: "name"}, {Name: "email", From: "mail"}},
			Transport: outbound.New(outbound.Policy{
				AllowLoopback: true, Roots: s.provider.Roots, Now: c.Now,
			}).Transport(),
		}
		if change != nil {
			change(settings)
		}
		c.Login = &login.Settings{Upstream: settings, HandOff: settings.HandOff(c.Issuer, 5*time.Minute)}
	}}, more...)...)
	s.World = w
	s.sync()
	s.client = w.Register("client-1", fapitest.AllScopes)
	return s
}

// hsmKey authenticates by the key of the HSM with the use login.
func hsmKey(c *fapitest.Config) func(context.Context) (upstream.Credential, error) {
	return func(ctx context.Context) (upstream.Credential, error) {
		active, err := c.Signer.Active(ctx, signer.UseLogin, signer.PS256)
		if err != nil {
			return upstream.Credential{}, err
		}
		key, err := client.KeyFunc(active.ID, string(active.Algorithm), active.Public, active.Sign)
		return upstream.Credential{ID: active.ID, Auth: client.PrivateKeyJWT(key), Binding: client.DPoP(key)}, err
	}
}

// sync sets the provider's clock to the server's.
func (s *site) sync() { s.provider.Advance(s.Clock.Now().Truncate(time.Second).Sub(s.provider.Now())) }

// begin pushes a request and opens it in a browser, which is sent to the provider at the address that is returned.
func (s *site) begin(t *testing.T, in *fapitest.Browser, change fapitest.Change) string {
	t.Helper()
	pushed := s.client.Push(change)
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := in.Visit(s.AuthorizeURL(s.client.ID, pushed.Text("request_uri")))
	if sentTo == nil || status != http.StatusSeeOther || !strings.HasPrefix(sentTo.String(), s.provider.Issuer+"/authorize?") {
		t.Fatalf("not sent to the provider: %d %s %v", status, body, sentTo)
	}
	return sentTo.String()
}

// back is the address with which the provider sends the browser back, signed in.
func (s *site) back(address string) string { return s.callback(s.provider.Login(address)) }

// callback is the address of an answer.
func (s *site) callback(answer url.Values) string {
	return s.Issuer + upstream.CallbackPath + "?" + answer.Encode()
}

// signIn goes through all of it.
func (s *site) signIn(t *testing.T, in *fapitest.Browser, change fapitest.Change) fapitest.Reply {
	t.Helper()
	return s.redeem(t, in, s.back(s.begin(t, in, change)))
}

// redeem opens the address with which the provider sends the browser back, by which the client gets a code, and redeems it.
func (s *site) redeem(t *testing.T, in *fapitest.Browser, address string) fapitest.Reply {
	t.Helper()
	sent := in.Sent(t, address)
	if sent.Get("code") == "" {
		t.Fatalf("no code: %v", sent)
	}
	issued := s.client.Redeem(sent.Get("code"), nil)
	fapitest.WantOK(t, issued)
	return issued
}

// wantError opens an address, by which the client gets an error.
func wantError(t *testing.T, in *fapitest.Browser, at, want string) {
	t.Helper()
	sent := in.Sent(t, at)
	if sent.Get("error") != want || sent.Has("code") || sent.Get("state") != "state-1" {
		t.Fatalf("sent %v, want %s", sent, want)
	}
}

// wantPage opens an address, at which there is an error for the user, and nothing else.
func wantPage(t *testing.T, in *fapitest.Browser, at string, status int, says string) {
	t.Helper()
	got, body, sentTo := in.Visit(at)
	if got != status || sentTo != nil || !strings.Contains(body, says) {
		t.Fatalf("answered %d %s %v, want %d %s", got, body, sentTo, status, says)
	}
}

// nothingGranted demands that no grant is made, and nobody signed in.
func (s *site) nothingGranted(t *testing.T, do func()) {
	t.Helper()
	for _, e := range s.NewEvents(t, do) {
		if name := e.Detail["event"]; name == "grant_made" || name == "signed_in" {
			t.Fatalf("granted: %v", e)
		}
	}
}

// says has the provider's ID tokens say something else; nil leaves a claim out.
func (s *site) says(claims fapitest.Claims) {
	s.provider.Behave(providertest.Behaviour{IDToken: func(said map[string]any) {
		for name, value := range claims {
			if said[name] = value; value == nil {
				delete(said, name)
			}
		}
	}})
}

// honest has the provider do what it should.
func (s *site) honest() { s.provider.Behave(providertest.Behaviour{}) }

func withClaims(claims string) fapitest.Change { return fapitest.Set("claims", claims) }

// essential demands a class.
func essential(acr string) fapitest.Change {
	return withClaims(`{"id_token":{"acr":{"essential":true,"values":["` + acr + `"]}}}`)
}
