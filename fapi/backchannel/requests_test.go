package backchannel_test

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
	"countersign/fapi/registration"
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

// Covers: CI-03, FC-04, FC-09, RULE-37. A signed request has every claim, is alone, is signed by its client with an
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
		alone  bool // whether the scope may be alone
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
