package providers

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/bench/servers"
	"countersign/internal/browsertest"
	"countersign/rp/client"
	"countersign/rs"
)

// TestNodeOIDCProvider: our relying party and our resource server with node-oidc-provider, which demands its nonces in DPoP proofs.
//
// Covers: RX-04, RX-05, RX-06, RX-07, KY-17.
func TestNodeOIDCProvider(t *testing.T) {
	s := newSite(t)
	peer := &servers.Server{Alg: "PS256"}
	l := lab(t)
	b := newBank(t, peer, filepath.Join(l.Folder, "node-PS256", "tls.crt"), client.Weak{}, "urn:example:high", func(issuer string) {
		if err := l.NodeOIDCProvider(t.Context(), peer, "BACKCHANNEL="+s.backchannel(), "UPSTREAM="+issuer, "NODE_EXTRA_CA_CERTS="+s.certificate()); err != nil {
			t.Fatalf("node-oidc-provider: %v; the first time npm needs the network", err)
		}
	})
	t.Cleanup(peer.Close)
	says(t, filepath.Join(l.Folder, "node-PS256.log"))
	s.open(peer, filepath.Join(l.Folder, "node-PS256", "tls.crt"), client.Config{}, rs.Weak{})
	b.story(t, provider{
		signIn: func(in *browsertest.Browser) { in.Type("#user", "alice"); in.Click("#in") },
		deny:   func(in *browsertest.Browser) { in.Click("#no") },
		amr:    "[pwd otp]",
	})
	s.story(t)
	t.Run("refuses a token for another API of the same provider", func(t *testing.T) {
		tokens, err := s.app.Client().ClientCredentials(t.Context(), client.TokenOptions{Scopes: []string{"accounts"}, Resource: []string{appURL + "/other"}})
		if err != nil {
			t.Fatal(err)
		}
		s.refused(t, s.app.Client().HTTP(tokens), "another resource")
	})
}

// TestKeycloak: the same with Keycloak, whose access tokens have no type of their own, and whose logout tokens neither: both are named.
//
// Covers: RX-04, RX-05, RX-06, RX-07.
func TestKeycloak(t *testing.T) {
	s := newSite(t)
	t.Setenv("PEERS_BACKCHANNEL", s.backchannel())
	t.Setenv("KC_TRUSTSTORE_PATHS", s.certificate())
	t.Setenv("JAVA_OPTS_APPEND", "-XX:TieredStopAtLevel=1") // it lives for a minute
	peer := &servers.Server{Alg: "PS256"}
	l := lab(t)
	if err := l.Keycloak(t.Context(), peer); err != nil {
		t.Fatalf("Keycloak: %v; the first time Maven needs the network (apt-get install maven default-jre-headless)", err)
	}
	t.Cleanup(peer.Close)
	says(t, filepath.Join(l.Folder, "keycloak.log"))
	s.open(peer, filepath.Join(l.Folder, "keycloak", "tls.crt"), client.Config{Profile: client.Plain, Weak: client.Weak{UntypedLogoutToken: true}}, rs.Weak{AnyType: true})
	s.story(t)
	t.Run("refuses its tokens where their type is demanded", func(t *testing.T) {
		b := s.browser()
		tokens := b.tokens()
		guard := s.newGuard(audience, rs.Weak{})
		s.mux.Handle("/api/typed", guard.Require()(http.NotFoundHandler()))
		response, err := s.app.Client().HTTP(tokens).Get(audience + "/typed")
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if body, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), "at+jwt") {
			t.Errorf("%s %s %v", response.Status, body, err)
		}
	})
}

// story is what each provider goes through with us.
func (s *site) story(t *testing.T) {
	var b *browser
	t.Run("accepts a login with PAR, private_key_jwt and DPoP, and the ID token", func(t *testing.T) {
		b = s.browser()
		who := b.me()
		if who.Sub == "" || b.callback == "" {
			t.Errorf("nobody is signed in: %+v", who)
		}
		tokens := b.tokens()
		if tokens.TokenType != "DPoP" || tokens.JKT == "" || tokens.Identity.Subject != who.Sub || tokens.Identity.SessionID == "" {
			t.Errorf("the tokens are %+v, %+v", tokens, tokens.Identity)
		}
	})
	if b == nil || b.callback == "" {
		return
	}
	t.Run("accepts userinfo", func(t *testing.T) {
		one := s.protocol(t)
		address, transaction, err := one.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := one.Callback(t.Context(), transaction, s.comesBack(t, address))
		if err != nil {
			t.Fatal(err)
		}
		info, err := one.UserInfo(t.Context(), tokens)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]any
		if err := info.Decode(&claims); err != nil || claims["sub"] != b.me().Sub || claims["name"] != "Alice Example" {
			t.Errorf("%v %v", claims, err)
		}
	})
	t.Run("accepts its access token at an API on package rs", func(t *testing.T) {
		var answer struct {
			Sub, JKT string
			ClientID string `json:"client_id"`
		}
		if err := b.read("/accounts", &answer); err != nil || answer.Sub != b.me().Sub || answer.ClientID != "rp" || answer.JKT != b.tokens().JKT {
			t.Errorf("%+v %v", answer, err)
		}
	})
	t.Run("accepts a refresh, and its token at the API", func(t *testing.T) {
		before := b.tokens()
		after, err := s.app.Client().Refresh(t.Context(), before, client.RefreshOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if after.AccessToken == before.AccessToken || after.Identity == nil || after.RefreshToken == "" {
			t.Errorf("refreshed: %+v", after)
		}
		s.answered(t, s.app.Client().HTTP(after))
	})
	t.Run("refuses the access token without a proof", func(t *testing.T) {
		for _, scheme := range []string{"DPoP", "Bearer"} {
			s.refused(t, &http.Client{Transport: withToken{s.transport(), scheme, b.tokens().AccessToken}}, "")
		}
	})
	t.Run("refuses the access token with the proof of another key", func(t *testing.T) {
		thief, err := client.GenerateKey("ES256")
		if err != nil {
			t.Fatal(err)
		}
		settings := client.Config{Issuer: s.peer.Issuer, ClientID: "rp", Auth: client.PrivateKeyJWT(thief), Binding: client.DPoP(thief), Roots: s.roots, Transport: s.transport()}
		other, err := client.New(t.Context(), settings)
		if err != nil {
			t.Fatal(err)
		}
		stolen := b.tokens()
		stolen.JKT = thief.Thumbprint()
		s.refused(t, other.HTTP(stolen), "")
	})
	t.Run("refuses a token that was changed", func(t *testing.T) {
		changed := b.tokens()
		parts := strings.Split(changed.AccessToken, ".")
		parts[2] = strings.Map(func(r rune) rune {
			if r == 'A' {
				return 'B'
			}
			return r
		}, "A"+parts[2][1:])
		changed.AccessToken = strings.Join(parts, ".")
		s.refused(t, s.app.Client().HTTP(changed), "")
	})
	t.Run("refuses a callback that was used, is another browser's, or names another issuer", func(t *testing.T) {
		fresh := s.browser()
		for name, try := range map[string]struct {
			browser *browser
			address string
		}{
			"used":            {b, b.callback},
			"another browser": {fresh, b.callback},
			"another issuer":  {b, spoiled(t, b.callback, "iss", "https://evil.example")},
			"without issuer":  {b, spoiled(t, b.callback, "iss", "")},
			"another state":   {b, spoiled(t, b.callback, "state", "another")},
		} {
			if text, err := try.browser.once(try.address); err == nil {
				t.Errorf("%s: %q", name, text)
			}
		}
		if !s.signedOut(fresh) || s.signedOut(b) {
			t.Error("a session has begun or ended by it")
		}
	})
	t.Run("refuses a code with another key than the request's", func(t *testing.T) {
		one, other := s.protocol(t), s.protocol(t) // each with a proof key of its own
		address, transaction, err := one.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = other.Callback(t.Context(), transaction, s.comesBack(t, address))
		if refused, ok := errors.AsType[*client.ProviderError](err); ok && refused.Code == "invalid_grant" {
			return
		}
		if _, ok := errors.AsType[*client.CheckError](err); !ok {
			t.Errorf("%v", err)
		}
	})
	t.Run("accepts a logout that begins at the application", func(t *testing.T) {
		b := s.browser()
		who, ended := b.me(), len(s.logouts())
		text, err := b.open(appURL + who.Logout)
		if err != nil || text != "start" {
			t.Fatalf("%q %v", text, err)
		}
		if !s.signedOut(b) || len(s.logouts()) == ended {
			t.Error("the session goes on")
		}
		before := s.signIns(b)
		b.me()
		if s.signIns(b) == before {
			t.Error("the provider did not ask who that is")
		}
	})
	t.Run("accepts a logout that begins at the provider, told by the back channel", func(t *testing.T) {
		b := s.browser()
		tokens, ended := b.tokens(), len(s.logouts())
		address, err := s.app.Client().LogoutURL(client.LogoutOptions{IDTokenHint: tokens.IDToken, PostLogoutRedirectURI: appURL + "/auth/logged-out", State: "elsewhere"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.open(address); err == nil {
			t.Error("the application takes a logout that it did not begin for its own")
		}
		for range 100 {
			if len(s.logouts()) > ended { // which comes after the end of the session
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if !s.signedOut(b) {
			t.Fatal("the session goes on")
		}
		told := s.logouts()
		last := told[len(told)-1]
		if !last.Backchannel || last.SessionID != tokens.Identity.SessionID {
			t.Errorf("told was %+v, want the session %q", last, tokens.Identity.SessionID)
		}
	})
	t.Run("refuses logout tokens that are not the provider's", func(t *testing.T) {
		b := s.browser()
		for _, token := range []string{"", "no.token.here", b.tokens().IDToken, b.tokens().AccessToken} {
			response, err := b.http.PostForm(s.backchannel(), map[string][]string{"logout_token": {token}})
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusBadRequest {
				t.Errorf("%.20q: %s", token, response.Status)
			}
		}
		if s.signedOut(b) {
			t.Error("a session has ended by it")
		}
	})
	t.Run("refuses a refresh token that was revoked", func(t *testing.T) {
		tokens := s.browser().tokens()
		if err := s.app.Client().Revoke(t.Context(), tokens.RefreshToken, "refresh_token"); err != nil {
			t.Fatal(err)
		}
		_, err := s.app.Client().Refresh(t.Context(), tokens, client.RefreshOptions{})
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Code != "invalid_grant" {
			t.Errorf("%v", err)
		}
	})
}

// signIns is how often somebody has signed in: by the pages that the browser has filled in, or as the provider says that asks nothing.
func (s *site) signIns(b *browser) string {
	b.t.Helper()
	if b.fill != nil {
		return strings.Repeat("I", b.pages)
	}
	response, err := b.http.Get(s.peer.Issuer + "/sign-ins")
	if err != nil {
		b.t.Fatal(err)
	}
	defer response.Body.Close()
	count, err := io.ReadAll(response.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return string(count)
}

// protocol is a client without an application, for the same registration.
func (s *site) protocol(t *testing.T) *client.Client {
	t.Helper()
	key, err := client.ParseKey(s.peer.Key.PrivateJWK())
	if err != nil {
		t.Fatal(err)
	}
	made, err := client.New(t.Context(), client.Config{
		Issuer: s.peer.Issuer, ClientID: "rp", RedirectURI: appURL + "/auth/callback", Auth: client.PrivateKeyJWT(key), Scopes: []string{"openid", "accounts"},
		Roots: s.roots, Transport: s.transport(),
	})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// comesBack has a browser go through an authorization, and is what it brings back.
func (s *site) comesBack(t *testing.T, address string) url.Values {
	t.Helper()
	b := s.browser()
	_, failure := b.open(address) // the application does not know this login, and says so
	answer, err := url.ParseQuery(strings.TrimPrefix(b.callback, appURL+"/auth/callback?"))
	if err != nil || !answer.Has("code") {
		t.Fatalf("the browser came back with %q, %v, %v", b.callback, err, failure)
	}
	return answer
}

// answered expects the API's answer.
func (s *site) answered(t *testing.T, as *http.Client) {
	t.Helper()
	response, err := as.Get(audience + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("the API answers %s %v", response.Status, response.Header["Www-Authenticate"])
	}
}

// refused expects the API to refuse, for a reason that its answer says.
func (s *site) refused(t *testing.T, as *http.Client, reason string) {
	t.Helper()
	response, err := as.Get(audience + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), reason) || response.Header.Get("WWW-Authenticate") == "" {
		t.Errorf("the API answers %s %s %v %v", response.Status, body, response.Header["Www-Authenticate"], err)
	}
}

// withToken sends a token as it is.
type withToken struct {
	through       http.RoundTripper
	scheme, token string
}

// RoundTrip implements http.RoundTripper.
func (w withToken) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", w.scheme+" "+w.token)
	return w.through.RoundTrip(r)
}
