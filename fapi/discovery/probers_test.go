package discovery_test

import (
	"encoding/base64"
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
func listProbers() map[string]fapitest.Prober {
	probers := map[string]fapitest.Prober{
		"grant_types_supported":                    probeGrantType,
		"response_types_supported":                 probeParameter("response_type"),
		"response_modes_supported":                 fapitest.ProbeResponseMode,
		"code_challenge_methods_supported":         probeParameter("code_challenge_method"),
		"scopes_supported":                         probeScope,
		"claims_supported":                         probeClaim,
		"subject_types_supported":                  probeSubjectType,
		"prompt_values_supported":                  probePrompt,
		"acr_values_supported":                     probeACR,
		"authorization_details_types_supported":    probeDetails,
		"protected_resources":                      fapitest.ProbeProtectedResource,
		"id_token_signing_alg_values_supported":    probeIDTokenAlgorithm,
		"userinfo_signing_alg_values_supported":    probeUserInfoAlgorithm,
		"id_token_encryption_alg_values_supported": probeEncryption("id_token", "alg"),
		"id_token_encryption_enc_values_supported": probeEncryption("id_token", "enc"),
		"userinfo_encryption_alg_values_supported": probeEncryption("userinfo", "alg"),
		"userinfo_encryption_enc_values_supported": probeEncryption("userinfo", "enc"),
		"dpop_signing_alg_values_supported":        probeProofAlgorithm,

		"authorization_encryption_alg_values_supported": fapitest.ProbeMessageEncryption("authorization", "alg"),
		"authorization_encryption_enc_values_supported": fapitest.ProbeMessageEncryption("authorization", "enc"),
		"introspection_encryption_alg_values_supported": fapitest.ProbeMessageEncryption("introspection", "alg"),
		"introspection_encryption_enc_values_supported": fapitest.ProbeMessageEncryption("introspection", "enc"),

		"introspection_signing_alg_values_supported":  fapitest.ProbeIntrospectionAlgorithm,
		"request_object_signing_alg_values_supported": fapitest.ProbeRequestObjectAlgorithm,
		"authorization_signing_alg_values_supported":  fapitest.ProbeResponseAlgorithm,

		"backchannel_token_delivery_modes_supported":                      fapitest.ProbeDeliveryMode,
		"backchannel_authentication_request_signing_alg_values_supported": fapitest.ProbeBackchannelAlgorithm,
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
			response, body := c.W.Ask(t, http.MethodGet, c.Base()+path, nil, "")
			keys, err := jose.ParseKeySet([]byte(body))
			if err != nil || len(keys.Keys()) == 0 || response.StatusCode != http.StatusOK {
				t.Errorf("answered %d %s: %v", response.StatusCode, body, err)
			}
		},
		"authorization_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			query := url.Values{"client_id": {c.ID}, "request_uri": {c.Push(nil).Text("request_uri")}}
			if _, _, sentTo := c.W.Browser().Visit(c.Base() + path + "?" + query.Encode()); sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Errorf("sent to %v", sentTo)
			}
		},
		"pushed_authorization_request_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			if r := c.Post(path, c.Request(), nil); r.Status != http.StatusCreated {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"token_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {c.Authorize()}, "redirect_uri": {c.RedirectURI}, "code_verifier": {fapitest.Verifier}}
			if r := c.Post(path, form, nil); r.Status != http.StatusOK || r.Text("access_token") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"userinfo_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			fapitest.WantActive(t, c.Get(path, c.Tokens().Text("access_token"), nil))
		},
		"introspection_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			token := c.Tokens().Text("access_token")
			self := c.W.ResourceServer("self-"+fapitest.Random(), c.W.Issuer)
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
		"backchannel_authentication_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			asking := c.W.Register("asks-"+fapitest.Random(), func(other *fapitest.Client, m map[string]any) {
				if c.Certificate != nil {
					fapitest.WithCertificate(other, m)
				}
				fapitest.Asks(other, m)
			})
			if r := asking.Post(path, asking.Backchannel(), nil); r.Status != http.StatusOK || r.Text("auth_req_id") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
		"registration_endpoint": func(t *testing.T, c *fapitest.Client, path string) {
			body := fapitest.Enrolment(fapitest.NewKey(t, jose.ES256), nil)
			r := c.Send(http.MethodPost, c.Base()+path, c.W.InitialToken("probe-"+fapitest.Random(), 1), body, nil)
			if r.Status != http.StatusCreated || r.Text("client_id") == "" {
				t.Errorf("answered %d %s", r.Status, r.Raw)
			}
		},
	}
}

// truthProbers has, for each boolean of the document, what shows that it is true, or that it is false.
func truthProbers() map[string]func(t *testing.T, w fapitest.ProbedWorld, value bool) {
	refusesRequest := func(name, request, code string) func(*testing.T, fapitest.ProbedWorld, bool) {
		return func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), nil)
			r := c.Push(fapitest.Set(name, request))
			if value != (r.Status == http.StatusCreated) || !value && r.Text("error") != code {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		}
	}
	return map[string]func(*testing.T, fapitest.ProbedWorld, bool){
		"request_parameter_supported": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), fapitest.All(fapitest.Signs(value), nil))
			r := c.Push(c.Signing(nil))
			if value != (r.Status == http.StatusCreated) || !value && r.Text("error") != "request_not_supported" {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		},
		"require_signed_request_object": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), nil)
			if r := c.Push(nil); value == (r.Status == http.StatusCreated) {
				t.Errorf("advertised %v, and answered %d %s", value, r.Status, r.Raw)
			}
		},
		"request_uri_parameter_supported": refusesRequest("request_uri", "https://client.example/request", "invalid_request"),
		"claims_parameter_supported": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), fapitest.PlainOpenID)
			issued := c.TokensFor(fapitest.Set("claims", `{"userinfo":{"email":null}}`))
			if got := c.Get("/userinfo", issued.Text("access_token"), nil); value != (got.Text("email") == "alice@example.com") {
				t.Errorf("advertised %v, and answered %s", value, got.Raw)
			}
		},
		"tls_client_certificate_bound_access_tokens": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), fapitest.ByCertificate)
			bound, _ := fapitest.ClaimsIn(t, c.Tokens().Text("access_token"))["cnf"].(map[string]any)
			if value != (bound["x5t#S256"] == mtls.Thumbprint(c.Certificate.Leaf)) {
				t.Errorf("advertised %v, and bound to %v", value, bound)
			}
		},
		"require_pushed_authorization_requests": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), nil)
			_, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + c.Request().Encode())
			if sentTo == nil || value != (sentTo.Query().Get("error") == "invalid_request") {
				t.Errorf("advertised %v, and sent to %v", value, sentTo)
			}
		},
		"backchannel_user_code_parameter_supported": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), fapitest.All(fapitest.Asks, fapitest.Member("backchannel_user_code_parameter", true)))
			if r := c.Ask(nil); value != (r.Text("error") == "missing_user_code") {
				t.Errorf("advertised %v, and answered %s", value, r.Raw)
			}
		},
		"authorization_response_iss_parameter_supported": func(t *testing.T, w fapitest.ProbedWorld, value bool) {
			c := w.Register("client-"+fapitest.Random(), nil)
			if q := c.Through(w.Browser(), nil); value != (q.Get("iss") == w.Issuer) {
				t.Errorf("advertised %v, and answered %v", value, q)
			}
		},
	}
}

func probeGrantType(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), nil)
	switch value {
	case "authorization_code":
		fapitest.WantActive(t, c.Redeem(c.Authorize(), nil))
	case "refresh_token":
		fapitest.WantActive(t, c.Refresh(c.Tokens().Text("refresh_token"), nil))
	case "client_credentials":
		fapitest.WantActive(t, w.Register("machine-"+fapitest.Random(), fapitest.Machine).ClientCredentials(nil))
	case fapitest.CibaGrant:
		fapitest.ProbeDeliveryMode(t, w, "poll")
	default:
		t.Errorf("there is no test for the grant type %q", value)
	}
}

// probeParameter shows that a value of a parameter leads to tokens.
func probeParameter(name string) fapitest.Prober {
	return func(_ *testing.T, w fapitest.ProbedWorld, value string) {
		w.Register("client-"+fapitest.Random(), nil).TokensFor(fapitest.Set(name, value))
	}
}

func probeScope(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), func(c *fapitest.Client, m map[string]any) {
		c.Scope = value
		m["scope"] = value
	})
	if r := c.Tokens(); r.Text("scope") != value || fapitest.ClaimsIn(t, r.Text("access_token"))["scope"] != value {
		t.Errorf("answered %s", r.Raw)
	}
}

// probeClaim asks for a claim by its name, in the ID token and from UserInfo. Those of the protocol are in each ID token.
func probeClaim(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), fapitest.PlainOpenID)
	issued := c.TokensFor(fapitest.Set("claims", fapitest.JsonText(map[string]any{
		"id_token": map[string]any{value: nil}, "userinfo": map[string]any{value: map[string]any{"essential": true}},
	})))
	if fapitest.ClaimsIn(t, issued.Text("id_token"))[value] == nil {
		t.Errorf("%s is not in the ID token", value)
	}
	ofProtocol := []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash"}
	if info := c.Get("/userinfo", issued.Text("access_token"), nil); info.Body[value] == nil && !slices.Contains(ofProtocol, value) {
		t.Errorf("%s is not in %s", value, info.Raw)
	}
}

func probeSubjectType(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), fapitest.Member("subject_type", value))
	sub := fapitest.ClaimsIn(t, c.Tokens().Text("id_token"))["sub"]
	if public := sub == "sub-alice"; sub == nil || public != (value == "public") {
		t.Errorf("sub %v", sub)
	}
}

func probePrompt(t *testing.T, w fapitest.ProbedWorld, value string) {
	c, b := w.Register("client-"+fapitest.Random(), nil), w.Browser()
	c.Through(b, nil)
	if q := c.Through(b, fapitest.Set("prompt", value)); q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
}

func probeACR(t *testing.T, w fapitest.ProbedWorld, value string) {
	w.Person.Is("sub-alice", value)
	c := w.Register("client-"+fapitest.Random(), nil)
	issued := c.TokensFor(fapitest.Set("claims", fapitest.JsonText(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "value": value}}})))
	if got := fapitest.ClaimsIn(t, issued.Text("id_token"))["acr"]; got != value {
		t.Errorf("acr %v", got)
	}
}

func probeDetails(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), fapitest.Wide)
	issued := c.TokensFor(fapitest.Set("authorization_details", "["+fapitest.ExampleDetail(t, value)+"]"))
	granted, _ := issued.Body["authorization_details"].([]any)
	if len(granted) != 1 || granted[0].(map[string]any)["type"] != value {
		t.Errorf("granted %v", issued.Raw)
	}
}

func probeIDTokenAlgorithm(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), fapitest.Member("id_token_signed_response_alg", value))
	if header, _ := w.Decode(c.Tokens().Text("id_token")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

func probeUserInfoAlgorithm(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), fapitest.Member("userinfo_signed_response_alg", value))
	if header, _ := w.Decode(c.Get("/userinfo", c.Tokens().Text("access_token"), nil).Raw); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

// probeEncryption gets an ID token or a UserInfo answer that is encrypted with one alg or enc.
func probeEncryption(answer, part string) fapitest.Prober {
	return func(t *testing.T, w fapitest.ProbedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := fapitest.NewReader(t, wanted["alg"])
		c := w.Register("client-"+fapitest.Random(), func(c *fapitest.Client, m map[string]any) {
			m["jwks"] = fapitest.KeySet(c.Key.PublicJWK(), key.Public)
			m["userinfo_signed_response_alg"] = "ES256"
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		})
		issued := c.Tokens()
		token := issued.Text("id_token")
		if answer == "userinfo" {
			token = c.Get("/userinfo", issued.Text("access_token"), nil).Raw
		}
		raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
		if err != nil || !strings.Contains(string(raw), `"alg":"`+wanted["alg"]+`"`) || !strings.Contains(string(raw), `"enc":"`+wanted["enc"]+`"`) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.Decode(key.Open(t, token)); body["sub"] != "sub-alice" {
			t.Errorf("decrypted to %v", body)
		}
	}
}

func probeProofAlgorithm(t *testing.T, w fapitest.ProbedWorld, value string) {
	c := w.Register("client-"+fapitest.Random(), nil)
	c.ProofKey = fapitest.NewKey(t, value)
	fapitest.WantActive(t, c.Get("/accounts", c.Tokens().Text("access_token"), nil))
}

// forEndpoint makes a client that may use an endpoint: the introspection endpoint is for resource servers.
func forEndpoint(endpoint string) func(*fapitest.Client, map[string]any) {
	return func(c *fapitest.Client, m map[string]any) {
		if endpoint == "introspection_endpoint" {
			m["resource_identifiers"] = []string{c.W.Issuer}
		}
	}
}

func probeAuthMethod(endpoint string) fapitest.Prober {
	return func(t *testing.T, w fapitest.ProbedWorld, value string) {
		methods := map[string]func(*fapitest.Client, map[string]any){
			"private_key_jwt": nil, "tls_client_auth": fapitest.WithCertificate, "self_signed_tls_client_auth": fapitest.SelfSigned,
		}
		if !slices.Contains(slices.Collect(maps.Keys(methods)), value) {
			t.Fatalf("there is no test for the method %q", value)
		}
		fapitest.WantActive(t, w.Register("client-"+fapitest.Random(), fapitest.All(methods[value], forEndpoint(endpoint))).At(endpoint))
	}
}

func probeAssertionAlgorithm(endpoint string) fapitest.Prober {
	return func(t *testing.T, w fapitest.ProbedWorld, value string) {
		c := w.Register("client-"+fapitest.Random(), fapitest.All(func(c *fapitest.Client, m map[string]any) {
			c.Key = fapitest.NewKey(t, value)
			m["jwks"], m["token_endpoint_auth_signing_alg"] = fapitest.KeySet(c.Key.PublicJWK()), value
		}, forEndpoint(endpoint)))
		fapitest.WantActive(t, c.At(endpoint))
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
