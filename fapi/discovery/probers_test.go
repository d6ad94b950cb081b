package discovery_test

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/mtls"
)

// listProbers has, for each list of the document, what shows that one of its values works.
func listProbers() map[string]prober {
	probers := map[string]prober{
		"grant_types_supported":                    probeGrantType,
		"response_types_supported":                 probeParameter("response_type"),
		"response_modes_supported":                 probeResponseMode,
		"ui_locales_supported":                     probeParameter("ui_locales"),
		"code_challenge_methods_supported":         probeParameter("code_challenge_method"),
		"scopes_supported":                         probeScope,
		"grant_management_actions_supported":       probeGrantManagement,
		"claims_supported":                         probeClaim,
		"subject_types_supported":                  probeSubjectType,
		"prompt_values_supported":                  probePrompt,
		"acr_values_supported":                     probeACR,
		"authorization_details_types_supported":    probeDetails,
		"protected_resources":                      probeProtectedResource,
		"id_token_signing_alg_values_supported":    probeIDTokenAlgorithm,
		"userinfo_signing_alg_values_supported":    probeUserInfoAlgorithm,
		"id_token_encryption_alg_values_supported": probeEncryption("id_token", "alg"),
		"id_token_encryption_enc_values_supported": probeEncryption("id_token", "enc"),
		"userinfo_encryption_alg_values_supported": probeEncryption("userinfo", "alg"),
		"userinfo_encryption_enc_values_supported": probeEncryption("userinfo", "enc"),
		"dpop_signing_alg_values_supported":        probeProofAlgorithm,

		"authorization_encryption_alg_values_supported": probeMessageEncryption("authorization", "alg"),
		"authorization_encryption_enc_values_supported": probeMessageEncryption("authorization", "enc"),
		"introspection_encryption_alg_values_supported": probeMessageEncryption("introspection", "alg"),
		"introspection_encryption_enc_values_supported": probeMessageEncryption("introspection", "enc"),

		"introspection_signing_alg_values_supported":  probeIntrospectionAlgorithm,
		"request_object_signing_alg_values_supported": probeRequestObjectAlgorithm,
		"authorization_signing_alg_values_supported":  probeResponseAlgorithm,

		"backchannel_token_delivery_modes_supported":                      probeDeliveryMode,
		"backchannel_authentication_request_signing_alg_values_supported": probeBackchannelAlgorithm,
	}
	for _, name := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
		probers[name+"_auth_methods_supported"] = probeAuthMethod(name)
		probers[name+"_auth_signing_alg_values_supported"] = probeAssertionAlgorithm(name)
	}
	return probers
}

// addressProbers has, for each address of the document, what shows that the endpoint answers there. The path is given,
// and a client that uses the listener in question.
func addressProbers() map[string]func(t *testing.T, c *fapitest.Client, path string) {
	return map[string]func(*testing.T, *fapitest.Client, string){
		"jwks_uri": func(t *testing.T, c *fapitest.Client, path string) {
			response, body := c.World.Request(t, http.MethodGet, c.Base()+path, nil, "")
			keys, err := jose.ParseKeySet([]byte(body))
			if err != nil || len(keys.Keys()) == 0 || response.StatusCode != http.StatusOK {
				t.Errorf("answered %d %s: %v", response.StatusCode, body, err)
			}
		},
		"authorization_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			query := url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}}
			if _, _, sentTo := c.World.Browser().Visit(c.Base() + path + "?" + query.Encode()); sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Errorf("sent to %v", sentTo)
			}
		},
		"pushed_authorization_request_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			if r := c.Post(path, c.AuthorizationForm(), nil); r.Status != http.StatusCreated {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"token_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {c.Authorize()}, "redirect_uri": {c.RedirectURI}, "code_verifier": {fapitest.CodeVerifier}}
			if r := c.Post(path, form, nil); r.Status != http.StatusOK || r.Text("access_token") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"userinfo_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			fapitest.WantOK(t, c.Get(path, c.Tokens().Text("access_token"), nil))
		},
		"introspection_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			token := c.Tokens().Text("access_token")
			self := c.World.ResourceServer("self-"+fapitest.RandomString(), c.World.Issuer)
			self.AtMTLS, self.Certificate, self.HTTP = c.AtMTLS || c.Certificate != nil, c.Certificate, c.HTTP
			if r := self.Post(path, url.Values{"token": {token}}, nil); r.Body["active"] != true {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"revocation_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			token := c.Tokens().Text("access_token")
			if r := c.Post(path, url.Values{"token": {token}}, nil); r.Status != http.StatusOK {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
			fapitest.WantError(t, c.Get("/userinfo", token, nil), 401, "invalid_token")
		},
		"grant_management_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			if r := c.Get(path+"/none", c.Tokens().Text("access_token"), nil); r.Status != http.StatusForbidden || r.Text("error") != "insufficient_scope" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"end_session_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			status, body, _ := c.World.Browser().Visit(c.Base() + path)
			if status != http.StatusOK || !strings.Contains(body, "You are signed out") {
				t.Errorf("answered %d %s", status, body)
			}
		},
		"backchannel_authentication_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			asking := c.World.Register("asks-"+fapitest.RandomString(), func(other *fapitest.Client, m map[string]any) {
				if c.Certificate != nil {
					fapitest.TLSClientAuth(other, m)
				}
				fapitest.CIBAPoll(other, m)
			})
			if r := asking.Post(path, asking.BackchannelForm(), nil); r.Status != http.StatusOK || r.Text("auth_req_id") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"registration_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			body := fapitest.RegistrationRequest(fapitest.NewKey(t, jose.ES256), nil)
			r := c.SendJSON(http.MethodPost, c.Base()+path, c.World.InitialToken("probe-"+fapitest.RandomString(), 1), body, nil)
			if r.Status != http.StatusCreated || r.Text("client_id") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
	}
}

// truthProbers has, for each boolean of the document, what shows that it is true, or that it is false.
func truthProbers() map[string]func(t *testing.T, w probedWorld, value bool) {
	refusesRequest := func(name, request, code string) func(*testing.T, probedWorld, bool) {
		return func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), nil)
			r := c.Push(fapitest.Set(name, request))
			if value != (r.Status == http.StatusCreated) || !value && r.Text("error") != code {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		}
	}
	return map[string]func(*testing.T, probedWorld, bool){
		"request_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), fapitest.All(signs(value), nil))
			r := c.Push(c.Signing(nil))
			if value != (r.Status == http.StatusCreated) || !value && r.Text("error") != "request_not_supported" {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		},
		"require_signed_request_object": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), nil)
			if r := c.Push(nil); value == (r.Status == http.StatusCreated) {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		},
		"request_uri_parameter_supported": refusesRequest("request_uri", "https://client.example/request", "invalid_request"),
		"claims_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), fapitest.PlainOpenID)
			issued := c.TokensFor(fapitest.Set("claims", `{"userinfo":{"email":null}}`))
			if got := c.Get("/userinfo", issued.Text("access_token"), nil); value != (got.Text("email") == "alice@example.com") {
				t.Errorf("advertised %v, and answered %s", value, got.Raw)
			}
		},
		"tls_client_certificate_bound_access_tokens": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), fapitest.CertificateBound)
			bound, _ := fapitest.UnverifiedClaims(t, c.Tokens().Text("access_token"))["cnf"].(map[string]any)
			if value != (bound["x5t#S256"] == mtls.Thumbprint(c.Certificate.Leaf)) {
				t.Errorf("advertised %v, and bound to %v", value, bound)
			}
		},
		"require_pushed_authorization_requests": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), nil)
			status, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + c.AuthorizationForm().Encode())
			if value != (sentTo == nil && status == http.StatusBadRequest) {
				t.Errorf("advertised %v, and answered %d, sent to %v", value, status, sentTo)
			}
		},
		"grant_management_action_required":     probeActionRequired,
		"backchannel_logout_supported":         probeLogout,
		"backchannel_logout_session_supported": probeLogout,
		"backchannel_user_code_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), fapitest.All(fapitest.CIBAPoll, fapitest.SetMember("backchannel_user_code_parameter", true)))
			if r := c.Backchannel(nil); value != (r.Text("error") == "missing_user_code") {
				t.Errorf("advertised %v, and answered %s", value, r.Raw)
			}
		},
		"authorization_response_iss_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.Register("client-"+fapitest.RandomString(), nil)
			if q := c.AuthorizeIn(w.Browser(), nil); value != (q.Get("iss") == w.Issuer) {
				t.Errorf("advertised %v, and answered %v", value, q)
			}
		},
	}
}

// probeLogout shows that a client is told of the end of a session, by its sid.
func probeLogout(t *testing.T, w probedWorld, value bool) {
	received := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	c := w.Register("client-"+fapitest.RandomString(), fapitest.Told(received.URL))
	sid := fapitest.UnverifiedClaims(t, c.Tokens().Text("id_token"))["sid"]
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
	if told := fapitest.UnverifiedClaims(t, form.Get("logout_token"))["sid"]; value != (sid != nil && told == sid) {
		t.Errorf("advertised %v, and told of %v in place of %v", value, told, sid)
	}
}

func probeGrantType(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), nil)
	switch value {
	case "authorization_code":
		fapitest.WantOK(t, c.Redeem(c.Authorize(), nil))
	case "refresh_token":
		fapitest.WantOK(t, c.Refresh(c.Tokens().Text("refresh_token"), nil))
	case "client_credentials":
		fapitest.WantOK(t, w.Register("machine-"+fapitest.RandomString(), fapitest.ClientCredentialsOnly).ClientCredentials(nil))
	case fapitest.CIBAGrant:
		probeDeliveryMode(t, w, "poll")
	default:
		t.Errorf("there is no test for the grant type %q", value)
	}
}

// probeParameter shows that a value of a parameter leads to tokens.
func probeParameter(name string) prober {
	return func(_ *testing.T, w probedWorld, value string) {
		w.Register("client-"+fapitest.RandomString(), nil).TokensFor(fapitest.Set(name, value))
	}
}

func probeScope(t *testing.T, w probedWorld, value string) {
	if strings.HasPrefix(value, "grant_management_") {
		machine := w.Register("machine-"+fapitest.RandomString(), fapitest.All(fapitest.ClientCredentialsOnly, fapitest.SetMember("scope", value)))
		if r := machine.ClientCredentials(fapitest.Set("scope", value)); r.Text("scope") != value {
			t.Errorf("answered %s", r.Raw)
		}
		return
	}
	c := w.Register("client-"+fapitest.RandomString(), func(c *fapitest.Client, m map[string]any) {
		c.Scope = value
		m["scope"] = value
	})
	if r := c.Tokens(); r.Text("scope") != value || fapitest.UnverifiedClaims(t, r.Text("access_token"))["scope"] != value {
		t.Errorf("answered %s", r.Raw)
	}
}

// probeClaim asks for a claim by its name, in the ID token and from UserInfo. Those of the protocol are in each ID token of a client
// that signs users out.
func probeClaim(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.All(fapitest.PlainOpenID, fapitest.Told("https://client.example/told")))
	issued := c.TokensFor(fapitest.Set("claims", fapitest.JSON(map[string]any{
		"id_token": map[string]any{value: nil}, "userinfo": map[string]any{value: map[string]any{"essential": true}},
	})))
	if fapitest.UnverifiedClaims(t, issued.Text("id_token"))[value] == nil {
		t.Errorf("%s is not in the ID token", value)
	}
	ofProtocol := []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash", "sid"}
	if info := c.Get("/userinfo", issued.Text("access_token"), nil); info.Body[value] == nil && !slices.Contains(ofProtocol, value) {
		t.Errorf("%s is not in %s", value, info.Raw)
	}
}

func probeSubjectType(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.SetMember("subject_type", value))
	sub := fapitest.UnverifiedClaims(t, c.Tokens().Text("id_token"))["sub"]
	if public := sub == "sub-alice"; sub == nil || public != (value == "public") {
		t.Errorf("sub %v", sub)
	}
}

func probePrompt(t *testing.T, w probedWorld, value string) {
	c, b := w.Register("client-"+fapitest.RandomString(), nil), w.Browser()
	c.AuthorizeIn(b, nil)
	if q := c.AuthorizeIn(b, fapitest.Set("prompt", value)); q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
}

func probeACR(t *testing.T, w probedWorld, value string) {
	w.person.Is("sub-alice", value)
	c := w.Register("client-"+fapitest.RandomString(), nil)
	issued := c.TokensFor(fapitest.Set("claims", fapitest.JSON(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "value": value}}})))
	if got := fapitest.UnverifiedClaims(t, issued.Text("id_token"))["acr"]; got != value {
		t.Errorf("acr %v", got)
	}
}

func probeDetails(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.AllScopes)
	issued := c.TokensFor(fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, value)+"]"))
	granted, _ := issued.Body["authorization_details"].([]any)
	if len(granted) != 1 || granted[0].(map[string]any)["type"] != value {
		t.Errorf("granted %v", issued.Raw)
	}
}

func probeIDTokenAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.SetMember("id_token_signed_response_alg", value))
	if header, _ := w.Verify(c.Tokens().Text("id_token")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

func probeUserInfoAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), fapitest.SetMember("userinfo_signed_response_alg", value))
	if header, _ := w.Verify(c.Get("/userinfo", c.Tokens().Text("access_token"), nil).Raw); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

func probeProofAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.Register("client-"+fapitest.RandomString(), nil)
	c.ProofKey = fapitest.NewKey(t, value)
	fapitest.WantOK(t, c.Get("/accounts", c.Tokens().Text("access_token"), nil))
}

// forEndpoint makes a client that may use an endpoint: the introspection endpoint is for resource servers.
func forEndpoint(endpoint string) func(*fapitest.Client, map[string]any) {
	return func(c *fapitest.Client, m map[string]any) {
		if endpoint == "introspection_endpoint" {
			m["resource_identifiers"] = []string{c.World.Issuer}
		}
	}
}

func probeAuthMethod(endpoint string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		methods := map[string]func(*fapitest.Client, map[string]any){
			"private_key_jwt": nil, "tls_client_auth": fapitest.TLSClientAuth, "self_signed_tls_client_auth": fapitest.SelfSignedTLSClientAuth,
		}
		if !slices.Contains(slices.Collect(maps.Keys(methods)), value) {
			t.Fatalf("there is no test for the method %q", value)
		}
		fapitest.WantOK(t, at(w.Register("client-"+fapitest.RandomString(), fapitest.All(methods[value], forEndpoint(endpoint))), endpoint))
	}
}

func probeAssertionAlgorithm(endpoint string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		c := w.Register("client-"+fapitest.RandomString(), fapitest.All(func(c *fapitest.Client, m map[string]any) {
			c.Key = fapitest.NewKey(t, value)
			m["jwks"], m["token_endpoint_auth_signing_alg"] = fapitest.KeySet(c.Key.PublicJWK()), value
		}, forEndpoint(endpoint)))
		fapitest.WantOK(t, at(c, endpoint))
	}
}

// pathOfAddress is the path of an endpoint's address below one of the server's two addresses.
func pathOfAddress(t *testing.T, address, base string) string {
	t.Helper()
	path, below := strings.CutPrefix(address, base)
	if !below {
		t.Fatalf("%s is not below %s", address, base)
	}
	return path
}

// probeProtectedResource shows that a resource describes itself as the one, and takes the tokens that are for it.
func probeProtectedResource(t *testing.T, w probedWorld, value string) {
	if r := fetched(t, w.World, value+"/.well-known/oauth-protected-resource"); r.Body["resource"] != value {
		t.Errorf("described as %s", r.Raw)
	}
	c := w.Register("client-"+fapitest.RandomString(), fapitest.AllScopes)
	if r := c.Get("/accounts", c.TokensFor(fapitest.Set("resource", value)).Text("access_token"), nil); r.Status != http.StatusOK {
		t.Errorf("a token for it: %d %s", r.Status, r.Raw)
	}
}

// prober shows that one value of the discovery document works.
type prober func(t *testing.T, w probedWorld, value string)

// at sends something harmless to an endpoint and reports whether the client was let in.
func at(c *fapitest.Client, endpoint string) fapitest.Reply {
	c.World.T.Helper()
	switch endpoint {
	case "introspection_endpoint":
		return c.Introspect("unknown", nil)
	case "revocation_endpoint":
		return c.Revoke("unknown", nil)
	}
	return c.Redeem(c.Authorize(), nil)
}
