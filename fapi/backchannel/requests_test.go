package backchannel_test

import (
	"context"
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
	"countersign/internal/directory"
	"countersign/internal/jose"
	"countersign/store"
)

// Covers: CI-01, CI-02, CI-04, CI-06, FC-07, RULE-39, RULE-40. What a request has to say, and what it may.
func TestCI01Requests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	machineOnly := w.Register("client-2", nil)
	idToken := func() string {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		return c.Poll(id, nil).Text("id_token")
	}()
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("the least", func(url.Values, http.Header) {}),
		fapitest.Good("a scope in another order", fapitest.Set("scope", "accounts openid")),
		fapitest.Bad("no scope", fapitest.Unset("scope"), 400, "invalid_scope"),
		fapitest.Bad("a scope without openid", fapitest.Set("scope", "accounts"), 400, "invalid_scope"),
		fapitest.Bad("a scope that is not registered", fapitest.Set("scope", "openid payments"), 400, "invalid_scope"),
		fapitest.Bad("no client authentication", fapitest.Unset("client_assertion"), 401, "invalid_client"),
		fapitest.Bad("another's client_id", fapitest.Set("client_id", machineOnly.ID), 401, "invalid_client"),
		fapitest.Bad("no proof of the assertion's key", c.ReplaceAssertion(fapitest.SetClaim("aud", "https://other.example")), 401, "invalid_client"),

		fapitest.Good("an id_token_hint", fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set("id_token_hint", idToken))),
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
		response, _ := w.Request(t, http.MethodGet, w.Issuer+"/backchannel", nil, "")
		if response.StatusCode != http.StatusMethodNotAllowed {
			t.Errorf("answered %d", response.StatusCode)
		}
	})
}

// Covers: CI-03, FC-04, FC-09, RULE-37. A signed request has every claim, stands alone, is signed by its client with an
// algorithm of its profile, and is good once.
func TestCI03SignedRequests(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	other := w.Register("other", fapitest.CIBAAdvanced)
	for profile, kind := range map[string]func(*fapitest.Client, map[string]any){
		"advanced": fapitest.CIBAAdvanced, "message signing": fapitest.All(fapitest.OfProfile("fapi2-message-signing"), fapitest.CIBAPoll),
	} {
		c := w.Register(strings.ReplaceAll(profile, " ", "-"), kind)
		at := func(name string, after time.Duration) func(fapitest.Claims) {
			return fapitest.SetClaim(name, w.Clock.Now().Add(after).Unix())
		}
		for name, alter := range map[string]func(fapitest.Claims){
			"as it should be": nil, "an array as aud": fapitest.SetClaim("aud", []string{"https://other.example", w.Issuer}),
			"nbf nearly an hour ago": fapitest.ChangeClaims(at("nbf", -59*time.Minute), at("exp", time.Second)), "requested_expiry as a number": fapitest.SetClaim("requested_expiry", 30),
			"requested_expiry as text": fapitest.SetClaim("requested_expiry", "30"), "its own client_id": fapitest.SetClaim("client_id", c.ID),
		} {
			t.Run("accepts "+name+", "+profile, func(t *testing.T) {
				if r := c.BackchannelSigned(alter); r.Status != http.StatusOK {
					t.Errorf("answered %d %s", r.Status, r.Raw)
				}
			})
		}
		for name, alter := range map[string]func(fapitest.Claims){
			"no iss": fapitest.SetClaim("iss", nil), "no aud": fapitest.SetClaim("aud", nil), "no exp": fapitest.SetClaim("exp", nil), "no iat": fapitest.SetClaim("iat", nil), "no nbf": fapitest.SetClaim("nbf", nil), "no jti": fapitest.SetClaim("jti", nil),
			"another's iss": fapitest.SetClaim("iss", other.ID), "another's aud": fapitest.SetClaim("aud", "https://other.example"), "exp now": at("exp", 0),
			"exp 70 minutes ahead": at("exp", 70*time.Minute), "nbf 70 minutes ago": fapitest.ChangeClaims(at("nbf", -70*time.Minute), at("exp", time.Minute)), "nbf 10 minutes ahead": at("nbf", 10*time.Minute),
			"another's client_id": fapitest.SetClaim("client_id", other.ID), "a request inside": fapitest.SetClaim("request", "x"), "two hints inside": fapitest.SetClaim("id_token_hint", "x"),
		} {
			t.Run("refuses "+name+", "+profile, func(t *testing.T) { fapitest.WantError(t, c.BackchannelSigned(alter), 400, "invalid_request") })
		}
		send := func(alter fapitest.Change) fapitest.Reply { return c.Post("/backchannel", url.Values{}, alter) }
		signedBy := func(key jose.PrivateKey, typ string) fapitest.Change {
			return fapitest.Set("request", c.Sign(key, typ, c.BackchannelClaims(c.BackchannelForm(), nil)))
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
				for name := range c.BackchannelForm() {
					form.Set(name, c.BackchannelForm().Get(name))
				}
			}, 400, "invalid_request"),
			fapitest.Bad("a parameter beside it", fapitest.Changes(signedBy(c.Key, ""), fapitest.Set("binding_message", "1")), 400, "invalid_request"),
			fapitest.Bad("another's signature", signedBy(other.Key, ""), 400, "invalid_request"),
			fapitest.Bad("no signature", fapitest.Set("request", "eyJhbGciOiJub25lIn0.e30."), 400, "invalid_request"),
			fapitest.Bad("the typ of another kind", signedBy(c.Key, "dpop+jwt"), 400, "invalid_request"),
		)...)
		t.Run("refuses RS256, "+profile, func(t *testing.T) {
			head := fapitest.Claims{"alg": "RS256", "kid": c.Key.ID()}
			fapitest.WantError(t, send(fapitest.Set("request", fapitest.HandSigned(t, head, c.BackchannelClaims(c.BackchannelForm(), nil), fapitest.ES256(t, c.Key)))), 400, "invalid_request")
		})
	}
	t.Run("refuses an algorithm that the client did not register", func(t *testing.T) {
		c := w.Register("client-9", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_authentication_request_signing_alg", "PS256")))
		fapitest.WantError(t, c.BackchannelSigned(nil), 400, "invalid_request")
		fapitest.WantError(t, c.Backchannel(nil), 400, "invalid_request") // who registers one, signs
	})
}

// Covers: FC-02, RULE-40. Without authorization_details a request has to say what can be compared on both devices.
func TestFC02UniqueContext(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]struct {
		always bool
		scope  string
		alone  bool // whether the scope may stand alone
	}{
		"everything": {true, "openid", false}, "signing in": {false, "openid", true}, "paying": {false, "openid payments", false},
	} {
		w, _ := fapitest.NewFullWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.RequireBindingMessage = one.always }), func(c *fapitest.Config) {
			c.AuthorizationDetailTypes = fapitest.DetailTypes()
			for i := range c.Scopes {
				c.Scopes[i].AlwaysAsk = c.Scopes[i].Name == "payments"
			}
		})
		c := w.Register("client-1", fapitest.All(fapitest.AllScopes, fapitest.CIBAPoll))
		alone := fapitest.Bad(name+" alone", fapitest.Set("scope", one.scope), 400, "invalid_binding_message")
		if one.alone {
			alone = fapitest.Good(name+" alone", fapitest.Set("scope", one.scope))
		}
		fapitest.TryAll(t, c.Backchannel, alone,
			fapitest.Good(name+" with a message", fapitest.Changes(fapitest.Set("scope", one.scope), fapitest.Set("binding_message", "K7"))),
			fapitest.Good(name+" with authorization_details", fapitest.Changes(fapitest.Set("scope", one.scope), fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, "payment_initiation")+"]"))),
		)
	}
}

// Covers: FC-01, FC-03, CI-11, RULE-38, RULE-42, RULE-43. Who may register for it: confidential clients whose tokens are
// bound, for poll or ping and never push, notified only on https and outside of our network.
func TestFC03Registration(t *testing.T) {
	t.Parallel()
	asking := func(more map[string]any) func(map[string]any) {
		return func(m map[string]any) {
			fapitest.CIBAPoll(nil, m)
			for name, value := range more {
				fapitest.SetClaim(name, value)(m)
			}
		}
	}
	const at, mode = "backchannel_client_notification_endpoint", "backchannel_token_delivery_mode"
	fapitest.TryRegistration(t, "poll", asking(nil), "")
	fapitest.TryRegistration(t, "ping", asking(map[string]any{mode: "ping", at: "https://client.example/ping"}), "")
	fapitest.TryRegistration(t, "the only algorithm of a signed request", asking(map[string]any{"backchannel_authentication_request_signing_alg": "ES256"}), "")
	fapitest.TryRegistration(t, "push", asking(map[string]any{mode: "push", at: "https://client.example/push"}), mode)
	fapitest.TryRegistration(t, "no mode", asking(map[string]any{mode: nil}), mode)
	fapitest.TryRegistration(t, "another mode", asking(map[string]any{mode: "pull"}), mode)
	fapitest.TryRegistration(t, "ping to nowhere", asking(map[string]any{mode: "ping"}), at)
	fapitest.TryRegistration(t, "no client authentication", asking(map[string]any{"token_endpoint_auth_method": "none"}), "token_endpoint_auth_method")
	fapitest.TryRegistration(t, "a client secret", asking(map[string]any{"token_endpoint_auth_method": "client_secret_basic"}), "token_endpoint_auth_method")
	fapitest.TryRegistration(t, "tokens that are not bound", asking(map[string]any{"dpop_bound_access_tokens": nil}), "dpop_bound_access_tokens")
	fapitest.TryRegistration(t, "RS256", asking(map[string]any{"backchannel_authentication_request_signing_alg": "RS256"}), "backchannel_authentication_request_signing_alg")
	fapitest.TryRegistration(t, "no openid", asking(map[string]any{"scope": "accounts"}), "scope")
	for _, address := range []string{
		"http://client.example/ping", "https://10.0.0.1/ping", "https://169.254.169.254/latest",
		"https://user@client.example/ping", "https://client.example/ping#part", "ftp://client.example/", "client.example",
	} {
		fapitest.TryRegistration(t, "ping to "+address, asking(map[string]any{mode: "ping", at: address}), at)
	}
}

// Covers: FC-03, FC-01. Clients register themselves for it, with the profile of their initial access token.
func TestFC01DynamicRegistration(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(), func(c *fapitest.Config) { c.Registration = &registration.Settings{} })
	key := fapitest.NewKey(t, jose.ES256)
	enrol := func(profile string, alter func(map[string]any)) fapitest.Reply {
		token := initialTokenFor(w, "org "+fapitest.RandomString(), profile)
		return w.Applicant(nil).RegisterSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) {
			fapitest.CIBAPoll(nil, m)
			delete(m, "scope")
			delete(m, "dpop_bound_access_tokens")
			m["tls_client_certificate_bound_access_tokens"] = true
			fapitest.SetClaim("backchannel_user_code_parameter", false)(m)
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
		fapitest.WantUnauthorized(t, enrol("fapi3", nil))
	})
}

// Covers: CI-07, CI-08, RULE-41. The acknowledgement, and what polling brings: pending, slow down, denied, expired; to the
// client that asked and to nobody else.
func TestCI08Polling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c, other := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.CIBAPoll)
	t.Run("accepts a request with all that a client needs", func(t *testing.T) {
		r := c.Backchannel(fapitest.Set("requested_expiry", "3000"))
		if len(r.Text("auth_req_id")) != 43 || r.Body["expires_in"] != 600.0 || r.Body["interval"] != 5.0 || len(r.Body) != 3 {
			t.Errorf("answered %s", r.Raw)
		}
	})
	t.Run("refuses to be hurried", func(t *testing.T) {
		id := c.AuthReqID(nil)
		for _, step := range []struct {
			wait time.Duration
			want string
		}{
			{0, "authorization_pending"}, {4 * time.Second, "slow_down"}, {9 * time.Second, "slow_down"}, {14900 * time.Millisecond, "authorization_pending"},
			{15 * time.Second, "authorization_pending"}, {time.Second, "slow_down"}, {20 * time.Second, "authorization_pending"},
		} {
			w.Clock.Advance(step.wait)
			fapitest.WantError(t, c.Poll(id, nil), 400, step.want)
		}
	})
	t.Run("accepts a poll that is early when there is a decision", func(t *testing.T) {
		id := c.AuthReqID(nil)
		fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
		w.Decide(id, true)
		fapitest.WantOK(t, c.Poll(id, nil))
	})
	t.Run("refuses another client", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantError(t, other.Poll(id, nil), 400, "invalid_grant")
		fapitest.WantOK(t, c.Poll(id, nil)) // nothing was changed by that
	})
	t.Run("refuses what was denied", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, false)
		fapitest.WantError(t, c.Poll(id, nil), 400, "access_denied")
	})
	t.Run("refuses what has expired, allowed or not", func(t *testing.T) {
		allowed, pending := c.AuthReqID(nil), c.AuthReqID(nil)
		w.Decide(allowed, true)
		w.Clock.Advance(2 * time.Minute)
		fapitest.WantError(t, c.Poll(allowed, nil), 400, "expired_token")
		fapitest.WantError(t, c.Poll(pending, nil), 400, "expired_token")
	})
	t.Run("refuses a key that is not the client's", func(t *testing.T) {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		fapitest.WantError(t, c.Poll(id, func(_ url.Values, h http.Header) { h.Del("DPoP") }), 400, "invalid_request")
		fapitest.WantOK(t, c.Poll(id, nil))
	})
}

// Covers: CI-08. A poll may be held until somebody decides; while it is held, it cannot be sent again.
func TestCI08LongPolling(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.LongPoll = 5 * time.Second }))
	c := w.Register("client-1", fapitest.CIBAPoll)
	t.Run("accepts a decision while it waits", func(t *testing.T) {
		id := c.AuthReqID(nil)
		answered := make(chan fapitest.Reply)
		assertion := c.ClientAssertion(nil)
		go func() { answered <- c.Poll(id, fapitest.Set("client_assertion", assertion)) }()
		awaitHeld(t, w)
		fapitest.WantError(t, c.Poll(id, nil), 400, "slow_down") // two at once are one too many
		fapitest.WantError(t, c.Poll(id, fapitest.Set("client_assertion", assertion)), 400, "slow_down")
		began := time.Now()
		w.Decide(id, true)
		fapitest.WantOK(t, <-answered)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the decision was told after %s", took)
		}
	})
	t.Run("accepts a decision on another node", func(t *testing.T) {
		id := c.AuthReqID(nil)
		answered := make(chan fapitest.Reply)
		go func() { answered <- c.Poll(id, nil) }()
		awaitHeld(t, w)
		node, err := fapi.New(t.Context(), w.Config)
		if err != nil {
			t.Fatal(err)
		}
		if err := node.Backchannel().Decide(t.Context(), w.ByAlice(id, false)); err != nil {
			t.Fatal(err)
		}
		fapitest.WantError(t, <-answered, 400, "access_denied")
	})
}

// awaitHeld waits until the server holds a poll.
func awaitHeld(t *testing.T, w *fapitest.World) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); w.Server.Backchannel().Held() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("no poll is held")
		}
	}
}

// Covers: FC-05, CI-12. How the person was authenticated is in the tokens, and is what was asked for or better; what only
// belongs to push is not there.
func TestFC05Authentication(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	for asked, enough := range map[string][]string{
		fapitest.ACRKey: {fapitest.ACRKey}, fapitest.ACRPassword: {fapitest.ACRKey, fapitest.ACRPassword}, fapitest.ACRKey + " " + fapitest.ACRPassword: {fapitest.ACRKey, fapitest.ACRPassword}, "urn:unknown": {fapitest.ACRKey, fapitest.ACRPassword, ""}, "": {fapitest.ACRKey, fapitest.ACRPassword, ""},
	} {
		for _, reached := range []string{fapitest.ACRKey, fapitest.ACRPassword, ""} {
			fits := false
			for _, one := range enough {
				fits = fits || one == reached
			}
			title := map[bool]string{true: "accepts ", false: "refuses "}[fits]
			t.Run(title+"'"+reached+"' where '"+asked+"' is asked for", func(t *testing.T) {
				id := c.AuthReqID(fapitest.Set("acr_values", asked))
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
				body := fapitest.UnverifiedClaims(t, c.Poll(id, nil).Text("id_token"))
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
	t.Parallel()
	h, stranger := fapitest.NewHintSigner(t), fapitest.NewHintSigner(t)
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(func(b *backchannel.Settings) { b.HintIssuers = []backchannel.HintIssuer{h.Trusted} }))
	c, other := w.Register("client-1", fapitest.CIBAPoll), w.Register("client-2", fapitest.CIBAPoll)
	pairwise := w.Register("client-3", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("subject_type", "pairwise"), fapitest.SetMember("sector_identifier_uri", "https://client.example/sector")))
	idTokenOf := func(c *fapitest.Client) string {
		id := c.AuthReqID(nil)
		w.Decide(id, true)
		return c.Poll(id, nil).Text("id_token")
	}
	asks := func(kind, value string) fapitest.Change {
		return fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set(kind, value))
	}
	host := strings.Split(strings.TrimPrefix(w.Issuer, "https://"), ":")[0]
	account := func(uri string) func(fapitest.Claims) {
		return fapitest.SetClaim("sub_id", map[string]string{"format": "account", "uri": uri})
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
		return fapitest.SetClaim(name, w.Clock.Now().Add(after).Unix())
	}
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("an ID token of this client", asks("id_token_hint", idTokenOf(c))),
		fapitest.Bad("an ID token of another client", asks("id_token_hint", idTokenOf(other)), 400, "invalid_request"),
		fapitest.Bad("an access token", asks("id_token_hint", func() string { id := c.AuthReqID(nil); w.Decide(id, true); return c.Poll(id, nil).Text("access_token") }()), 400, "invalid_request"),
		fapitest.Bad("text", asks("id_token_hint", "colour"), 400, "invalid_request"),
		fapitest.Good("a token of who is believed", asks("login_hint_token", once)),
		fapitest.Bad("it again", asks("login_hint_token", once), 400, "invalid_request"),
		hinted("an account of this server", account("acct:alice@"+host), ""),
		hinted("an account of another server", account("acct:alice@other.example"), "invalid_request"),
		hinted("an unknown format", fapitest.SetClaim("sub_id", map[string]string{"format": "email", "email": "a@b.example"}), "invalid_request"),
		hinted("no person", fapitest.SetClaim("sub_id", nil), "invalid_request"),
		hinted("another's aud", fapitest.SetClaim("aud", "https://other.example"), "invalid_request"),
		hinted("no jti", fapitest.SetClaim("jti", nil), "invalid_request"),
		hinted("no exp", fapitest.SetClaim("exp", nil), "invalid_request"),
		hinted("no iat", fapitest.SetClaim("iat", nil), "invalid_request"),
		hinted("an expired one", at("exp", 0), "expired_login_hint_token"),
		hinted("one that lives for an hour", at("exp", time.Hour), "invalid_request"),
		hinted("one from the future", at("iat", time.Hour), "invalid_request"),
		hinted("another issuer", fapitest.SetClaim("iss", "https://other.example"), "invalid_request"),
		fapitest.Bad("another's signature", asks("login_hint_token", stranger.Token(w, nil)), 400, "invalid_request"),
	)
	t.Run("refuses a pairwise subject", func(t *testing.T) {
		fapitest.WantError(t, pairwise.Backchannel(asks("id_token_hint", idTokenOf(pairwise))), 400, "invalid_request")
	})
	t.Run("accepts the formats that are advertised", func(t *testing.T) {
		formats, _ := w.Document()["backchannel_endpoint_login_hint_token_types_supported"].([]any)
		if len(formats) != 2 || formats[0] != "account" || formats[1] != "opaque" {
			t.Errorf("advertised %v", formats)
		}
	})
	t.Run("refuses a token where nobody is believed", func(t *testing.T) {
		t.Parallel()
		w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
		fapitest.WantError(t, w.Register("client-1", asksPlain).Backchannel(asks("login_hint_token", h.Token(w, nil))), 400, "invalid_request")
	})
	for _, view := range pendingOf(w, "sub-alice") {
		if view.Client.ID != "client-1" && view.Client.ID != "client-2" && view.Client.ID != "client-3" {
			t.Errorf("asked by %s", view.Client.ID)
		}
	}
}

// asksPlain is asks under a name that no variable of a test has.
func asksPlain(c *fapitest.Client, m map[string]any) { fapitest.CIBAPoll(c, m) }

// Covers: CI-05, RULE-43. A client that registered user codes has to send the right one, guesses are few, and without it
// nobody is asked who has one.
func TestCI05UserCodes(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	w.AddUser("sub-bob", "bob", `{}`)
	setCode(w, "correct horse")
	c, without := w.Register("client-1", fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true))), w.Register("client-2", fapitest.CIBAPoll)
	fapitest.TryAll(t, c.Backchannel,
		fapitest.Good("the right code", fapitest.Set("user_code", "correct horse")),
		fapitest.Bad("no code", fapitest.Unset("user_code"), 400, "missing_user_code"),
		fapitest.Bad("a wrong code", fapitest.Set("user_code", "wrong horse"), 400, "invalid_user_code"),
		fapitest.Bad("a code for somebody without one", fapitest.Changes(fapitest.Set("login_hint", "bob"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
		fapitest.Bad("a code for nobody", fapitest.Changes(fapitest.Set("login_hint", "nobody"), fapitest.Set("user_code", "correct horse")), 400, "invalid_user_code"),
	)
	if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 {
		t.Errorf("%d wait", len(waiting))
	}
	t.Run("refuses to ask without a code, without saying so", func(t *testing.T) {
		id := without.AuthReqID(nil)
		fapitest.WantError(t, without.Poll(id, nil), 400, "authorization_pending")
		if waiting := pendingOf(w, "sub-alice"); len(waiting) != 1 {
			t.Errorf("%d wait", len(waiting))
		}
	})
	t.Run("refuses more than a few guesses, even the right one", func(t *testing.T) {
		for range 4 {
			fapitest.WantError(t, c.Backchannel(fapitest.Set("user_code", "guess 123")), 400, "invalid_user_code")
		}
		r := c.Backchannel(fapitest.Set("user_code", "correct horse"))
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if r.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
		w.Clock.Advance(time.Hour)
		if r := c.Backchannel(fapitest.Set("user_code", "correct horse")); r.Status != http.StatusOK {
			t.Errorf("an hour later: %d %s", r.Status, r.Raw)
		}
	})
}

// Covers: CI-13, ATTACK-38. Who is disabled is not asked, cannot decide, and gets no tokens for what was decided before.
func TestCI13DisabledPeople(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	c := w.Register("client-1", fapitest.CIBAPoll)
	pending, allowed := c.AuthReqID(nil), c.AuthReqID(nil)
	w.Decide(allowed, true)
	w.Disable("sub-alice", true)
	t.Run("refuses to ask them, without saying so", func(t *testing.T) {
		id := c.AuthReqID(nil)
		fapitest.WantError(t, c.Poll(id, nil), 400, "authorization_pending")
		w.Disable("sub-alice", false)
		for _, view := range pendingOf(w, "sub-alice") {
			if view.Reference == fapitest.Reference(id) {
				t.Error("it is shown when they are back")
			}
		}
		w.Disable("sub-alice", true)
	})
	t.Run("refuses their decision", func(t *testing.T) {
		if len(pendingOf(w, "sub-alice")) != 0 {
			t.Error("something is shown to them")
		}
		if err := w.Server.Backchannel().Decide(t.Context(), w.ByAlice(pending, true)); !errors.Is(err, backchannel.ErrNotAsked) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("refuses tokens for what they allowed", func(t *testing.T) {
		fapitest.WantError(t, c.Poll(allowed, nil), 400, "invalid_grant")
	})
	t.Run("accepts them when they are back", func(t *testing.T) {
		w.Disable("sub-alice", false)
		fapitest.WantOK(t, c.Poll(allowed, nil))
		w.Decide(pending, true)
		fapitest.WantOK(t, c.Poll(pending, nil))
	})
}

// setCode gives alice a user code.
func setCode(w *fapitest.World, code string) {
	w.T.Helper()
	user, err := w.Store.User(context.Background(), "sub-alice")
	if err != nil {
		w.T.Fatal(err)
	}
	if user.UserCode, err = directory.HashUserCode(code); err != nil {
		w.T.Fatal(err)
	}
	if err := w.Store.PutUser(context.Background(), user); err != nil {
		w.T.Fatal(err)
	}
}

// initialTokenFor gives an organisation an initial access token for clients of a profile.
func initialTokenFor(w *fapitest.World, organisation, profile string) string {
	w.T.Helper()
	token := w.InitialToken(organisation, 1)
	stored, err := w.Store.InitialToken(context.Background(), store.DigestOf(token))
	if err == nil {
		stored.Profile = profile
		err = w.Store.PutInitialToken(context.Background(), stored)
	}
	if err != nil {
		w.T.Fatal(err)
	}
	return token
}
