package backchannel_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/fapi/registration"
	"countersign/internal/jose"
)

// Covers: CI-01, CI-02, CI-04, CI-06, FC-07, RULE-39, RULE-40. What a request has to say, and what it may.
func TestCI01Requests(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	c := w.Register("client-1", fapitest.Asks)
	machineOnly := w.Register("client-2", nil)
	idToken := func() string {
		id := c.Asked(nil)
		w.Decide(id, true)
		return c.Fetch(id, nil).Text("id_token")
	}()
	fapitest.TryAll(t, c.Ask,
		fapitest.Good("the least", func(url.Values, http.Header) {}),
		fapitest.Good("a scope in another order", fapitest.Set("scope", "accounts openid")),
		fapitest.Bad("no scope", fapitest.Unset("scope"), 400, "invalid_scope"),
		fapitest.Bad("a scope without openid", fapitest.Set("scope", "accounts"), 400, "invalid_scope"),
		fapitest.Bad("a scope that is not registered", fapitest.Set("scope", "openid payments"), 400, "invalid_scope"),
		fapitest.Bad("no client authentication", fapitest.Unset("client_assertion"), 401, "invalid_client"),
		fapitest.Bad("another's client_id", fapitest.Set("client_id", machineOnly.ID), 401, "invalid_client"),
		fapitest.Bad("no proof of the assertion's key", c.Asserting(fapitest.Claim("aud", "https://other.example")), 401, "invalid_client"),

		fapitest.Good("an id_token_hint", fapitest.Both(fapitest.Unset("login_hint"), fapitest.Set("id_token_hint", idToken))),
		fapitest.Bad("no hint", fapitest.Unset("login_hint"), 400, "invalid_request"),
		fapitest.Bad("two hints", fapitest.Set("id_token_hint", idToken), 400, "invalid_request"),
		fapitest.Bad("a hint twice", func(form url.Values, _ http.Header) { form.Add("login_hint", "bob") }, 400, "invalid_request"),

		fapitest.Good("a binding_message", fapitest.Set("binding_message", "1234")),
		fapitest.Bad("a binding_message that is too long", fapitest.Set("binding_message", strings.Repeat("a", 101)), 400, "invalid_binding_message"),
		fapitest.Bad("a binding_message of two lines", fapitest.Set("binding_message", "1\n2"), 400, "invalid_binding_message"),

		fapitest.Good("a requested_expiry", fapitest.Set("requested_expiry", "30")),
		fapitest.Bad("a requested_expiry of nothing", fapitest.Set("requested_expiry", "0"), 400, "invalid_request"),
		fapitest.Bad("a negative requested_expiry", fapitest.Set("requested_expiry", "-5"), 400, "invalid_request"),
		fapitest.Bad("a requested_expiry in words", fapitest.Set("requested_expiry", "soon"), 400, "invalid_request"),

		fapitest.Good("a request_context", fapitest.Set("request_context", `{"user_agent":"x","ip":"192.0.2.1"}`)),
		fapitest.Bad("a request_context that is no object", fapitest.Set("request_context", `[]`), 400, "invalid_request"),
		fapitest.Bad("a request_context with a member twice", fapitest.Set("request_context", `{"a":1,"a":2}`), 400, "invalid_request"),
	)
	t.Run("refuses a client that is not registered for it", func(t *testing.T) {
		fapitest.WantError(t, machineOnly.Post("/backchannel", url.Values{"scope": {"openid"}, "login_hint": {"alice"}}, nil), 400, "unauthorized_client")
	})
	t.Run("refuses a GET", func(t *testing.T) {
		response, _ := w.Ask(t, http.MethodGet, w.Issuer+"/backchannel", nil, "")
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
}

// Covers: CI-03, FC-04, FC-09, RULE-37. A signed request has every claim, stands alone, is signed by its client with an
// algorithm of its profile, and is good once.
func TestCI03SignedRequests(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	other := w.Register("other", fapitest.AsksAdvanced)
	for profile, kind := range map[string]func(*fapitest.Client, map[string]any){
		"advanced": fapitest.AsksAdvanced, "message signing": fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.Asks),
	} {
		c := w.Register(strings.ReplaceAll(profile, " ", "-"), kind)
		at := func(name string, after time.Duration) func(fapitest.Claims) {
			return fapitest.Claim(name, w.Clock.Now().Add(after).Unix())
		}
		for name, alter := range map[string]func(fapitest.Claims){
			"as it should be": nil, "an array as aud": fapitest.Claim("aud", []string{"https://other.example", w.Issuer}),
			"nbf nearly an hour ago": fapitest.Claimed(at("nbf", -59*time.Minute), at("exp", time.Second)), "requested_expiry as a number": fapitest.Claim("requested_expiry", 30),
			"requested_expiry as text": fapitest.Claim("requested_expiry", "30"), "its own client_id": fapitest.Claim("client_id", c.ID),
		} {
			t.Run("accepts "+name+", "+profile, func(t *testing.T) {
				if r := c.AskSigned(alter); r.Status != http.StatusOK {
					t.Errorf("answered %d %s", r.Status, r.Raw)
				}
			})
		}
		for name, alter := range map[string]func(fapitest.Claims){
			"no iss": fapitest.Claim("iss", nil), "no aud": fapitest.Claim("aud", nil), "no exp": fapitest.Claim("exp", nil), "no iat": fapitest.Claim("iat", nil), "no nbf": fapitest.Claim("nbf", nil), "no jti": fapitest.Claim("jti", nil),
			"another's iss": fapitest.Claim("iss", other.ID), "another's aud": fapitest.Claim("aud", "https://other.example"), "exp now": at("exp", 0),
			"exp 70 minutes ahead": at("exp", 70*time.Minute), "nbf 70 minutes ago": fapitest.Claimed(at("nbf", -70*time.Minute), at("exp", time.Minute)), "nbf 10 minutes ahead": at("nbf", 10*time.Minute),
			"another's client_id": fapitest.Claim("client_id", other.ID), "a request inside": fapitest.Claim("request", "x"), "two hints inside": fapitest.Claim("id_token_hint", "x"),
		} {
			t.Run("refuses "+name+", "+profile, func(t *testing.T) { fapitest.WantError(t, c.AskSigned(alter), 400, "invalid_request") })
		}
		send := func(alter fapitest.Change) fapitest.Reply { return c.Post("/backchannel", url.Values{}, alter) }
		signedBy := func(key jose.PrivateKey, typ string) fapitest.Change {
			return fapitest.Set("request", c.Signed(key, typ, c.SignedRequest(c.Backchannel(), nil)))
		}
		once := signedBy(c.Key, "")
		title := func(attempts ...fapitest.Attempt) []fapitest.Attempt {
			for i := range attempts {
				attempts[i].Name += ", " + profile
			}
			return attempts
		}
		fapitest.TryAll(t, send, title(
			fapitest.Good("once", once),
			fapitest.Bad("twice", once, 400, "invalid_request"),
			fapitest.Bad("a plain one", func(form url.Values, _ http.Header) {
				for name := range c.Backchannel() {
					form.Set(name, c.Backchannel().Get(name))
				}
			}, 400, "invalid_request"),
			fapitest.Bad("a parameter beside it", fapitest.Both(signedBy(c.Key, ""), fapitest.Set("binding_message", "1")), 400, "invalid_request"),
			fapitest.Bad("another's signature", signedBy(other.Key, ""), 400, "invalid_request"),
			fapitest.Bad("no signature", fapitest.Set("request", "eyJhbGciOiJub25lIn0.e30."), 400, "invalid_request"),
			fapitest.Bad("the typ of another kind", signedBy(c.Key, "dpop+jwt"), 400, "invalid_request"),
		)...)
		t.Run("refuses RS256, "+profile, func(t *testing.T) {
			head := fapitest.Claims{"alg": "RS256", "kid": c.Key.ID()}
			fapitest.WantError(t, send(fapitest.Set("request", fapitest.HandSigned(t, head, c.SignedRequest(c.Backchannel(), nil), fapitest.Es256(t, c.Key)))), 400, "invalid_request")
		})
	}
	t.Run("refuses an algorithm that the client did not register", func(t *testing.T) {
		c := w.Register("client-9", fapitest.All(fapitest.Asks, fapitest.Member("backchannel_authentication_request_signing_alg", "PS256")))
		fapitest.WantError(t, c.AskSigned(nil), 400, "invalid_request")
		fapitest.WantError(t, c.Ask(nil), 400, "invalid_request") // who registers one, signs
	})
}

// Covers: FC-02, RULE-40. Without authorization_details a request has to say what can be compared on both devices.
func TestFC02UniqueContext(t *testing.T) {
	for name, one := range map[string]struct {
		always bool
		scope  string
		alone  bool // whether the scope may stand alone
	}{
		"everything": {true, "openid", false}, "signing in": {false, "openid", true}, "paying": {false, "openid payments", false},
	} {
		w, _ := fapitest.WholeWorld(t, fapitest.OffersBackchannel(func(b *backchannel.Settings) { b.RequireBindingMessage = one.always }), func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) {
			c.AuthorizationDetailTypes = fapitest.DetailTypes()
			for i := range c.Scopes {
				c.Scopes[i].AlwaysAsk = c.Scopes[i].Name == "payments"
			}
		})
		c := w.Register("client-1", fapitest.All(fapitest.Wide, fapitest.Asks))
		alone := fapitest.Bad(name+" alone", fapitest.Set("scope", one.scope), 400, "invalid_binding_message")
		if one.alone {
			alone = fapitest.Good(name+" alone", fapitest.Set("scope", one.scope))
		}
		fapitest.TryAll(t, c.Ask, alone,
			fapitest.Good(name+" with a message", fapitest.Both(fapitest.Set("scope", one.scope), fapitest.Set("binding_message", "K7"))),
			fapitest.Good(name+" with authorization_details", fapitest.Both(fapitest.Set("scope", one.scope), fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, "payment_initiation")+"]"))),
		)
	}
}

// Covers: FC-01, FC-03, CI-11, RULE-38, RULE-42, RULE-43. Who may register for it: confidential clients whose tokens are
// bound, for poll or ping and never push, notified only on https and outside of our network.
func TestFC03Registration(t *testing.T) {
	asking := func(more map[string]any) func(map[string]any) {
		return func(m map[string]any) {
			fapitest.Asks(nil, m)
			for name, value := range more {
				fapitest.Claim(name, value)(m)
			}
		}
	}
	const at, mode = "backchannel_client_notification_endpoint", "backchannel_token_delivery_mode"
	fapitest.Registering(t, "poll", asking(nil), "")
	fapitest.Registering(t, "ping", asking(map[string]any{mode: "ping", at: "https://client.example/ping"}), "")
	fapitest.Registering(t, "the only algorithm of a signed request", asking(map[string]any{"backchannel_authentication_request_signing_alg": "ES256"}), "")
	fapitest.Registering(t, "push", asking(map[string]any{mode: "push", at: "https://client.example/push"}), mode)
	fapitest.Registering(t, "no mode", asking(map[string]any{mode: nil}), mode)
	fapitest.Registering(t, "another mode", asking(map[string]any{mode: "pull"}), mode)
	fapitest.Registering(t, "ping to nowhere", asking(map[string]any{mode: "ping"}), at)
	fapitest.Registering(t, "no client authentication", asking(map[string]any{"token_endpoint_auth_method": "none"}), "token_endpoint_auth_method")
	fapitest.Registering(t, "a client secret", asking(map[string]any{"token_endpoint_auth_method": "client_secret_basic"}), "token_endpoint_auth_method")
	fapitest.Registering(t, "tokens that are not bound", asking(map[string]any{"dpop_bound_access_tokens": nil}), "dpop_bound_access_tokens")
	fapitest.Registering(t, "RS256", asking(map[string]any{"backchannel_authentication_request_signing_alg": "RS256"}), "backchannel_authentication_request_signing_alg")
	fapitest.Registering(t, "no openid", asking(map[string]any{"scope": "accounts"}), "scope")
	for _, address := range []string{
		"http://client.example/ping", "https://10.0.0.1/ping", "https://169.254.169.254/latest",
		"https://user@client.example/ping", "https://client.example/ping#part", "ftp://client.example/", "client.example",
	} {
		fapitest.Registering(t, "ping to "+address, asking(map[string]any{mode: "ping", at: address}), at)
	}
}

// Covers: FC-03, FC-01. Clients register themselves for it, with the profile of their initial access token.
func TestFC01DynamicRegistration(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel(), func(c *fapitest.FapiConfig, _ *fapitest.AutoInteractor) { c.Registration = &registration.Settings{} })
	key := fapitest.NewKey(t, jose.ES256)
	enrol := func(profile string, alter func(map[string]any)) fapitest.Reply {
		token := w.InitialTokenFor("org "+fapitest.Random(), profile)
		return w.Applicant(nil).Enrol(token, fapitest.Enrolment(key, func(m map[string]any) {
			fapitest.Asks(nil, m)
			delete(m, "scope")
			delete(m, "dpop_bound_access_tokens")
			m["tls_client_certificate_bound_access_tokens"] = true
			fapitest.Claim("backchannel_user_code_parameter", false)(m)
			if alter != nil {
				alter(m)
			}
		}))
	}
	t.Run("accepts what the profile allows, without a scope", func(t *testing.T) {
		r := enrol("fapi1-advanced", nil)
		record, err := w.Store.Client(t.Context(), r.Text("client_id"))
		if err != nil || record.Profile != "fapi1-advanced" || !strings.Contains(r.Text("scope"), "accounts") || r.Text("backchannel_token_delivery_mode") != "poll" {
			t.Errorf("answered %d %s, %v", r.Status, r.Raw, err)
		}
	})
	t.Run("refuses what another profile allows", func(t *testing.T) {
		fapitest.WantError(t, enrol("fapi1-advanced", func(m map[string]any) {
			delete(m, "tls_client_certificate_bound_access_tokens")
			m["dpop_bound_access_tokens"] = true
		}), 400, "invalid_client_metadata")
	})
	t.Run("refuses push", func(t *testing.T) {
		fapitest.WantError(t, enrol("", func(m map[string]any) { m["backchannel_token_delivery_mode"] = "push" }), 400, "invalid_client_metadata")
	})
	t.Run("refuses a token of a profile that is not offered", func(t *testing.T) {
		fapitest.WantUnauthorised(t, enrol("fapi3", nil))
	})
}

// Covers: CI-07, CI-08, RULE-41. The acknowledgement, and what polling brings: pending, slow down, denied, expired; to the
// client that asked and to nobody else.
func TestCI08Polling(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	c, other := w.Register("client-1", fapitest.Asks), w.Register("client-2", fapitest.Asks)
	t.Run("accepts a request with all that a client needs", func(t *testing.T) {
		r := c.Ask(fapitest.Set("requested_expiry", "3000"))
		if len(r.Text("auth_req_id")) != 43 || r.Body["expires_in"] != 600.0 || r.Body["interval"] != 5.0 || len(r.Body) != 3 {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("refuses to be hurried", func(t *testing.T) {
		id := c.Asked(nil)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "authorization_pending"}, {4 * time.Second, "slow_down"}, {9 * time.Second, "slow_down"}, {14900 * time.Millisecond, "authorization_pending"},
			{15 * time.Second, "authorization_pending"}, {time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"},
		} {
			w.Clock.Advance(step.wait)
			fapitest.WantError(t, c.Fetch(id, nil), 400, step.want)
		}
	})
	t.Run("accepts a poll that is early when there is a decision", func(t *testing.T) {
		id := c.Asked(nil)
		fapitest.WantError(t, c.Fetch(id, nil), 400, "authorization_pending")
		w.Decide(id, true)
		fapitest.WantActive(t, c.Fetch(id, nil))
	})
	t.Run("refuses another client", func(t *testing.T) {
		id := c.Asked(nil)
		w.Decide(id, true)
		fapitest.WantError(t, other.Fetch(id, nil), 400, "invalid_grant")
		fapitest.WantActive(t, c.Fetch(id, nil)) // nothing was changed by that
	})
	t.Run("refuses what was denied", func(t *testing.T) {
		id := c.Asked(nil)
		w.Decide(id, false)
		fapitest.WantError(t, c.Fetch(id, nil), 400, "access_denied")
	})
	t.Run("refuses what has expired, allowed or not", func(t *testing.T) {
		allowed, pending := c.Asked(nil), c.Asked(nil)
		w.Decide(allowed, true)
		w.Clock.Advance(2 * time.Minute)
		fapitest.WantError(t, c.Fetch(allowed, nil), 400, "expired_token")
		fapitest.WantError(t, c.Fetch(pending, nil), 400, "expired_token")
	})
	t.Run("refuses a key that is not the client's", func(t *testing.T) {
		id := c.Asked(nil)
		w.Decide(id, true)
		fapitest.WantError(t, c.Fetch(id, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
		fapitest.WantActive(t, c.Fetch(id, nil))
	})
}

// Covers: CI-08. A poll may be held until somebody decides; while it is held, it cannot be sent again.
func TestCI08LongPolling(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel(func(b *backchannel.Settings) { b.LongPoll = 5 * time.Second }))
	c := w.Register("client-1", fapitest.Asks)
	t.Run("accepts a decision while it waits", func(t *testing.T) {
		id := c.Asked(nil)
		answered := make(chan fapitest.Reply)
		assertion := c.ClientAssertion(nil)
		go func() { answered <- c.Fetch(id, fapitest.Set("client_assertion", assertion)) }()
		time.Sleep(200 * time.Millisecond)
		fapitest.WantError(t, c.Fetch(id, nil), 400, "slow_down") // two at once are one too many
		fapitest.WantError(t, c.Fetch(id, fapitest.Set("client_assertion", assertion)), 400, "slow_down")
		began := time.Now()
		w.Decide(id, true)
		fapitest.WantActive(t, <-answered)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the decision was told after %s", took)
		}
	})
	t.Run("accepts a decision on another node", func(t *testing.T) {
		id := c.Asked(nil)
		answered := make(chan fapitest.Reply)
		go func() { answered <- c.Fetch(id, nil) }()
		time.Sleep(100 * time.Millisecond)
		node, err := fapi.New(t.Context(), w.Config)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Backchannel().Decide(t.Context(), w.ByAlice(id, false)); err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, <-answered, 400, "access_denied")
	})
	t.Run("refuses to wait for ever", func(t *testing.T) {
		id := c.Asked(nil)
		began := time.Now()
		fapitest.WantError(t, c.Fetch(id, nil), 400, "authorization_pending")
		if took := time.Since(began); took < 4*time.Second || took > 8*time.Second {
			t.Errorf("held for %s", took)
		}
	})
}

// Covers: FC-05, CI-12. How the person was authenticated is in the tokens, and is what was asked for or better; what only
// belongs to push is not there.
func TestFC05Authentication(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	c := w.Register("client-1", fapitest.Asks)
	for asked, enough := range map[string][]string{
		fapitest.ByKey: {fapitest.ByKey}, fapitest.ByPassword: {fapitest.ByKey, fapitest.ByPassword}, fapitest.ByKey + " " + fapitest.ByPassword: {fapitest.ByKey, fapitest.ByPassword}, "urn:unknown": {fapitest.ByKey, fapitest.ByPassword, ""}, "": {fapitest.ByKey, fapitest.ByPassword, ""},
	} {
		for _, reached := range []string{fapitest.ByKey, fapitest.ByPassword, ""} {
			fits := false
			for _, one := range enough {
				fits = fits || one == reached
			}
			title := map[bool]string{true: "accepts ", false: "refuses "}[fits]
			t.Run(title+"'"+reached+"' where '"+asked+"' is asked for", func(t *testing.T) {
				id := c.Asked(fapitest.Set("acr_values", asked))
				answer := w.ByAlice(id, true)
				answer.Authentication.ACR = reached
				err := w.Server.Backchannel().Decide(t.Context(), answer)
				if !fits {
					if !errors.Is(err, backchannel.ErrStepUp) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				body := fapitest.ClaimsIn(t, c.Fetch(id, nil).Text("id_token"))
				if got, _ := body["acr"].(string); got != reached || body["at_hash"] == nil || body["auth_time"] != float64(w.Clock.Now().Unix()) {
					t.Errorf("the ID token says %v", body)
				}
				for name := range body {
					if strings.HasPrefix(name, "urn:openid:params:jwt:claim:") {
						t.Errorf("%s is in the ID token", name)
					}
				}
			})
		}
	}
}

// Covers: FC-06, FC-08, CI-02. Hints name a person: an ID token of this server for this client, or a token of an issuer that
// is believed, once.
func TestFC08Hints(t *testing.T) {
	h, stranger := fapitest.NewHinter(t), fapitest.NewHinter(t)
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel(func(b *backchannel.Settings) { b.HintIssuers = []backchannel.HintIssuer{h.Issuer} }))
	c, other := w.Register("client-1", fapitest.Asks), w.Register("client-2", fapitest.Asks)
	pairwise := w.Register("client-3", fapitest.All(fapitest.Asks, fapitest.Member("subject_type", "pairwise"), fapitest.Member("sector_identifier_uri", "https://client.example/sector")))
	idTokenOf := func(c *fapitest.Client) string {
		id := c.Asked(nil)
		w.Decide(id, true)
		return c.Fetch(id, nil).Text("id_token")
	}
	asks := func(kind, value string) fapitest.Change {
		return fapitest.Both(fapitest.Unset("login_hint"), fapitest.Set(kind, value))
	}
	host := strings.Split(strings.TrimPrefix(w.Issuer, "https://"), ":")[0]
	account := func(uri string) func(fapitest.Claims) {
		return fapitest.Claim("sub_id", map[string]string{"format": "account", "uri": uri})
	}
	once := h.Token(w, nil)
	hinted := func(name string, alter func(fapitest.Claims), code string) fapitest.Attempt {
		change := asks("login_hint_token", h.Token(w, alter))
		if code == "" {
			return fapitest.Good(name, change)
		}
		return fapitest.Bad(name, change, 400, code)
	}
	at := func(name string, after time.Duration) func(fapitest.Claims) {
		return fapitest.Claim(name, w.Clock.Now().Add(after).Unix())
	}
	fapitest.TryAll(t, c.Ask,
		fapitest.Good("an ID token of this client", asks("id_token_hint", idTokenOf(c))),
		fapitest.Bad("an ID token of another client", asks("id_token_hint", idTokenOf(other)), 400, "invalid_request"),
		fapitest.Bad("an access token", asks("id_token_hint", func() string { id := c.Asked(nil); w.Decide(id, true); return c.Fetch(id, nil).Text("access_token") }()), 400, "invalid_request"),
		fapitest.Bad("text", asks("id_token_hint", "colour"), 400, "invalid_request"),
		fapitest.Good("a token of who is believed", asks("login_hint_token", once)),
		fapitest.Bad("it again", asks("login_hint_token", once), 400, "invalid_request"),
		hinted("an account of this server", account("acct:alice@"+host), ""),
		hinted("an account of another server", account("acct:alice@other.example"), "invalid_request"),
		hinted("an unknown format", fapitest.Claim("sub_id", map[string]string{"format": "email", "email": "a@b.example"}), "invalid_request"),
		hinted("no person", fapitest.Claim("sub_id", nil), "invalid_request"),
		hinted("another's aud", fapitest.Claim("aud", "https://other.example"), "invalid_request"),
		hinted("no jti", fapitest.Claim("jti", nil), "invalid_request"),
		hinted("no exp", fapitest.Claim("exp", nil), "invalid_request"),
		hinted("no iat", fapitest.Claim("iat", nil), "invalid_request"),
		hinted("an expired one", at("exp", 0), "expired_login_hint_token"),
		hinted("one that lives for an hour", at("exp", time.Hour), "invalid_request"),
		hinted("one from the future", at("iat", time.Hour), "invalid_request"),
		hinted("another issuer", fapitest.Claim("iss", "https://other.example"), "invalid_request"),
		fapitest.Bad("another's signature", asks("login_hint_token", stranger.Token(w, nil)), 400, "invalid_request"),
	)
	t.Run("refuses a pairwise subject", func(t *testing.T) {
		fapitest.WantError(t, pairwise.Ask(asks("id_token_hint", idTokenOf(pairwise))), 400, "invalid_request")
	})
	t.Run("accepts the formats that are advertised", func(t *testing.T) {
		formats, _ := w.Document()["backchannel_endpoint_login_hint_token_types_supported"].([]any)
		if len(formats) != 2 || formats[0] != "account" || formats[1] != "opaque" {
			t.Errorf("advertised %v", formats)
		}
	})
	t.Run("refuses a token where nobody is believed", func(t *testing.T) {
		w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
		fapitest.WantError(t, w.Register("client-1", asksPlain).Ask(asks("login_hint_token", h.Token(w, nil))), 400, "invalid_request")
	})
	for _, view := range w.PendingOf("sub-alice") {
		if view.Client.ID != "client-1" && view.Client.ID != "client-2" && view.Client.ID != "client-3" {
			t.Errorf("asked by %s", view.Client.ID)
		}
	}
}

// asksPlain is asks under a name that no variable of a test has.
func asksPlain(c *fapitest.Client, m map[string]any) { fapitest.Asks(c, m) }

// Covers: CI-05, RULE-43. A client that registered user codes has to send the right one, guesses are few, and without it
// nobody is asked who has one.
func TestCI05UserCodes(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	w.AddUser("sub-bob", "bob", `{}`)
	w.SetCode("correct horse")
	c, without := w.Register("client-1", fapitest.All(fapitest.Asks, fapitest.Member("backchannel_user_code_parameter", true))), w.Register("client-2", fapitest.Asks)
	fapitest.TryAll(t, c.Ask,
		fapitest.Good("the right code", fapitest.Set("user_code", "correct horse")),
		fapitest.Bad("no code", fapitest.Unset("user_code"), 400, "missing_user_code"),
		fapitest.Bad("a wrong code", fapitest.Set("user_code", "wrong horse"), 400, "invalid_user_code"),
		fapitest.Bad("a code for somebody without one", fapitest.Both(fapitest.Set("login_hint", "bob"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
		fapitest.Bad("a code for nobody", fapitest.Both(fapitest.Set("login_hint", "nobody"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
	)
	if waiting := w.PendingOf("sub-alice"); len(waiting) != 1 {
		t.Errorf("%d wait", len(waiting))
	}
	t.Run("refuses to ask without a code, without saying so", func(t *testing.T) {
		id := without.Asked(nil)
		fapitest.WantError(t, without.Fetch(id, nil), 400, "authorization_pending")
		if waiting := w.PendingOf("sub-alice"); len(waiting) != 1 {
			t.Errorf("%d wait", len(waiting))
		}
	})
	t.Run("refuses more than a few guesses, even the right one", func(t *testing.T) {
		for range 4 {
			fapitest.WantError(t, c.Ask(fapitest.Set("user_code", "guess 123")), 400, "invalid_user_code")
		}
		r := c.Ask(fapitest.Set("user_code", "correct horse"))
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.Clock.Advance(time.Hour)
		if r := c.Ask(fapitest.Set("user_code", "correct horse")); r.Status != http.StatusOK {
			t.Errorf("an hour later: %d %s", r.Status, r.Raw)
		}
	})
}

// Covers: CI-13, ATTACK-38. Who is disabled is not asked, cannot decide, and gets no tokens for what was decided before.
func TestCI13DisabledPeople(t *testing.T) {
	w := fapitest.NewWorld(t, fapitest.OffersBackchannel())
	c := w.Register("client-1", fapitest.Asks)
	pending, allowed := c.Asked(nil), c.Asked(nil)
	w.Decide(allowed, true)
	w.Disable("sub-alice", true)
	t.Run("refuses to ask them, without saying so", func(t *testing.T) {
		id := c.Asked(nil)
		fapitest.WantError(t, c.Fetch(id, nil), 400, "authorization_pending")
		w.Disable("sub-alice", false)
		for _, view := range w.PendingOf("sub-alice") {
			if view.Reference == fapitest.Reference(id) {
				t.Error("it is shown when they are back")
			}
		}
		w.Disable("sub-alice", true)
	})
	t.Run("refuses their decision", func(t *testing.T) {
		if len(w.PendingOf("sub-alice")) != 0 {
			t.Error("something is shown to them")
		}
		if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(pending, true)); !errors.Is(err, backchannel.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses tokens for what they allowed", func(t *testing.T) {
		fapitest.WantError(t, c.Fetch(allowed, nil), 400, "invalid_grant")
	})
	t.Run("accepts them when they are back", func(t *testing.T) {
		w.Disable("sub-alice", false)
		fapitest.WantActive(t, c.Fetch(allowed, nil))
		w.Decide(pending, true)
		fapitest.WantActive(t, c.Fetch(pending, nil))
	})
}
