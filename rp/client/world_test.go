package client_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"html"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/rp/client"
)

func TestMain(m *testing.M) { fapitest.Main(m) }

// keyOf is a key of a client of the world's.
func keyOf(t *testing.T, key jose.PrivateKey) client.Key {
	t.Helper()
	made, err := client.NewKey(key.Signer(), key.ID(), key.Algorithm())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// configOf configures a client of the world's as it is registered.
func configOf(t *testing.T, c *fapitest.Client) client.Config {
	t.Helper()
	config := client.Config{
		Issuer: c.World.Issuer, ClientID: c.ID, RedirectURI: c.RedirectURI, Scopes: strings.Fields(c.Scope),
		Roots: c.World.Roots, Now: c.World.Clock.Now,
	}
	if c.Assertion {
		config.Auth = client.PrivateKeyJWT(keyOf(t, c.Key))
	} else {
		config.Auth = client.MTLS(*c.Certificate)
	}
	switch {
	case c.DPoP:
		config.Binding = client.DPoP(keyOf(t, c.ProofKey))
	case c.Assertion:
		config.Binding = client.MTLSBoundWith(*c.Certificate)
	default:
		config.Binding = client.MTLSBound()
	}
	return config
}

// newClient makes one, with changes.
func newClient(t *testing.T, config client.Config, changes ...func(*client.Config)) *client.Client {
	t.Helper()
	for _, change := range changes {
		change(&config)
	}
	c, err := client.New(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answer goes to an address as a browser would, and gives what the client's callback gets.
func answer(t *testing.T, w *fapitest.World, address string) url.Values {
	t.Helper()
	status, body, sentTo := w.Browser().Visit(address)
	if sentTo == nil {
		t.Fatalf("the browser stayed, with status %d: %s", status, body)
	}
	if sentTo.Fragment != "" {
		return fapitest.Fragment(t, sentTo)
	}
	return sentTo.Query()
}

// login goes through an authorization.
func login(t *testing.T, w *fapitest.World, c *client.Client, options client.AuthorizeOptions) *client.Tokens {
	t.Helper()
	address, transaction, err := c.Authorize(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Callback(t.Context(), stored(t, transaction), answer(t, w, address))
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// stored is a value that was kept as JSON.
func stored[T any](t *testing.T, value T) T {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var read T
	if err := json.Unmarshal(raw, &read); err != nil {
		t.Fatal(err)
	}
	return read
}

// accounts calls the world's resource.
func accounts(t *testing.T, base string, c *client.Client, tokens *client.Tokens) {
	t.Helper()
	response, err := c.HTTP(tokens).Get(base + "/accounts")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK || !strings.Contains(string(body), "sub-") {
		t.Errorf("the resource answered %d %s", response.StatusCode, body)
	}
	if response.Header.Get("X-Fapi-Interaction-Id") == "" {
		t.Error("the resource got no x-fapi-interaction-id")
	}
}

// TestFAPI2Security goes through everything with the real server, authenticated and bound in each way.
//
// Covers: RP-01.
func TestFAPI2Security(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]fapitest.ClientOption{
		"accepts private_key_jwt with DPoP":              nil,
		"accepts tls_client_auth with mTLS":              fapitest.TLSClientAuth,
		"accepts self_signed_tls_client_auth with mTLS":  fapitest.SelfSignedTLSClientAuth,
		"accepts private_key_jwt with certificate bound": fapitest.CertificateBound,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _ := fapitest.NewFullWorld(t)
			registered := w.Register("client-1", change)
			c := newClient(t, configOf(t, registered))
			tokens := stored(t, *login(t, w, c, client.AuthorizeOptions{}))
			if tokens.Identity.Subject != "sub-alice" || tokens.RefreshToken == "" || tokens.Expired(w.Clock.Now(), 0) {
				t.Errorf("tokens %+v of %+v", tokens, tokens.Identity)
			}
			accounts(t, registered.Base(), c, &tokens)
			info, err := c.UserInfo(t.Context(), &tokens)
			if err != nil || info.Subject != "sub-alice" || !strings.Contains(string(info.Raw), "alice@example.com") {
				t.Errorf("UserInfo %+v, %v", info, err)
			}
			w.Clock.Advance(time.Hour)
			if !tokens.Expired(w.Clock.Now(), 0) {
				t.Error("the access token has not expired after an hour")
			}
			refreshed, err := c.Refresh(t.Context(), &tokens, client.RefreshOptions{})
			if err != nil {
				t.Fatal(err)
			}
			accounts(t, registered.Base(), c, refreshed)
			if refreshed.Identity == nil || refreshed.Identity.Subject != "sub-alice" || refreshed.RefreshToken == "" {
				t.Errorf("refreshed %+v", refreshed)
			}
			if err := c.Revoke(t.Context(), refreshed.RefreshToken, "refresh_token"); err != nil {
				t.Fatal(err)
			}
			_, err = c.Refresh(t.Context(), refreshed, client.RefreshOptions{})
			refused, ok := errors.AsType[*client.ProviderError](err)
			if !ok || refused.Code != "invalid_grant" || refused.Temporary() {
				t.Errorf("a revoked refresh token: %v", err)
			}
		})
	}
}

// TestDPoPNonces: a server that demands nonces gets them, at its own endpoints and at resources, each with one request more.
//
// Covers: RP-02.
func TestDPoPNonces(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, func(c *fapitest.Config) { c.RequireDPoPNonce = true })
	registered := w.Register("client-1", nil)
	config := configOf(t, registered)
	t.Run("accepts a demand for a nonce", func(t *testing.T) {
		c := newClient(t, config)
		tokens := login(t, w, c, client.AuthorizeOptions{})
		accounts(t, w.Issuer, c, tokens)
		if _, err := c.UserInfo(t.Context(), tokens); err != nil {
			t.Error(err)
		}
		w.Clock.Advance(24 * time.Hour) // the nonces are old now
		tokens, err := c.Refresh(t.Context(), tokens, client.RefreshOptions{})
		if err != nil {
			t.Fatal(err)
		}
		accounts(t, w.Issuer, c, tokens)
	})
	t.Run("accepts a POST whose body can be read again", func(t *testing.T) {
		c := newClient(t, config)
		response, err := c.HTTP(login(t, w, c, client.AuthorizeOptions{})).Post(w.Issuer+"/userinfo", "application/x-www-form-urlencoded", strings.NewReader(""))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("status %d", response.StatusCode)
		}
	})
	t.Run("refuses tokens of another DPoP key, and refreshes them", func(t *testing.T) {
		before, after := newClient(t, config), newClient(t, config, func(c *client.Config) { c.Binding = client.Binding{} })
		tokens := login(t, w, before, client.AuthorizeOptions{})
		if !before.Holds(tokens) || after.Holds(tokens) {
			t.Fatal("whose tokens they are is not known")
		}
		_, err := after.HTTP(tokens).Get(w.Issuer + "/accounts")
		if _, ok := errors.AsType[*client.ConfigError](err); !ok {
			t.Errorf("they were used: %v", err)
		}
		if _, err = after.UserInfo(t.Context(), tokens); err == nil {
			t.Error("they were used at UserInfo")
		}
		refreshed, err := after.Refresh(t.Context(), tokens, client.RefreshOptions{})
		if err != nil {
			t.Fatal(err)
		}
		accounts(t, w.Issuer, after, refreshed)
	})
}

// TestMessageSigning: requests and answers are signed, and encrypted ID tokens and UserInfo are read.
//
// Covers: RP-03.
func TestMessageSigning(t *testing.T) {
	t.Parallel()
	signing := func(c *client.Config) { c.Profile = client.FAPI2MessageSigning }
	t.Run("accepts JAR, JARM, signed introspection and signed UserInfo", func(t *testing.T) {
		t.Parallel()
		w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
		registered := w.Register("client-1", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SignedUserInfo))
		c := newClient(t, configOf(t, registered), signing)
		tokens := login(t, w, c, client.AuthorizeOptions{})
		accounts(t, w.Issuer, c, tokens)
		info, err := c.UserInfo(t.Context(), tokens)
		if err != nil || info.JWT == "" || info.Subject != "sub-alice" {
			t.Errorf("UserInfo %+v, %v", info, err)
		}
		ledger := w.ResourceServer("ledger", w.Issuer)
		rs := newClient(t, client.Config{
			Issuer: w.Issuer, ClientID: ledger.ID, Auth: client.PrivateKeyJWT(keyOf(t, ledger.Key)), Roots: w.Roots, Now: w.Clock.Now, SignedIntrospection: true,
			RedirectURI: "https://unused.example/",
		})
		told, err := rs.Introspect(t.Context(), tokens.AccessToken)
		if err != nil || !told.Active || told.JWT == "" {
			t.Errorf("introspection %+v, %v", told, err)
		}
	})
	t.Run("accepts encrypted answers", func(t *testing.T) {
		t.Parallel()
		w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		decrypter, err := client.NewDecrypter(key, "")
		if err != nil {
			t.Fatal(err)
		}
		var published struct{ Keys json.RawMessage }
		registered := w.Register("client-1", fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.SignedUserInfo, func(c *fapitest.Client, m map[string]any) {
			keys := newClient(t, client.Config{
				Issuer: w.Issuer, ClientID: c.ID, Auth: client.PrivateKeyJWT(keyOf(t, c.Key)), Roots: w.Roots, Decrypt: []client.Decrypter{decrypter},
			}).Keys()
			if err := json.Unmarshal(keys, &published); err != nil {
				t.Fatal(err)
			}
			m["jwks"] = json.RawMessage(keys)
			for _, name := range []string{"id_token", "userinfo", "authorization"} {
				m[name+"_encrypted_response_alg"], m[name+"_encrypted_response_enc"] = "ECDH-ES", "A256GCM"
			}
		}))
		c := newClient(t, configOf(t, registered), signing, func(c *client.Config) {
			c.Decrypt, c.RequireIDTokenEncryption = []client.Decrypter{decrypter}, true
		})
		tokens := login(t, w, c, client.AuthorizeOptions{})
		if jose.IsEncrypted(tokens.IDToken) {
			t.Error("the ID token is kept encrypted")
		}
		info, err := c.UserInfo(t.Context(), tokens)
		if err != nil || info.Subject != "sub-alice" {
			t.Errorf("UserInfo %+v, %v", info, err)
		}
	})
	t.Run("refuses an ID token that is not encrypted", func(t *testing.T) {
		t.Parallel()
		w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		decrypter, err := client.NewDecrypter(key, "enc")
		if err != nil {
			t.Fatal(err)
		}
		c := newClient(t, configOf(t, w.Register("client-1", nil)), func(c *client.Config) {
			c.Decrypt, c.RequireIDTokenEncryption = []client.Decrypter{decrypter}, true
		})
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), transaction, answer(t, w, address))
		wantCheck(t, tokens, err, "encryption")
	})
}

// wantCheck demands that an answer was refused for a reason, and gave no tokens.
func wantCheck(t *testing.T, tokens *client.Tokens, err error, check string) {
	t.Helper()
	failed, ok := errors.AsType[*client.CheckError](err)
	if !ok || failed.Check != check {
		t.Errorf("the error is %v, want a CheckError of %s", err, check)
	}
	if tokens != nil {
		t.Error("tokens came with the error")
	}
}

// TestFAPI1Advanced: by value and pushed, with the detached signature and with JARM.
//
// Covers: RP-04.
func TestFAPI1Advanced(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.AllProfiles)
	hybrid := w.Register("hybrid", fapitest.FAPI1Advanced)
	jarm := w.Register("jarm", fapitest.All(fapitest.FAPI1Advanced, func(_ *fapitest.Client, m map[string]any) { m["response_types"] = []string{"code"} }))
	for name, test := range map[string]struct {
		registered *fapitest.Client
		change     func(*client.Config)
	}{
		"accepts code id_token by value":     {hybrid, func(*client.Config) {}},
		"accepts code id_token by PAR":       {hybrid, func(c *client.Config) { c.Pushed = true }},
		"accepts code id_token by form_post": {hybrid, func(c *client.Config) { c.ResponseMode = "form_post" }},
		"accepts JARM by value":              {jarm, func(c *client.Config) { c.ResponseMode = "jwt" }},
		"accepts JARM by PAR":                {jarm, func(c *client.Config) { c.ResponseMode, c.Pushed = "jwt", true }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, configOf(t, test.registered), func(c *client.Config) { c.Profile = client.FAPI1Advanced }, test.change)
			address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			var answered url.Values
			if transaction.ResponseMode == "form_post" {
				_, page, _ := w.Browser().Visit(address)
				answered = formOf(page)
			} else {
				answered = answer(t, w, address)
			}
			tokens, err := c.Callback(t.Context(), transaction, answered)
			if err != nil {
				t.Fatal(err)
			}
			accounts(t, w.MTLSIssuer, c, tokens)
		})
	}
	for _, missing := range []string{"id_token", "code", "state"} {
		t.Run("refuses an answer without "+missing, func(t *testing.T) {
			c := newClient(t, configOf(t, hybrid), func(c *client.Config) { c.Profile = client.FAPI1Advanced })
			address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
			if err != nil {
				t.Fatal(err)
			}
			answered := answer(t, w, address)
			answered.Del(missing)
			tokens, err := c.Callback(t.Context(), transaction, answered)
			wantCheck(t, tokens, err, missing)
		})
	}
	t.Run("refuses another code beside the ID token", func(t *testing.T) {
		c := newClient(t, configOf(t, hybrid), func(c *client.Config) { c.Profile = client.FAPI1Advanced })
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		answered := answer(t, w, address)
		answered.Set("code", "another")
		tokens, err := c.Callback(t.Context(), transaction, answered)
		wantCheck(t, tokens, err, "c_hash")
	})
}

// formOf reads the hidden inputs of a page.
func formOf(page string) url.Values {
	form := url.Values{}
	for _, input := range regexp.MustCompile(`<input[^>]*name="([^"]*)"[^>]*value="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		form.Set(input[1], html.UnescapeString(input[2]))
	}
	return form
}

// TestBackchannel: CIBA by poll and ping.
//
// Covers: RP-05.
func TestBackchannel(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannelOfAllProfiles())
	poll := w.Register("poll", fapitest.CIBAPoll)
	config := func(registered *fapitest.Client) client.Config {
		config := configOf(t, registered)
		config.RedirectURI = ""
		return config
	}
	for name, test := range map[string]struct {
		registered *fapitest.Client
		change     func(*client.Config)
	}{
		"accepts a request": {poll, func(*client.Config) {}},
		"accepts a signed request with tokens bound to a certificate": {w.Register("advanced", fapitest.CIBAAdvanced), func(c *client.Config) { c.Profile = client.FAPI1Advanced }},
	} {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, config(test.registered), test.change)
			request, err := c.Backchannel(t.Context(), client.BackchannelOptions{
				LoginHint: "alice", BindingMessage: "4711", RequestContext: map[string]any{"user_agent": "x"}, RequestedExpiry: time.Minute, Data: json.RawMessage(`"kept"`),
			})
			if err != nil {
				t.Fatal(err)
			}
			again := stored(t, *request)
			interval := again.Interval
			_, err = c.Poll(t.Context(), &again)
			if refused, ok := errors.AsType[*client.ProviderError](err); !errors.Is(err, client.ErrPending) || !ok || refused.Code != "authorization_pending" {
				t.Fatalf("the first poll: %v", err)
			}
			if _, err = c.Poll(t.Context(), &again); !errors.Is(err, client.ErrPending) || again.Interval < interval+5*time.Second {
				t.Fatalf("a poll too soon: %v, and then every %s", err, again.Interval)
			}
			w.Clock.Advance(again.Interval)
			w.Decide(request.AuthReqID, true)
			tokens, err := c.Poll(t.Context(), &again)
			if err != nil {
				t.Fatal(err)
			}
			if tokens.Identity.Subject != "sub-alice" || string(again.Data) != `"kept"` {
				t.Errorf("tokens of %+v, data %s", tokens.Identity, again.Data)
			}
		})
	}
	t.Run("refuses what the user denies", func(t *testing.T) {
		c := newClient(t, config(poll))
		request, err := c.Backchannel(t.Context(), client.BackchannelOptions{LoginHint: "alice"})
		if err != nil {
			t.Fatal(err)
		}
		w.Decide(request.AuthReqID, false)
		request.Interval = time.Millisecond
		tokens, err := c.Await(t.Context(), request)
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Code != "access_denied" || tokens != nil {
			t.Errorf("%v", err)
		}
	})
	t.Run("refuses another acr than was asked for", func(t *testing.T) {
		c := newClient(t, config(poll))
		request, err := c.Backchannel(t.Context(), client.BackchannelOptions{LoginHint: "alice", ACRValues: []string{fapitest.ACRPassword}})
		if err != nil {
			t.Fatal(err)
		}
		w.Decide(request.AuthReqID, true) // by a stronger one
		tokens, err := c.Poll(t.Context(), request)
		wantCheck(t, tokens, err, "acr")
	})
	t.Run("accepts a ping", func(t *testing.T) {
		endpoint := w.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
		c := newClient(t, config(w.Register("ping", fapitest.CIBAPing(endpoint.URL+"/ping"))))
		request, err := c.Backchannel(t.Context(), client.BackchannelOptions{LoginHint: "alice", Ping: true})
		if err != nil {
			t.Fatal(err)
		}
		w.Decide(request.AuthReqID, true)
		if _, err := w.SendPings(); err != nil {
			t.Fatal(err)
		}
		ping := endpoint.Await(t, 1)[0]
		id, err := client.ParsePing([]byte(ping.Body))
		if err != nil || id != request.AuthReqID {
			t.Fatalf("the ping is for %q, %v", id, err)
		}
		if err := request.VerifyPing(ping.Authorization); err != nil {
			t.Error(err)
		}
		if _, err := c.Poll(t.Context(), request); err != nil {
			t.Error(err)
		}
	})
	request := &client.BackchannelRequest{NotificationToken: "token"}
	for name, authorization := range map[string]string{
		"no token": "", "another token": "Bearer other", "another scheme": "DPoP token", "a token with more": "Bearer tokens",
	} {
		t.Run("refuses a ping with "+name, func(t *testing.T) { wantCheck(t, nil, request.VerifyPing(authorization), "authorization") })
	}
	for name, body := range map[string]string{"no JSON": "x", "no id": "{}", "an id twice": `{"auth_req_id":"a","auth_req_id":"b"}`, "too much": strings.Repeat(" ", 20000)} {
		t.Run("refuses a ping with "+name, func(t *testing.T) {
			id, err := client.ParsePing([]byte(body))
			if _, ok := errors.AsType[*client.CheckError](err); !ok || id != "" {
				t.Errorf("%q, %v", id, err)
			}
		})
	}
}

// TestAuthorizationOptions: what an authorization may ask for arrives, and comes back.
//
// Covers: RP-06.
func TestAuthorizationOptions(t *testing.T) {
	t.Parallel()
	w, user := fapitest.NewFullWorld(t)
	c := newClient(t, configOf(t, w.Register("client-1", fapitest.AllScopes)))
	payment := map[string]any{"type": "payment_initiation", "actions": []string{"initiate"}, "instructedAmount": map[string]any{"currency": "EUR", "amount": "12.00"}, "creditorName": "Shop"}
	t.Run("accepts authorization details, resources, a grant, acr and max_age", func(t *testing.T) {
		user.Is("sub-alice", fapitest.ACRKey)
		age := time.Minute
		tokens := login(t, w, c, client.AuthorizeOptions{
			Scopes: []string{"openid", "payments"}, AuthorizationDetails: payment, Resource: []string{fapitest.PaymentAPI}, ACRValues: []string{fapitest.ACRKey},
			MaxAge: &age, GrantAction: "create", UILocales: []string{"de", "en"}, Claims: map[string]any{"id_token": map[string]any{"email": nil}},
		})
		if !strings.Contains(string(tokens.AuthorizationDetails), "Shop") || tokens.GrantID == "" || tokens.Identity.ACR != fapitest.ACRKey || tokens.Identity.AuthTime.IsZero() {
			t.Errorf("tokens %+v of %s", tokens, tokens.Identity.Raw)
		}
		var claims struct{ Email string }
		if err := tokens.Identity.Decode(&claims); err != nil || claims.Email != "alice@example.com" {
			t.Errorf("claims %+v, %v", claims, err)
		}
	})
	t.Run("accepts the end of a grant", func(t *testing.T) {
		managing := w.Register("managing", func(c *fapitest.Client, m map[string]any) {
			m["scope"] = "openid accounts grant_management_query grant_management_revoke"
			m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
		})
		c := newClient(t, configOf(t, managing), func(c *client.Config) { c.Scopes = []string{"openid", "accounts"} })
		tokens := login(t, w, c, client.AuthorizeOptions{GrantAction: "create"})
		own, err := c.ClientCredentials(t.Context(), client.TokenOptions{Scopes: []string{"grant_management_query", "grant_management_revoke"}})
		if err != nil {
			t.Fatal(err)
		}
		grant, err := c.QueryGrant(t.Context(), own, tokens.GrantID)
		if err != nil || len(grant.Scopes) == 0 || !strings.Contains(grant.Scopes[0].Scope, "openid") {
			t.Errorf("grant %+v, %v", grant, err)
		}
		if err := c.RevokeGrant(t.Context(), own, tokens.GrantID); err != nil {
			t.Fatal(err)
		}
		_, err = c.QueryGrant(t.Context(), own, tokens.GrantID)
		if refused, ok := errors.AsType[*client.ProviderError](err); !ok || refused.Status != http.StatusNotFound {
			t.Errorf("the grant that was ended: %v", err)
		}
	})
	t.Run("refuses a weaker acr than was asked for", func(t *testing.T) {
		user.Is("sub-alice", fapitest.ACRPassword)
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{ACRValues: []string{fapitest.ACRKey}})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), transaction, answer(t, w, address))
		wantCheck(t, tokens, err, "acr")
		login(t, w, c, client.AuthorizeOptions{ACRValues: []string{fapitest.ACRKey}, ACRVoluntary: true})
	})
	t.Run("refuses when the user denies, and knows who said so", func(t *testing.T) {
		user.Does("deny")
		defer user.Does("allow")
		address, transaction, err := c.Authorize(t.Context(), client.AuthorizeOptions{})
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := c.Callback(t.Context(), transaction, answer(t, w, address))
		if denied, ok := errors.AsType[*client.AuthorizationError](err); !ok || denied.Code != "access_denied" || tokens != nil {
			t.Errorf("%v", err)
		}
	})
	for name, options := range map[string]client.AuthorizeOptions{
		"a parameter of the package's own": {Extra: url.Values{"state": {"x"}}},
		"an assertion":                     {Extra: url.Values{"client_assertion": {"x"}}},
		"max_age without openid":           {Scopes: []string{"accounts"}, MaxAge: new(time.Duration)},
		"a redirect URI with a fragment":   {RedirectURI: "https://client.example/#x"},
		"a redirect URI by http":           {RedirectURI: "http://client.example/"},
		"details that are no JSON":         {AuthorizationDetails: func() {}},
		"a hint that is no ID token":       {IDTokenHint: "x"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			_, _, err := c.Authorize(t.Context(), options)
			if _, ok := errors.AsType[*client.ConfigError](err); !ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestLogout: a logout token of the real server is verified, and the browser is sent to end the session there.
//
// Covers: RP-07.
func TestLogout(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t)
	received := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	c := newClient(t, configOf(t, w.Register("client-1", fapitest.Told(received.URL+"/out", "https://client.example/bye"))))
	tokens := login(t, w, c, client.AuthorizeOptions{})
	if tokens.Identity.SessionID == "" {
		t.Fatal("the ID token names no session")
	}
	address, err := c.LogoutURL(client.LogoutOptions{IDTokenHint: tokens.IDToken, PostLogoutRedirectURI: "https://client.example/bye", State: "s"})
	if err != nil {
		t.Fatal(err)
	}
	if parsed, err := url.Parse(address); err != nil || parsed.Query().Get("id_token_hint") != tokens.IDToken || parsed.Query().Get("client_id") != "client-1" {
		t.Errorf("the address is %s, %v", address, err)
	}
	if err := w.Store.EndSessions(t.Context(), "sub-alice"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.SendLogouts(); err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(received.Await(t, 1)[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts a logout token", func(t *testing.T) {
		verified, err := c.VerifyLogoutToken(t.Context(), form.Get("logout_token"))
		if err != nil {
			t.Fatal(err)
		}
		if verified.Subject != "sub-alice" || verified.SessionID != tokens.Identity.SessionID || verified.JTI == "" || !verified.Until.After(w.Clock.Now()) {
			t.Errorf("%+v", verified)
		}
	})
	t.Run("refuses an ID token as one", func(t *testing.T) {
		_, err := c.VerifyLogoutToken(t.Context(), tokens.IDToken)
		wantCheck(t, nil, err, "typ")
	})
	t.Run("refuses it when it has expired", func(t *testing.T) {
		w.Clock.Advance(3 * time.Minute)
		_, err := c.VerifyLogoutToken(t.Context(), form.Get("logout_token"))
		wantCheck(t, nil, err, "exp")
	})
}
