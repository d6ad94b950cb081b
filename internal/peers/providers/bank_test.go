package providers

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/bench/servers"
	"countersign/fapi/fapitest"
	"countersign/fapi/login"
	"countersign/fapi/upstream"
	"countersign/internal/browsertest"
	"countersign/internal/outbound"
	"countersign/rp/client"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// acrBank is what a sign-in at the provider counts as.
const acrBank = "urn:bank.example:acr:sca"

// bank is a server of ours whose users sign in at the provider, and an application of it.
type bank struct {
	*fapitest.World
	peer         *servers.Server
	client       *fapitest.Client
	certificates []*x509.Certificate

	mu     sync.Mutex
	answer url.Values
}

// provider is how a person uses the pages of one.
type provider struct {
	signIn, deny func(*browsertest.Browser)
	// amr are the methods that tokens name in the end.
	amr string
}

// newBank starts one. start starts the provider, which has to know the bank's address, and whose certificate is then in a file.
func newBank(t *testing.T, peer *servers.Server, certificateFile string, weak client.Weak, class string, start func(issuer string)) *bank {
	t.Helper()
	b := &bank{peer: peer}
	certificate, _ := fapitest.ServerCertificate(t)
	application := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.answer = r.URL.Query()
		b.mu.Unlock()
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `<!DOCTYPE html><html lang="en"><title>Application</title><link rel="icon" href="data:,"><h1>Back at the application</h1>`)
	}))
	application.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	application.StartTLS()
	t.Cleanup(application.Close)
	b.World = fapitest.NewWorld(t, fapitest.WithAuditChain, fapitest.WithDevices, func(c *fapitest.Config) {
		start(c.Issuer)
		text, err := os.ReadFile(certificateFile)
		if err != nil {
			t.Fatal(err)
		}
		block, _ := pem.Decode(text)
		theirs, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		b.certificates = []*x509.Certificate{certificate.Leaf, theirs}
		roots := x509.NewCertPool()
		roots.AddCert(theirs)
		key, err := client.ParseKey(peer.Key.PrivateJWK())
		if err != nil {
			t.Fatal(err)
		}
		settings := &upstream.Settings{
			Issuer: peer.Issuer, ClientID: "countersign", Scopes: []string{"openid"}, Weak: weak,
			Credential: func(context.Context) (upstream.Credential, error) {
				return upstream.Credential{ID: key.ID(), Auth: client.PrivateKeyJWT(key), Binding: client.DPoP(key)}, nil
			},
			Classes:   []upstream.Class{{Upstream: class, ACR: acrBank, AMR: []string{"pwd"}}},
			Transport: outbound.New(outbound.Policy{AllowLoopback: true, Roots: roots, Now: c.Now}).Transport(),
		}
		c.Login = &login.Settings{Upstream: settings, HandOff: settings.HandOff(c.Issuer, 5*time.Minute)}
	})
	b.client = b.Register("client-1", func(c *fapitest.Client, m map[string]any) {
		c.RedirectURI = application.URL + "/callback"
		m["redirect_uris"] = []string{c.RedirectURI}
	})
	b.onTime()
	return b
}

// onTime sets the clock of the world, which stands still, to the provider's.
func (b *bank) onTime() { b.Clock.Advance(time.Since(b.Clock.Now()).Truncate(time.Second)) }

// begin pushes a request, and gives the address at which a browser goes on.
func (b *bank) begin(t *testing.T) string {
	t.Helper()
	b.onTime()
	b.mu.Lock()
	b.answer = nil
	b.mu.Unlock()
	pushed := b.client.Push(fapitest.Changes(fapitest.Set("acr_values", acrBank), fapitest.Set("prompt", "consent")))
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	return b.AuthorizeURL(b.client.ID, pushed.Text("request_uri"))
}

// sent is what the application was sent.
func (b *bank) sent() url.Values {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.answer
}

// story is what each provider goes through with the bank.
func (b *bank) story(t *testing.T, at provider) {
	open := func() *browsertest.Browser {
		in := browsertest.Open(t, b.certificates...)
		in.Visit("about:blank")
		return in
	}
	ours, theirs := open(), open()
	t.Run("accepts a person who signs in at the provider, in the browser, and what it says of the sign-in", func(t *testing.T) {
		ours.Visit(b.begin(t))
		if !strings.HasPrefix(ours.Location(), b.peer.Issuer) {
			t.Fatalf("the browser is at %s", ours.Location())
		}
		began := time.Now()
		at.signIn(ours)
		b.onTime()
		if !strings.HasPrefix(ours.Location(), b.Issuer) {
			t.Fatalf("the browser is at %s: %s\n%s", ours.Location(), ours.Text("body"), b.Logs)
		}
		ours.Click("#allow")
		ours.AwaitText("h1", "Back at the application")
		code := b.sent().Get("code")
		if code == "" {
			t.Fatalf("sent %v", b.sent())
		}
		issued := b.client.Redeem(code, nil)
		fapitest.WantOK(t, issued)
		claims := b.VerifyType(t, issued.Text("id_token"), "JWT")
		signedIn, _ := claims["auth_time"].(float64)
		if subject, _ := claims["sub"].(string); !strings.HasPrefix(subject, "up-") || claims["acr"] != acrBank || fmt.Sprint(claims["amr"]) != at.amr ||
			signedIn < float64(began.Add(-time.Minute).Unix()) || signedIn > float64(time.Now().Add(time.Second).Unix()) {
			t.Errorf("the ID token says %v", claims)
		}
	})
	t.Run("refuses the answer of another browser, and goes on in the one that began", func(t *testing.T) {
		theirs.Visit(b.begin(t))
		stolen := b.Issuer + upstream.CallbackPath + "?" + url.Values{"code": {"code"}, "state": {"state"}, "iss": {b.peer.Issuer}}.Encode()
		ours.Visit(stolen)
		if text := ours.Text("main"); !strings.HasPrefix(ours.Location(), b.Issuer) || b.sent() != nil || text == "" {
			t.Errorf("at %s: %s, sent %v", ours.Location(), text, b.sent())
		}
		ours.Complaints() // of the page's status
	})
	t.Run("refuses another issuer's answer", func(t *testing.T) {
		asked, err := url.Parse(theirs.Eval("location.href"))
		if err != nil {
			t.Fatal(err)
		}
		theirs.Visit(b.Issuer + upstream.CallbackPath + "?" + url.Values{
			"code": {"code"}, "state": {asked.Query().Get("state")}, "iss": {"https://evil.example"},
		}.Encode())
		if b.sent() != nil || !strings.HasPrefix(theirs.Location(), b.Issuer) {
			t.Errorf("at %s, sent %v", theirs.Location(), b.sent())
		}
		theirs.Complaints()
	})
	t.Run("refuses without a person: who says no at the provider goes back with access_denied", func(t *testing.T) {
		in := open()
		in.Visit(b.begin(t))
		at.deny(in)
		in.AwaitText("h1", "Back at the application")
		if sent := b.sent(); sent.Get("error") != "access_denied" || sent.Has("code") {
			t.Errorf("sent %v", sent)
		}
	})
}
