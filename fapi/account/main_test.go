package account_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/fapi/account"
	"countersign/fapi/authorize"
	"countersign/fapi/fapitest"
	"countersign/fapi/scope"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// withAccount has a server with the pages and the API of accounts; whoever is in front of a browser of the world still decides as
// the test says.
func withAccount(c *fapitest.Config) {
	user := c.Interactor
	fapitest.WithDevices(c)
	c.Interactor = user
	c.ACRValues = append(authorize.ACRValues(), fapitest.ACRPassword)
	c.AuthorizationDetailTypes = fapitest.DetailTypes()
	c.Scopes = append(c.Scopes, scope.Scope{Name: "account", Description: "See and end what you gave"})
	c.Account = account.API{Scope: "account", Clients: []string{"bank-app", "bank-mtls"}}
}

// bank is a world with the users alice and bob, applications of theirs, and the bank's own application.
type bank struct {
	*fapitest.World
	// app is the bank's own; budget and ledger are others.
	app, budget, ledger *fapitest.Client
}

func newBank(t *testing.T) *bank {
	t.Helper()
	w := fapitest.NewWorld(t, withAccount)
	w.AddUser("sub-bob", "bob", `{}`)
	return &bank{
		World: w, app: w.Register("bank-app", ownScope),
		budget: w.Register("budget", fapitest.All(fapitest.AllScopes, fapitest.SetMember("client_name", "Orchid Budget"))),
		ledger: w.Register("ledger", fapitest.All(fapitest.AllScopes, fapitest.SetMember("client_name", "Quillmere Ledger"))),
	}
}

func ownScope(c *fapitest.Client, m map[string]any) {
	c.Scope = "openid account"
	m["scope"] = c.Scope
}

// as has a user in front of every browser.
func (b *bank) as(name string) { b.User.Is("sub-"+name, fapitest.ACRPassword) }

// given are the tokens for something that a user allows a client.
func (b *bank) given(name string, c *fapitest.Client, details string) fapitest.Reply {
	b.T.Helper()
	b.as(name)
	return c.TokensFor(func(form url.Values, _ http.Header) {
		form.Set("scope", "openid offline_access")
		if details != "" {
			form.Set("authorization_details", details)
		}
	})
}

// at is a browser at the pages in which a user is signed in.
func (b *bank) at(t *testing.T, name string) *fapitest.DeviceBrowser {
	t.Helper()
	p := b.DeviceBrowser(t)
	p.HTTP.Transport = named{p.HTTP.Transport, "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"}
	p.Send(p.Visit("/account"), "/account", "sign-in", "username", name, "password", "right").Has(t, http.StatusOK, "Signed in as", name, "Your account")
	return p
}

// elsewhere is the browser, sent to another node.
func elsewhere(t *testing.T, b *bank, n *fapitest.Node, p *fapitest.DeviceBrowser) *fapitest.DeviceBrowser {
	t.Helper()
	over := *p
	client := *n.Browser(b.Browser()).HTTP
	client.Jar = p.HTTP.Jar
	over.HTTP = &client
	return &over
}

// named names the browser.
type named struct {
	http.RoundTripper
	agent string
}

// RoundTrip implements [http.RoundTripper].
func (n named) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", n.agent)
	return n.RoundTripper.RoundTrip(r)
}

// call calls the API with an access token.
func call(c *fapitest.Client, method, path, token string, change func(http.Header)) fapitest.Reply {
	c.World.T.Helper()
	request, err := http.NewRequest(method, c.Base()+path, nil)
	if err != nil {
		c.World.T.Fatal(err)
	}
	if c.DPoP {
		proved, _, _ := strings.Cut(path, "?")
		request.Header.Set("Authorization", "DPoP "+token)
		request.Header.Set("DPoP", c.Proof(method, c.Base()+proved, token, nil))
	} else {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if change != nil {
		change(request.Header)
	}
	return c.Do(request)
}

// list is a list in an answer.
func list(t *testing.T, r fapitest.Reply, name string) []map[string]any {
	t.Helper()
	fapitest.WantOK(t, r)
	raw, err := json.Marshal(r.Body[name])
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// dead wants tokens that are good for nothing.
func dead(t *testing.T, c *fapitest.Client, tokens fapitest.Reply) {
	t.Helper()
	fapitest.WantError(t, c.Get("/userinfo", tokens.Text("access_token"), nil), 401, "invalid_token")
	if refresh := tokens.Text("refresh_token"); refresh != "" {
		fapitest.WantError(t, c.Refresh(refresh, nil), 400, "invalid_grant")
	}
}

// alive wants tokens that are good.
func alive(t *testing.T, c *fapitest.Client, tokens fapitest.Reply) {
	t.Helper()
	fapitest.WantOK(t, c.Get("/userinfo", tokens.Text("access_token"), nil))
}
