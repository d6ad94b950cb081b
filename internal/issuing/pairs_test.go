package issuing_test

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"countersign/internal/admin"
	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/flowclient"
	"countersign/internal/jose"
	"countersign/internal/postgrestest"
)

var (
	cluster postgrestest.Cluster
	made    setuptest.Templates
)

func TestMain(m *testing.M) {
	code := cluster.Run(m)
	if err := made.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	os.Exit(code)
}

// side is one of the issuers, with what it has issued.
type side struct {
	name    string
	client  *flowclient.Client
	browser *flowclient.Browser
	// own is a client that is registered here alone, signing one that signs its requests, and asking a resource server.
	own, signing, asking *flowclient.Client
	// managing is one that manages grants, of which it has one.
	managing *flowclient.Client
	grantID  string
	keys     jose.KeySet

	tokens      flowclient.Tokens
	transaction flowclient.Transaction
	code        string
	requestURI  string
	authReqID   string
	nonce       string
	// initial is an initial access token, registered a client that has registered itself with its registration access token.
	initial, registered, registration string
}

// sides makes three issuers at which the same clients with the same keys are registered, and has each issue everything.
func sides(t *testing.T, change func(name string, c *config.Config)) (*world, []*side) {
	t.Helper()
	w := newWorld(t, func(name string, c *config.Config) {
		c.DPoP.RequireNonce = true
		if change != nil {
			change(name, c)
		}
	}, "b", "c")
	k := newKeys(t)
	for _, name := range w.Names {
		w.register(name, "shared", k, nil)
		w.register(name, "only-"+name, k, nil)
		w.register(name, "managing", k, func(m map[string]any) {
			m["scope"] = "openid accounts offline_access grant_management_query"
			m["grant_types"] = []string{"authorization_code", "refresh_token", "client_credentials"}
			delete(m, "backchannel_token_delivery_mode")
		})
		w.register(name, "signing", k, func(m map[string]any) { m["profile"] = "fapi2-message-signing" })
		w.register(name, "asking", k, func(m map[string]any) {
			m["resource_identifiers"], m["grant_types"] = []string{w.Issuers[name].Config.Issuer}, []string{}
			for _, member := range []string{"redirect_uris", "post_logout_redirect_uris", "dpop_bound_access_tokens", "scope", "backchannel_token_delivery_mode"} {
				delete(m, member)
			}
		})
	}
	initial := map[string]string{}
	for _, name := range w.Names {
		w.with(name, func(a *admin.Admin) {
			token, _, err := a.AddInitialToken(t.Context(), admin.NewInitialToken{Organisation: "The Same", Clients: 5, Lifetime: time.Hour})
			must(t, err)
			initial[name] = token
		})
	}
	w.serve()
	var all []*side
	for _, name := range w.Names {
		asking := w.client(name, "asking", keys{client: k.client})
		s := &side{
			name: name, client: w.client(name, "shared", k), browser: w.browser(name), own: w.client(name, "only-"+name, k),
			signing: w.client(name, "signing", k), asking: asking, managing: w.client(name, "managing", k), initial: initial[name],
		}
		s.issue(t)
		all = append(all, s)
	}
	return w, all
}

// issue has an issuer issue everything once.
func (s *side) issue(t *testing.T) {
	t.Helper()
	var err error
	s.tokens, err = s.client.Flow(t.Context(), s.browser)
	must(t, err)
	s.transaction = s.client.NewTransaction()
	s.code, err = s.client.Authorize(t.Context(), s.browser, s.transaction)
	must(t, err)
	pushed, err := s.client.Push(t.Context(), s.client.NewTransaction())
	must(t, err)
	s.requestURI, err = pushed.RequestURI()
	must(t, err)
	asked, err := s.client.Ask(t.Context(), url.Values{"login_hint": {"alice"}, "binding_message": {"1234"}})
	must(t, err)
	answer, err := asked.Asked()
	must(t, err)
	s.authReqID, s.nonce = answer.AuthReqID, asked.Header.Get("DPoP-Nonce")
	s.keys, _, err = s.client.Keys(t.Context())
	must(t, err)
	transaction := s.managing.NewTransaction()
	pushed, err = s.managing.Push(t.Context(), transaction, flowclient.Set("grant_management_action", "create"))
	must(t, err)
	requestURI, err := pushed.RequestURI()
	must(t, err)
	response, err := s.browser.Authorize(t.Context(), s.managing.AuthorizationURL(requestURI), callback)
	must(t, err)
	code, err := s.managing.Callback(transaction, response)
	must(t, err)
	redeemed, err := s.managing.Redeem(t.Context(), transaction, code)
	must(t, err)
	if s.grantID = redeemed.Text("grant_id"); s.grantID == "" {
		t.Fatalf("no grant_id in %s", redeemed.Body)
	}
	made := s.register(t, s.initial)
	s.registered, s.registration = made.Text("client_id"), made.Text("registration_access_token")
	if s.registered == "" || s.registration == "" || s.nonce == "" {
		t.Fatalf("client %q, registration access token %q, nonce %q", s.registered, s.registration, s.nonce)
	}
}

// register sends a registration to an issuer.
func (s *side) register(t *testing.T, bearer string) flowclient.Reply {
	t.Helper()
	return s.json(t, http.MethodPost, "/register", bearer, fmt.Sprintf(`{"client_name":"Self","redirect_uris":[%q],"scope":"openid",
		"token_endpoint_auth_method":"private_key_jwt","dpop_bound_access_tokens":true,"jwks":{"keys":[%s]}}`, callback, s.client.Key.PublicJWK()))
}

// json sends JSON to an issuer with a bearer token.
func (s *side) json(t *testing.T, method, path, bearer, body string) flowclient.Reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, s.client.Issuer+path, strings.NewReader(body))
	must(t, err)
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("Content-Type", "application/json")
	return s.send(t, request)
}

// send sends any request.
func (s *side) send(t *testing.T, request *http.Request) flowclient.Reply {
	t.Helper()
	response, err := s.client.HTTP.Do(request)
	must(t, err)
	return read(t, response)
}

// at is one issuer with what another has issued.
type at struct {
	*testing.T
	from, to *side
}

// want checks that what is of the one is refused at the other.
func (a at) want(reply flowclient.Reply, err error, status int, code string) {
	a.Helper()
	if got := reply.OAuthError().Code; err != nil || reply.Status != status || got != code {
		a.Errorf("what is of %s at %s: %v, answered %d %s, want %d %s", a.from.name, a.to.name, err, reply.Status, reply.Body, status, code)
	}
}

// wantPage checks that a browser is shown a page with a status and a text.
func (a at) wantPage(page flowclient.Page, err error, status int, text string) {
	a.Helper()
	if err != nil || page.Status != status || page.SentTo != nil || !strings.Contains(string(page.Body), text) {
		a.Errorf("what is of %s at %s: %v, a page %d, sent to %v: %s", a.from.name, a.to.name, err, page.Status, page.SentTo, page.Text("main"))
	}
}

// wantGood checks that what is an issuer's own is good.
func (a at) wantGood(reply flowclient.Reply, err error) flowclient.Reply {
	a.Helper()
	if err != nil || reply.Status != http.StatusOK && reply.Status != http.StatusCreated {
		a.Errorf("what is of %s there: %v, answered %d %s", a.to.name, err, reply.Status, reply.Body)
	}
	return reply
}

// TestPairs: three issuers at which the same clients are registered with the same keys, and users have the same names. What one has
// issued is nothing to another, and is still good where it was issued, after it was tried everywhere else.
//
// Covers: NM-70, NM-71, NM-72, NM-73, NM-74, NM-202.
func TestPairs(t *testing.T) {
	t.Parallel()
	w, all := sides(t, nil)
	allPairs(t, w, all)
}

// TestPairsOnPostgres: the same in three schemas of one database.
//
// Covers: NM-70, NM-71, NM-72, NM-73, NM-74, NM-202.
func TestPairsOnPostgres(t *testing.T) {
	t.Parallel()
	w, all := sides(t, newSchemas(t).use)
	allPairs(t, w, all)
}

// pair is a thing that an issuer issues.
type pair struct {
	name string
	// refused tries it at another issuer, and good where it was issued.
	refused, good func(at)
}

func allPairs(t *testing.T, w *world, all []*side) {
	t.Helper()
	pairs := append(grantPairs(), clientPairs()...)
	pairs = append(pairs, userPairs(w)...)
	for _, one := range pairs {
		t.Run("refuses "+one.name+" of another issuer", func(t *testing.T) {
			for _, from := range all {
				for _, to := range all {
					if from != to {
						one.refused(at{t, from, to})
					}
				}
			}
		})
	}
	for _, one := range pairs { // after everything was tried everywhere else
		t.Run("accepts "+one.name+" where it was issued", func(t *testing.T) {
			for _, own := range all {
				one.good(at{t, own, own})
			}
		})
	}
}

// grantPairs are tokens and what leads to them.
func grantPairs() []pair {
	userInfo := func(a at) (flowclient.Reply, error) {
		return a.to.client.Get(a.Context(), a.to.client.Endpoints.UserInfo, a.from.tokens.AccessToken)
	}
	grant := func(a at) (flowclient.Reply, error) {
		reply, err := a.to.managing.ClientCredentials(a.Context(), "grant_management_query")
		must(a.T, err)
		return a.to.managing.Get(a.Context(), a.to.client.Issuer+"/grants/"+a.from.grantID, reply.Text("access_token"))
	}
	change := func(a at) (flowclient.Reply, error) {
		return a.to.managing.Push(a.Context(), a.to.managing.NewTransaction(), flowclient.Set("grant_management_action", "merge"), flowclient.Set("grant_id", a.from.grantID))
	}
	return []pair{
		{"a grant to read", func(a at) {
			if reply, err := grant(a); err != nil || reply.Status != http.StatusNotFound {
				a.Errorf("%s reads a grant of %s: %d %s, %v", a.to.name, a.from.name, reply.Status, reply.Body, err)
			}
		}, func(a at) { a.wantGood(grant(a)) }},
		{"a grant to change", func(a at) {
			reply, err := change(a)
			a.want(reply, err, http.StatusBadRequest, "invalid_grant_id")
		}, func(a at) { a.wantGood(change(a)) }},
		{"an access token", func(a at) {
			reply, err := userInfo(a)
			a.want(reply, err, http.StatusUnauthorized, "invalid_token")
		}, func(a at) { a.wantGood(userInfo(a)) }},
		{"a token to introspect", func(a at) {
			for _, token := range []string{a.from.tokens.AccessToken, a.from.tokens.RefreshToken} {
				if reply, err := a.to.asking.Introspect(a.Context(), token); err != nil || strings.TrimSpace(string(reply.Body)) != `{"active":false}` {
					a.Errorf("%s says of a token of %s: %s, %v", a.to.name, a.from.name, reply.Body, err)
				}
			}
		}, func(a at) {
			reply := a.wantGood(a.to.asking.Introspect(a.Context(), a.from.tokens.AccessToken))
			if active, _ := reply.Members()["active"].(bool); !active || reply.Text("iss") != a.to.client.Issuer {
				a.Errorf("%s says of its own token: %s", a.to.name, reply.Body)
			}
		}},
		{"a signing key", func(a at) {
			for _, token := range []string{a.from.tokens.AccessToken, a.from.tokens.IDToken} {
				if err := verified(a.T, token, a.to.keys); err == nil {
					a.Errorf("a token of %s verifies with the keys of %s", a.from.name, a.to.name)
				}
			}
		}, func(a at) {
			for _, token := range []string{a.from.tokens.AccessToken, a.from.tokens.IDToken} {
				if err := verified(a.T, token, a.to.keys); err != nil {
					a.Errorf("a token of %s with its own keys: %v", a.from.name, err)
				}
			}
		}},
		{"a token to revoke", func(a at) { // RFC 7009 §2.2: nothing is said of tokens that are not known; accepts below show that they are good
			reply, err := a.to.client.Revoke(a.Context(), a.from.tokens.RefreshToken)
			a.want(reply, err, http.StatusOK, "")
		}, func(a at) { a.wantGood(userInfo(a)) }},
		{"a code", func(a at) {
			reply, err := a.to.client.Redeem(a.Context(), a.from.transaction, a.from.code)
			a.want(reply, err, http.StatusBadRequest, "invalid_grant")
		}, func(a at) { a.wantGood(a.to.client.Redeem(a.Context(), a.from.transaction, a.from.code)) }},
		{"a refresh token", func(a at) {
			reply, err := a.to.client.Refresh(a.Context(), a.from.tokens.RefreshToken)
			a.want(reply, err, http.StatusBadRequest, "invalid_grant")
		}, func(a at) { a.wantGood(a.to.client.Refresh(a.Context(), a.from.tokens.RefreshToken)) }},
		{"an auth_req_id", func(a at) {
			reply, err := a.to.client.Poll(a.Context(), a.from.authReqID)
			a.want(reply, err, http.StatusBadRequest, "invalid_grant")
		}, func(a at) {
			reply, err := a.to.client.Poll(a.Context(), a.from.authReqID)
			a.want(reply, err, http.StatusBadRequest, "authorization_pending")
		}},
		{"a request_uri", func(a at) {
			page, err := a.to.browser.Open(a.Context(), a.to.client.AuthorizationURL(a.from.requestURI))
			a.wantPage(page, err, http.StatusBadRequest, "invalid_request")
		}, func(a at) {
			page, err := a.to.browser.Open(a.Context(), a.to.client.AuthorizationURL(a.from.requestURI))
			if err != nil || page.SentTo == nil || page.SentTo.Query().Get("code") == "" {
				a.Errorf("a request_uri of %s: %v, %d, sent to %v", a.to.name, err, page.Status, page.SentTo)
			}
		}},
	}
}

// verified verifies a token with the keys of an issuer.
func verified(t *testing.T, token string, with jose.KeySet) error {
	t.Helper()
	parsed, err := jose.Parse(token, jose.ParseOptions{Algorithms: []string{jose.PS256, jose.ES256, jose.EdDSA}})
	must(t, err)
	return parsed.VerifyWith(with)
}

// clientPairs are clients and what they authenticate with.
func clientPairs() []pair {
	assertion := func(a at) (flowclient.Reply, error) {
		made, err := a.from.client.Assertion(a.Context(), nil)
		must(a.T, err)
		return a.to.client.Push(a.Context(), a.to.client.NewTransaction(), flowclient.Set("client_assertion", made))
	}
	object := func(a at) (flowclient.Reply, error) {
		return a.to.signing.PushSigned(a.Context(), a.to.signing.NewTransaction(), func(c flowclient.Claims) { c["aud"] = a.from.client.Issuer })
	}
	client := func(a at) (flowclient.Reply, error) {
		config := a.to.client.Config
		config.ID = a.from.own.ID
		return flowclient.New(config).Push(a.Context(), a.to.client.NewTransaction())
	}
	nonce := func(a at) (flowclient.Reply, error) {
		config := a.to.client.Config
		config.KeepChallenges = true
		c := flowclient.New(config)
		proof, err := c.Proof(a.Context(), http.MethodPost, c.Endpoints.PAR, "", func(claims flowclient.Claims) { claims["nonce"] = a.from.nonce })
		must(a.T, err)
		return c.Push(a.Context(), c.NewTransaction(), flowclient.SetHeader("DPoP", proof))
	}
	registered := func(a at) flowclient.Reply {
		return a.to.json(a.T, http.MethodGet, "/register/"+a.from.registered, a.from.registration, "")
	}
	return []pair{
		{"a client", func(a at) {
			reply, err := client(a)
			a.want(reply, err, http.StatusUnauthorized, "invalid_client")
		}, func(a at) { a.wantGood(client(a)) }},
		{"a client assertion", func(a at) {
			reply, err := assertion(a)
			a.want(reply, err, http.StatusUnauthorized, "invalid_client")
		}, func(a at) { a.wantGood(assertion(a)) }},
		{"a request object", func(a at) {
			reply, err := object(a)
			a.want(reply, err, http.StatusBadRequest, "invalid_request_object")
		}, func(a at) { a.wantGood(object(a)) }},
		{"a DPoP nonce", func(a at) {
			reply, err := nonce(a)
			a.want(reply, err, http.StatusBadRequest, "use_dpop_nonce")
		}, func(a at) { a.wantGood(nonce(a)) }},
		{"a registration access token", func(a at) { a.want(registered(a), nil, http.StatusUnauthorized, "invalid_token") },
			func(a at) { a.wantGood(registered(a), nil) }},
		{"an initial access token", func(a at) { a.want(a.to.register(a.T, a.from.initial), nil, http.StatusUnauthorized, "invalid_token") },
			func(a at) { a.wantGood(a.to.register(a.T, a.from.initial), nil) }},
	}
}

// userPairs are what users' browsers hold.
func userPairs(w *world) []pair {
	hint := func(a at) (flowclient.Reply, error) {
		return a.to.client.Push(a.Context(), a.to.client.NewTransaction(), flowclient.Set("id_token_hint", a.from.tokens.IDToken))
	}
	end := func(a at) (flowclient.Page, error) {
		return a.to.browser.Open(a.Context(), a.to.client.Issuer+"/end-session?"+
			url.Values{"id_token_hint": {a.from.tokens.IDToken}, "post_logout_redirect_uri": {callback}}.Encode())
	}
	return []pair{
		{"an ID token hint", func(a at) {
			reply, err := hint(a)
			a.want(reply, err, http.StatusBadRequest, "invalid_request")
		}, func(a at) { a.wantGood(hint(a)) }},
		{"an interaction", func(a at) {
			page, b := w.begun(a.T, a.from)
			page, err := b.posted(a.T, page, a.to.client.Issuer)
			a.wantPage(page, err, http.StatusNotFound, "This page has expired")
		}, func(a at) {
			page, b := w.begun(a.T, a.from)
			page, err := b.posted(a.T, page, a.to.client.Issuer)
			a.wantPage(page, err, http.StatusOK, "password") // which was wrong
		}},
		{"a session cookie", func(a at) {
			page, err := w.borrowing(a.T, a.from, a.to)
			a.wantPage(page, err, http.StatusOK, `name="password"`)
		}, func(a at) {
			page, err := w.borrowing(a.T, a.from, a.to)
			if err != nil || page.SentTo == nil || page.SentTo.Query().Get("code") == "" {
				a.Errorf("with the session of %s: %v, %d, sent to %v", a.to.name, err, page.Status, page.SentTo)
			}
		}},
		{"an ID token to sign out with", func(a at) { // the sessions are good until the end
			page, err := end(a)
			a.wantPage(page, err, http.StatusBadRequest, "invalid_request")
		}, func(a at) {
			page, err := end(a)
			if err != nil || page.SentTo == nil && page.Status != http.StatusOK {
				a.Errorf("signing out of %s: %v, %d %s", a.to.name, err, page.Status, page.Text("main"))
			}
		}},
	}
}

// begun opens a request of an issuer in a new browser, as far as the page to sign in.
func (w *world) begun(t *testing.T, s *side) (flowclient.Page, *stranger) {
	t.Helper()
	b, err := flowclient.NewBrowser(w.Transport(nil))
	must(t, err)
	page, err := b.Open(t.Context(), s.pushed(t))
	must(t, err)
	return page, &stranger{b, w}
}

// pushed is the address at which a new request of an issuer is opened.
func (s *side) pushed(t *testing.T) string {
	t.Helper()
	reply, err := s.client.Push(t.Context(), s.client.NewTransaction())
	must(t, err)
	requestURI, err := reply.RequestURI()
	must(t, err)
	return s.client.AuthorizationURL(requestURI)
}

// stranger is a browser that takes what it has of one issuer to another.
type stranger struct {
	*flowclient.Browser
	w *world
}

// posted posts the form of a page at the same path of an issuer, with a wrong password and the cookies of the page.
func (b *stranger) posted(t *testing.T, page flowclient.Page, issuer string) (flowclient.Page, error) {
	t.Helper()
	forms, err := page.Forms()
	must(t, err)
	for _, form := range forms {
		if !form.Inputs["password"] {
			continue
		}
		form.Values.Set("username", "alice")
		form.Values.Set("password", "wrong")
		form.Press("sign-in")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, issuer+page.Address.Path, strings.NewReader(form.Values.Encode()))
		must(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", issuer)
		for _, cookie := range b.HTTP.Jar.Cookies(page.Address) {
			request.AddCookie(cookie)
		}
		through := http.Client{Transport: b.HTTP.Transport, CheckRedirect: b.HTTP.CheckRedirect}
		response, err := through.Do(request)
		must(t, err)
		return flowclient.Page{Reply: read(t, response), Address: request.URL}, nil
	}
	t.Fatalf("no form to sign in on %s", page.Text("main"))
	return flowclient.Page{}, nil
}

// borrowing opens a request of an issuer with all cookies that a signed-in browser has of another.
func (w *world) borrowing(t *testing.T, from, to *side) (flowclient.Page, error) {
	t.Helper()
	b, err := flowclient.NewBrowser(w.Transport(nil))
	must(t, err)
	of, err := url.Parse(from.client.Issuer)
	must(t, err)
	at, err := url.Parse(to.client.Issuer)
	must(t, err)
	cookies := from.browser.HTTP.Jar.Cookies(of)
	if len(cookies) == 0 {
		t.Fatal("the browser has no cookies")
	}
	for _, cookie := range cookies {
		cookie.Path, cookie.Secure = "/", true
	}
	b.HTTP.Jar.SetCookies(at, cookies)
	return b.Open(t.Context(), to.pushed(t))
}
