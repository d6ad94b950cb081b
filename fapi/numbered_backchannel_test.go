package fapi_test

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi"
	"countersign/internal/jose"
)

// Covers: CI-01, CI-02, CI-04, CI-06, FC-07, RULE-39, RULE-40. What a request has to say, and what it may.
func TestCI01Requests(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	machineOnly := w.register("client-2", nil)
	idToken := func() string {
		id := c.asked(nil)
		w.decide(id, true)
		return c.fetch(id, nil).text("id_token")
	}()
	tryAll(t, c.ask,
		good("the least", func(url.Values, http.Header) {}),
		good("a scope in another order", set("scope", "accounts openid")),
		bad("no scope", unset("scope"), 400, "invalid_scope"),
		bad("a scope without openid", set("scope", "accounts"), 400, "invalid_scope"),
		bad("a scope that is not registered", set("scope", "openid payments"), 400, "invalid_scope"),
		bad("no client authentication", unset("client_assertion"), 401, "invalid_client"),
		bad("another's client_id", set("client_id", machineOnly.id), 401, "invalid_client"),
		bad("no proof of the assertion's key", c.asserting(claim("aud", "https://other.example")), 401, "invalid_client"),

		good("an id_token_hint", both(unset("login_hint"), set("id_token_hint", idToken))),
		bad("no hint", unset("login_hint"), 400, "invalid_request"),
		bad("two hints", set("id_token_hint", idToken), 400, "invalid_request"),
		bad("a hint twice", func(form url.Values, _ http.Header) { form.Add("login_hint", "bob") }, 400, "invalid_request"),

		good("a binding_message", set("binding_message", "1234")),
		bad("a binding_message that is too long", set("binding_message", strings.Repeat("a", 101)), 400, "invalid_binding_message"),
		bad("a binding_message of two lines", set("binding_message", "1\n2"), 400, "invalid_binding_message"),

		good("a requested_expiry", set("requested_expiry", "30")),
		bad("a requested_expiry of nothing", set("requested_expiry", "0"), 400, "invalid_request"),
		bad("a negative requested_expiry", set("requested_expiry", "-5"), 400, "invalid_request"),
		bad("a requested_expiry in words", set("requested_expiry", "soon"), 400, "invalid_request"),

		good("a request_context", set("request_context", `{"user_agent":"x","ip":"192.0.2.1"}`)),
		bad("a request_context that is no object", set("request_context", `[]`), 400, "invalid_request"),
		bad("a request_context with a member twice", set("request_context", `{"a":1,"a":2}`), 400, "invalid_request"),
	)
	t.Run("refuses a client that is not registered for it", func(t *testing.T) {
		wantError(t, machineOnly.post("/backchannel", url.Values{"scope": {"openid"}, "login_hint": {"alice"}}, nil), 400, "unauthorized_client")
	})
	t.Run("refuses a GET", func(t *testing.T) {
		response, _ := w.ask(t, http.MethodGet, w.issuer+"/backchannel", nil, "")
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
}

// Covers: CI-03, FC-04, FC-09, RULE-37. A signed request has every claim, stands alone, is signed by its client with an
// algorithm of its profile, and is good once.
func TestCI03SignedRequests(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	other := w.register("other", asksAdvanced)
	for profile, kind := range map[string]func(*client, map[string]any){
		"advanced": asksAdvanced, "message signing": all(ofProfile("fapi2-message-signing"), asks),
	} {
		c := w.register(strings.ReplaceAll(profile, " ", "-"), kind)
		at := func(name string, after time.Duration) func(claims) {
			return claim(name, w.clock.Now().Add(after).Unix())
		}
		for name, alter := range map[string]func(claims){
			"as it should be": nil, "an array as aud": claim("aud", []string{"https://other.example", w.issuer}),
			"nbf nearly an hour ago": claimed(at("nbf", -59*time.Minute), at("exp", time.Second)), "requested_expiry as a number": claim("requested_expiry", 30),
			"requested_expiry as text": claim("requested_expiry", "30"), "its own client_id": claim("client_id", c.id),
		} {
			t.Run("accepts "+name+", "+profile, func(t *testing.T) {
				if r := c.askSigned(alter); r.status != http.StatusOK {
					t.Errorf("answered %d %s", r.status, r.raw)
				}
			})
		}
		for name, alter := range map[string]func(claims){
			"no iss": claim("iss", nil), "no aud": claim("aud", nil), "no exp": claim("exp", nil), "no iat": claim("iat", nil), "no nbf": claim("nbf", nil), "no jti": claim("jti", nil),
			"another's iss": claim("iss", other.id), "another's aud": claim("aud", "https://other.example"), "exp now": at("exp", 0),
			"exp 70 minutes ahead": at("exp", 70*time.Minute), "nbf 70 minutes ago": claimed(at("nbf", -70*time.Minute), at("exp", time.Minute)), "nbf 10 minutes ahead": at("nbf", 10*time.Minute),
			"another's client_id": claim("client_id", other.id), "a request inside": claim("request", "x"), "two hints inside": claim("id_token_hint", "x"),
		} {
			t.Run("refuses "+name+", "+profile, func(t *testing.T) { wantError(t, c.askSigned(alter), 400, "invalid_request") })
		}
		send := func(alter change) reply { return c.post("/backchannel", url.Values{}, alter) }
		signedBy := func(key jose.PrivateKey, typ string) change {
			return set("request", c.signed(key, typ, c.signedRequest(c.backchannel(), nil)))
		}
		once := signedBy(c.key, "")
		title := func(attempts ...attempt) []attempt {
			for i := range attempts {
				attempts[i].name += ", " + profile
			}
			return attempts
		}
		tryAll(t, send, title(
			good("once", once),
			bad("twice", once, 400, "invalid_request"),
			bad("a plain one", func(form url.Values, _ http.Header) {
				for name := range c.backchannel() {
					form.Set(name, c.backchannel().Get(name))
				}
			}, 400, "invalid_request"),
			bad("a parameter beside it", both(signedBy(c.key, ""), set("binding_message", "1")), 400, "invalid_request"),
			bad("another's signature", signedBy(other.key, ""), 400, "invalid_request"),
			bad("no signature", set("request", "eyJhbGciOiJub25lIn0.e30."), 400, "invalid_request"),
			bad("the typ of another kind", signedBy(c.key, "dpop+jwt"), 400, "invalid_request"),
		)...)
		t.Run("refuses RS256, "+profile, func(t *testing.T) {
			head := claims{"alg": "RS256", "kid": c.key.ID()}
			wantError(t, send(set("request", handSigned(t, head, c.signedRequest(c.backchannel(), nil), es256(t, c.key)))), 400, "invalid_request")
		})
	}
	t.Run("refuses an algorithm that the client did not register", func(t *testing.T) {
		c := w.register("client-9", all(asks, member("backchannel_authentication_request_signing_alg", "PS256")))
		wantError(t, c.askSigned(nil), 400, "invalid_request")
		wantError(t, c.ask(nil), 400, "invalid_request") // who registers one, signs
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
		w, _ := wholeWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.RequireBindingMessage = one.always }), func(c *fapiConfig, _ *autoInteractor) {
			c.AuthorizationDetailTypes = detailTypes()
			for i := range c.Scopes {
				c.Scopes[i].AlwaysAsk = c.Scopes[i].Name == "payments"
			}
		})
		c := w.register("client-1", all(wide, asks))
		alone := bad(name+" alone", set("scope", one.scope), 400, "invalid_binding_message")
		if one.alone {
			alone = good(name+" alone", set("scope", one.scope))
		}
		tryAll(t, c.ask, alone,
			good(name+" with a message", both(set("scope", one.scope), set("binding_message", "K7"))),
			good(name+" with authorization_details", both(set("scope", one.scope), set("authorization_details", "["+exampleDetail(t, "payment_initiation")+"]"))),
		)
	}
}

// Covers: FC-01, FC-03, CI-11, RULE-38, RULE-42, RULE-43. Who may register for it: confidential clients whose tokens are
// bound, for poll or ping and never push, notified only on https and outside of our network.
func TestFC03Registration(t *testing.T) {
	asking := func(more map[string]any) func(map[string]any) {
		return func(m map[string]any) {
			asks(nil, m)
			for name, value := range more {
				claim(name, value)(m)
			}
		}
	}
	const at, mode = "backchannel_client_notification_endpoint", "backchannel_token_delivery_mode"
	registering(t, "poll", asking(nil), "")
	registering(t, "ping", asking(map[string]any{mode: "ping", at: "https://client.example/ping"}), "")
	registering(t, "the only algorithm of a signed request", asking(map[string]any{"backchannel_authentication_request_signing_alg": "ES256"}), "")
	registering(t, "push", asking(map[string]any{mode: "push", at: "https://client.example/push"}), mode)
	registering(t, "no mode", asking(map[string]any{mode: nil}), mode)
	registering(t, "another mode", asking(map[string]any{mode: "pull"}), mode)
	registering(t, "ping to nowhere", asking(map[string]any{mode: "ping"}), at)
	registering(t, "no client authentication", asking(map[string]any{"token_endpoint_auth_method": "none"}), "token_endpoint_auth_method")
	registering(t, "a client secret", asking(map[string]any{"token_endpoint_auth_method": "client_secret_basic"}), "token_endpoint_auth_method")
	registering(t, "tokens that are not bound", asking(map[string]any{"dpop_bound_access_tokens": nil}), "dpop_bound_access_tokens")
	registering(t, "RS256", asking(map[string]any{"backchannel_authentication_request_signing_alg": "RS256"}), "backchannel_authentication_request_signing_alg")
	registering(t, "no openid", asking(map[string]any{"scope": "accounts"}), "scope")
	for _, address := range []string{
		"http://client.example/ping", "https://10.0.0.1/ping", "https://169.254.169.254/latest",
		"https://user@client.example/ping", "https://client.example/ping#part", "ftp://client.example/", "client.example",
	} {
		registering(t, "ping to "+address, asking(map[string]any{mode: "ping", at: address}), at)
	}
}

// Covers: FC-03, FC-01. Clients register themselves for it, with the profile of their initial access token.
func TestFC01DynamicRegistration(t *testing.T) {
	w := newWorld(t, offersBackchannel(), func(c *fapiConfig, _ *autoInteractor) { c.Registration = &fapi.Registration{} })
	key := newKey(t, jose.ES256)
	enrol := func(profile string, alter func(map[string]any)) reply {
		token := w.initialTokenFor("org "+random(), profile)
		return w.applicant(nil).enrol(token, enrolment(key, func(m map[string]any) {
			asks(nil, m)
			delete(m, "scope")
			delete(m, "dpop_bound_access_tokens")
			m["tls_client_certificate_bound_access_tokens"] = true
			claim("backchannel_user_code_parameter", false)(m)
			if alter != nil {
				alter(m)
			}
		}))
	}
	t.Run("accepts what the profile allows, without a scope", func(t *testing.T) {
		r := enrol("fapi1-advanced", nil)
		record, err := w.store.Client(t.Context(), r.text("client_id"))
		if err != nil || record.Profile != "fapi1-advanced" || !strings.Contains(r.text("scope"), "accounts") || r.text("backchannel_token_delivery_mode") != "poll" {
			t.Errorf("answered %d %s, %v", r.status, r.raw, err)
		}
	})
	t.Run("refuses what another profile allows", func(t *testing.T) {
		wantError(t, enrol("fapi1-advanced", func(m map[string]any) {
			delete(m, "tls_client_certificate_bound_access_tokens")
			m["dpop_bound_access_tokens"] = true
		}), 400, "invalid_client_metadata")
	})
	t.Run("refuses push", func(t *testing.T) {
		wantError(t, enrol("", func(m map[string]any) { m["backchannel_token_delivery_mode"] = "push" }), 400, "invalid_client_metadata")
	})
	t.Run("refuses a token of a profile that is not offered", func(t *testing.T) {
		wantUnauthorised(t, enrol("fapi3", nil))
	})
}

// Covers: CI-07, CI-08, RULE-41. The acknowledgement, and what polling brings: pending, slow down, denied, expired; to the
// client that asked and to nobody else.
func TestCI08Polling(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c, other := w.register("client-1", asks), w.register("client-2", asks)
	t.Run("accepts a request with all that a client needs", func(t *testing.T) {
		r := c.ask(set("requested_expiry", "3000"))
		if len(r.text("auth_req_id")) != 43 || r.body["expires_in"] != 600.0 || r.body["interval"] != 5.0 || len(r.body) != 3 {
			t.Errorf("answered %s", r.raw)
		}
	})
	t.Run("refuses to be hurried", func(t *testing.T) {
		id := c.asked(nil)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "authorization_pending"}, {4 * time.Second, "slow_down"}, {9 * time.Second, "slow_down"}, {14900 * time.Millisecond, "authorization_pending"},
			{15 * time.Second, "authorization_pending"}, {time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"},
		} {
			w.clock.Advance(step.wait)
			wantError(t, c.fetch(id, nil), 400, step.want)
		}
	})
	t.Run("accepts a poll that is early when there is a decision", func(t *testing.T) {
		id := c.asked(nil)
		wantError(t, c.fetch(id, nil), 400, "authorization_pending")
		w.decide(id, true)
		wantActive(t, c.fetch(id, nil))
	})
	t.Run("refuses another client", func(t *testing.T) {
		id := c.asked(nil)
		w.decide(id, true)
		wantError(t, other.fetch(id, nil), 400, "invalid_grant")
		wantActive(t, c.fetch(id, nil)) // nothing was changed by that
	})
	t.Run("refuses what was denied", func(t *testing.T) {
		id := c.asked(nil)
		w.decide(id, false)
		wantError(t, c.fetch(id, nil), 400, "access_denied")
	})
	t.Run("refuses what has expired, allowed or not", func(t *testing.T) {
		allowed, pending := c.asked(nil), c.asked(nil)
		w.decide(allowed, true)
		w.clock.Advance(2 * time.Minute)
		wantError(t, c.fetch(allowed, nil), 400, "expired_token")
		wantError(t, c.fetch(pending, nil), 400, "expired_token")
	})
	t.Run("refuses a key that is not the client's", func(t *testing.T) {
		id := c.asked(nil)
		w.decide(id, true)
		wantError(t, c.fetch(id, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
		wantActive(t, c.fetch(id, nil))
	})
}

// Covers: CI-08. A poll may be held until somebody decides; while it is held, it cannot be sent again.
func TestCI08LongPolling(t *testing.T) {
	w := newWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.LongPoll = 5 * time.Second }))
	c := w.register("client-1", asks)
	t.Run("accepts a decision while it waits", func(t *testing.T) {
		id := c.asked(nil)
		answered := make(chan reply)
		assertion := c.clientAssertion(nil)
		go func() { answered <- c.fetch(id, set("client_assertion", assertion)) }()
		time.Sleep(200 * time.Millisecond)
		wantError(t, c.fetch(id, nil), 400, "slow_down") // two at once are one too many
		wantError(t, c.fetch(id, set("client_assertion", assertion)), 400, "slow_down")
		began := time.Now()
		w.decide(id, true)
		wantActive(t, <-answered)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the decision was told after %s", took)
		}
	})
	t.Run("accepts a decision on another node", func(t *testing.T) {
		id := c.asked(nil)
		answered := make(chan reply)
		go func() { answered <- c.fetch(id, nil) }()
		time.Sleep(100 * time.Millisecond)
		node, err := fapi.New(t.Context(), w.config)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.DecideBackchannel(t.Context(), w.byAlice(id, false)); err != nil {
			t.Fatal(err)
		}
		wantError(t, <-answered, 400, "access_denied")
	})
	t.Run("refuses to wait for ever", func(t *testing.T) {
		id := c.asked(nil)
		began := time.Now()
		wantError(t, c.fetch(id, nil), 400, "authorization_pending")
		if took := time.Since(began); took < 4*time.Second || took > 8*time.Second {
			t.Errorf("held for %s", took)
		}
	})
}

// Covers: FC-05, CI-12. How the person was authenticated is in the tokens, and is what was asked for or better; what only
// belongs to push is not there.
func TestFC05Authentication(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	for asked, enough := range map[string][]string{
		byKey: {byKey}, byPassword: {byKey, byPassword}, byKey + " " + byPassword: {byKey, byPassword}, "urn:unknown": {byKey, byPassword, ""}, "": {byKey, byPassword, ""},
	} {
		for _, reached := range []string{byKey, byPassword, ""} {
			fits := false
			for _, one := range enough {
				fits = fits || one == reached
			}
			title := map[bool]string{true: "accepts ", false: "refuses "}[fits]
			t.Run(title+"'"+reached+"' where '"+asked+"' is asked for", func(t *testing.T) {
				id := c.asked(set("acr_values", asked))
				answer := w.byAlice(id, true)
				answer.Authentication.ACR = reached
				err := w.server.DecideBackchannel(t.Context(), answer)
				if !fits {
					if !errors.Is(err, fapi.ErrStepUp) {
						t.Errorf("got %v", err)
					}
					return
				}
				if err != nil {
					t.Fatal(err)
				}
				body := claimsIn(t, c.fetch(id, nil).text("id_token"))
				if got, _ := body["acr"].(string); got != reached || body["at_hash"] == nil || body["auth_time"] != float64(w.clock.Now().Unix()) {
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
	h, stranger := newHinter(t), newHinter(t)
	w := newWorld(t, offersBackchannel(func(b *fapi.Backchannel) { b.HintIssuers = []fapi.HintIssuer{h.issuer} }))
	c, other := w.register("client-1", asks), w.register("client-2", asks)
	pairwise := w.register("client-3", all(asks, member("subject_type", "pairwise"), member("sector_identifier_uri", "https://client.example/sector")))
	idTokenOf := func(c *client) string {
		id := c.asked(nil)
		w.decide(id, true)
		return c.fetch(id, nil).text("id_token")
	}
	asks := func(kind, value string) change { return both(unset("login_hint"), set(kind, value)) }
	host := strings.Split(strings.TrimPrefix(w.issuer, "https://"), ":")[0]
	account := func(uri string) func(claims) {
		return claim("sub_id", map[string]string{"format": "account", "uri": uri})
	}
	once := h.token(w, nil)
	hinted := func(name string, alter func(claims), code string) attempt {
		change := asks("login_hint_token", h.token(w, alter))
		if code == "" {
			return good(name, change)
		}
		return bad(name, change, 400, code)
	}
	at := func(name string, after time.Duration) func(claims) {
		return claim(name, w.clock.Now().Add(after).Unix())
	}
	tryAll(t, c.ask,
		good("an ID token of this client", asks("id_token_hint", idTokenOf(c))),
		bad("an ID token of another client", asks("id_token_hint", idTokenOf(other)), 400, "invalid_request"),
		bad("an access token", asks("id_token_hint", func() string { id := c.asked(nil); w.decide(id, true); return c.fetch(id, nil).text("access_token") }()), 400, "invalid_request"),
		bad("text", asks("id_token_hint", "colour"), 400, "invalid_request"),
		good("a token of who is believed", asks("login_hint_token", once)),
		bad("it again", asks("login_hint_token", once), 400, "invalid_request"),
		hinted("an account of this server", account("acct:alice@"+host), ""),
		hinted("an account of another server", account("acct:alice@other.example"), "invalid_request"),
		hinted("an unknown format", claim("sub_id", map[string]string{"format": "email", "email": "a@b.example"}), "invalid_request"),
		hinted("no person", claim("sub_id", nil), "invalid_request"),
		hinted("another's aud", claim("aud", "https://other.example"), "invalid_request"),
		hinted("no jti", claim("jti", nil), "invalid_request"),
		hinted("no exp", claim("exp", nil), "invalid_request"),
		hinted("no iat", claim("iat", nil), "invalid_request"),
		hinted("an expired one", at("exp", 0), "expired_login_hint_token"),
		hinted("one that lives for an hour", at("exp", time.Hour), "invalid_request"),
		hinted("one from the future", at("iat", time.Hour), "invalid_request"),
		hinted("another issuer", claim("iss", "https://other.example"), "invalid_request"),
		bad("another's signature", asks("login_hint_token", stranger.token(w, nil)), 400, "invalid_request"),
	)
	t.Run("refuses a pairwise subject", func(t *testing.T) {
		wantError(t, pairwise.ask(asks("id_token_hint", idTokenOf(pairwise))), 400, "invalid_request")
	})
	t.Run("accepts the formats that are advertised", func(t *testing.T) {
		formats, _ := w.document()["backchannel_endpoint_login_hint_token_types_supported"].([]any)
		if len(formats) != 2 || formats[0] != "account" || formats[1] != "opaque" {
			t.Errorf("advertised %v", formats)
		}
	})
	t.Run("refuses a token where nobody is believed", func(t *testing.T) {
		w := newWorld(t, offersBackchannel())
		wantError(t, w.register("client-1", asksPlain).ask(asks("login_hint_token", h.token(w, nil))), 400, "invalid_request")
	})
	for _, view := range w.pendingOf("sub-alice") {
		if view.Client.ID != "client-1" && view.Client.ID != "client-2" && view.Client.ID != "client-3" {
			t.Errorf("asked by %s", view.Client.ID)
		}
	}
}

// asksPlain is asks under a name that no variable of a test has.
func asksPlain(c *client, m map[string]any) { asks(c, m) }

// Covers: CI-05, RULE-43. A client that registered user codes has to send the right one, guesses are few, and without it
// nobody is asked who has one.
func TestCI05UserCodes(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	w.addUser("sub-bob", "bob", `{}`)
	w.setCode("correct horse")
	c, without := w.register("client-1", all(asks, member("backchannel_user_code_parameter", true))), w.register("client-2", asks)
	tryAll(t, c.ask,
		good("the right code", set("user_code", "correct horse")),
		bad("no code", unset("user_code"), 400, "missing_user_code"),
		bad("a wrong code", set("user_code", "wrong horse"), 400, "invalid_user_code"),
		bad("a code for somebody without one", both(set("login_hint", "bob"), set("user_code", "correct horse")), 400, "invalid_user_code"),
		bad("a code for nobody", both(set("login_hint", "nobody"), set("user_code", "correct horse")), 400, "invalid_user_code"),
	)
	if waiting := w.pendingOf("sub-alice"); len(waiting) != 1 {
		t.Errorf("%d wait", len(waiting))
	}
	t.Run("refuses to ask without a code, without saying so", func(t *testing.T) {
		id := without.asked(nil)
		wantError(t, without.fetch(id, nil), 400, "authorization_pending")
		if waiting := w.pendingOf("sub-alice"); len(waiting) != 1 {
			t.Errorf("%d wait", len(waiting))
		}
	})
	t.Run("refuses more than a few guesses, even the right one", func(t *testing.T) {
		for range 4 {
			wantError(t, c.ask(set("user_code", "guess 123")), 400, "invalid_user_code")
		}
		r := c.ask(set("user_code", "correct horse"))
		wantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.clock.Advance(time.Hour)
		if r := c.ask(set("user_code", "correct horse")); r.status != http.StatusOK {
			t.Errorf("an hour later: %d %s", r.status, r.raw)
		}
	})
}

// Covers: CI-13, ATTACK-38. Who is disabled is not asked, cannot decide, and gets no tokens for what was decided before.
func TestCI13DisabledPeople(t *testing.T) {
	w := newWorld(t, offersBackchannel())
	c := w.register("client-1", asks)
	pending, allowed := c.asked(nil), c.asked(nil)
	w.decide(allowed, true)
	w.disable("sub-alice", true)
	t.Run("refuses to ask them, without saying so", func(t *testing.T) {
		id := c.asked(nil)
		wantError(t, c.fetch(id, nil), 400, "authorization_pending")
		w.disable("sub-alice", false)
		for _, view := range w.pendingOf("sub-alice") {
			if view.Reference == fapi.BackchannelReference(id) {
				t.Error("it is shown when they are back")
			}
		}
		w.disable("sub-alice", true)
	})
	t.Run("refuses their decision", func(t *testing.T) {
		if len(w.pendingOf("sub-alice")) != 0 {
			t.Error("something is shown to them")
		}
		if err := w.server.DecideBackchannel(t.Context(), w.byAlice(pending, true)); !errors.Is(err, fapi.ErrNotAsked) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses tokens for what they allowed", func(t *testing.T) {
		wantError(t, c.fetch(allowed, nil), 400, "invalid_grant")
	})
	t.Run("accepts them when they are back", func(t *testing.T) {
		w.disable("sub-alice", false)
		wantActive(t, c.fetch(allowed, nil))
		w.decide(pending, true)
		wantActive(t, c.fetch(pending, nil))
	})
}
