package fapi_test

import (
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/internal/jose"
	"countersign/mtls"
)

// probedWorld is a running server, and the person who sits before every browser.
type probedWorld struct {
	*world
	person *person
}

// prober shows that one value of the discovery document works.
type prober func(t *testing.T, w probedWorld, value string)

// listProbers has, for each list of the document, what shows that one of its values works.
func listProbers() map[string]prober {
	probers := map[string]prober{
		"grant_types_supported":                    probeGrantType,
		"response_types_supported":                 probeParameter("response_type"),
		"response_modes_supported":                 probeResponseMode,
		"code_challenge_methods_supported":         probeParameter("code_challenge_method"),
		"scopes_supported":                         probeScope,
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
func addressProbers() map[string]func(t *testing.T, c *client, path string) {
	return map[string]func(*testing.T, *client, string){
		"jwks_uri": func(t *testing.T, c *client, path string) {
			response, body := c.w.ask(t, http.MethodGet, c.base()+path, nil, "")
			keys, err := jose.ParseKeySet([]byte(body))
			if err != nil || len(keys.Keys()) == 0 || response.StatusCode != http.StatusOK {
				t.Errorf("answered %d %s: %v", response.StatusCode, body, err)
			}
		},
		"authorization_endpoint": func(t *testing.T, c *client, path string) {
			query := url.Values{"client_id": {c.id}, "request_uri": {c.push(nil).text("request_uri")}}
			if _, _, sentTo := c.w.browser().visit(c.base() + path + "?" + query.Encode()); sentTo == nil || sentTo.Query().Get("code") == "" {
				t.Errorf("sent to %v", sentTo)
			}
		},
		"pushed_authorization_request_endpoint": func(t *testing.T, c *client, path string) {
			if r := c.post(path, c.request(), nil); r.status != http.StatusCreated {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		},
		"token_endpoint": func(t *testing.T, c *client, path string) {
			form := url.Values{"grant_type": {"authorization_code"}, "code": {c.authorize()}, "redirect_uri": {c.redirectURI}, "code_verifier": {verifier}}
			if r := c.post(path, form, nil); r.status != http.StatusOK || r.text("access_token") == "" {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		},
		"userinfo_endpoint": func(t *testing.T, c *client, path string) {
			wantActive(t, c.get(path, c.tokens().text("access_token"), nil))
		},
		"introspection_endpoint": func(t *testing.T, c *client, path string) {
			token := c.tokens().text("access_token")
			self := c.w.resourceServer("self-"+random(), c.w.issuer)
			self.atMTLS, self.certificate, self.http = c.atMTLS || c.certificate != nil, c.certificate, c.http
			if r := self.post(path, url.Values{"token": {token}}, nil); r.body["active"] != true {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		},
		"revocation_endpoint": func(t *testing.T, c *client, path string) {
			token := c.tokens().text("access_token")
			if r := c.post(path, url.Values{"token": {token}}, nil); r.status != http.StatusOK {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
			wantError(t, c.get("/userinfo", token, nil), 401, "invalid_token")
		},
		"backchannel_authentication_endpoint": func(t *testing.T, c *client, path string) {
			asking := c.w.register("asks-"+random(), func(other *client, m map[string]any) {
				if c.certificate != nil {
					withCertificate(other, m)
				}
				asks(other, m)
			})
			if r := asking.post(path, asking.backchannel(), nil); r.status != http.StatusOK || r.text("auth_req_id") == "" {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		},
		"registration_endpoint": func(t *testing.T, c *client, path string) {
			body := enrolment(newKey(t, jose.ES256), nil)
			r := c.send(http.MethodPost, c.base()+path, c.w.initialToken("probe-"+random(), 1), body, nil)
			if r.status != http.StatusCreated || r.text("client_id") == "" {
				t.Errorf("answered %d %s", r.status, r.raw)
			}
		},
	}
}

// truthProbers has, for each boolean of the document, what shows that it is true, or that it is false.
func truthProbers() map[string]func(t *testing.T, w probedWorld, value bool) {
	refusesRequest := func(name, request, code string) func(*testing.T, probedWorld, bool) {
		return func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), nil)
			r := c.push(set(name, request))
			if value != (r.status == http.StatusCreated) || !value && r.text("error") != code {
				t.Errorf("advertised %v, and answered %d %s", value, r.status, r.raw)
			}
		}
	}
	return map[string]func(*testing.T, probedWorld, bool){
		"request_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), all(signs(value), nil))
			r := c.push(c.signing(nil))
			if value != (r.status == http.StatusCreated) || !value && r.text("error") != "request_not_supported" {
				t.Errorf("advertised %v, and answered %d %s", value, r.status, r.raw)
			}
		},
		"require_signed_request_object": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), nil)
			if r := c.push(nil); value == (r.status == http.StatusCreated) {
				t.Errorf("advertised %v, and answered %d %s", value, r.status, r.raw)
			}
		},
		"request_uri_parameter_supported": refusesRequest("request_uri", "https://client.example/request", "invalid_request"),
		"claims_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), plainOpenID)
			issued := c.tokensFor(set("claims", `{"userinfo":{"email":null}}`))
			if got := c.get("/userinfo", issued.text("access_token"), nil); value != (got.text("email") == "alice@example.com") {
				t.Errorf("advertised %v, and answered %s", value, got.raw)
			}
		},
		"tls_client_certificate_bound_access_tokens": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), byCertificate)
			bound, _ := claimsIn(t, c.tokens().text("access_token"))["cnf"].(map[string]any)
			if value != (bound["x5t#S256"] == mtls.Thumbprint(c.certificate.Leaf)) {
				t.Errorf("advertised %v, and bound to %v", value, bound)
			}
		},
		"require_pushed_authorization_requests": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), nil)
			_, _, sentTo := w.browser().visit(w.issuer + "/authorize?" + c.request().Encode())
			if sentTo == nil || value != (sentTo.Query().Get("error") == "invalid_request") {
				t.Errorf("advertised %v, and sent to %v", value, sentTo)
			}
		},
		"backchannel_user_code_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), all(asks, member("backchannel_user_code_parameter", true)))
			if r := c.ask(nil); value != (r.text("error") == "missing_user_code") {
				t.Errorf("advertised %v, and answered %s", value, r.raw)
			}
		},
		"authorization_response_iss_parameter_supported": func(t *testing.T, w probedWorld, value bool) {
			c := w.register("client-"+random(), nil)
			if q := c.through(w.browser(), nil); value != (q.Get("iss") == w.issuer) {
				t.Errorf("advertised %v, and answered %v", value, q)
			}
		},
	}
}

// plainOpenID is a client that may ask for nothing but openid.
func plainOpenID(c *client, m map[string]any) { c.scope, m["scope"] = "openid", "openid" }

func probeGrantType(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), nil)
	switch value {
	case "authorization_code":
		wantActive(t, c.redeem(c.authorize(), nil))
	case "refresh_token":
		wantActive(t, c.refresh(c.tokens().text("refresh_token"), nil))
	case "client_credentials":
		wantActive(t, w.register("machine-"+random(), machine).clientCredentials(nil))
	case cibaGrant:
		probeDeliveryMode(t, w, "poll")
	default:
		t.Errorf("there is no test for the grant type %q", value)
	}
}

// probeParameter shows that a value of a parameter leads to tokens.
func probeParameter(name string) prober {
	return func(_ *testing.T, w probedWorld, value string) {
		w.register("client-"+random(), nil).tokensFor(set(name, value))
	}
}

func probeScope(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), func(c *client, m map[string]any) {
		c.scope = value
		m["scope"] = value
	})
	if r := c.tokens(); r.text("scope") != value || claimsIn(t, r.text("access_token"))["scope"] != value {
		t.Errorf("answered %s", r.raw)
	}
}

// probeClaim asks for a claim by its name, in the ID token and from UserInfo. Those of the protocol are in each ID token.
func probeClaim(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), plainOpenID)
	issued := c.tokensFor(set("claims", jsonText(map[string]any{
		"id_token": map[string]any{value: nil}, "userinfo": map[string]any{value: map[string]any{"essential": true}},
	})))
	if claimsIn(t, issued.text("id_token"))[value] == nil {
		t.Errorf("%s is not in the ID token", value)
	}
	ofProtocol := []string{"iss", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "at_hash"}
	if info := c.get("/userinfo", issued.text("access_token"), nil); info.body[value] == nil && !slices.Contains(ofProtocol, value) {
		t.Errorf("%s is not in %s", value, info.raw)
	}
}

func probeSubjectType(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), member("subject_type", value))
	sub := claimsIn(t, c.tokens().text("id_token"))["sub"]
	if public := sub == "sub-alice"; sub == nil || public != (value == "public") {
		t.Errorf("sub %v", sub)
	}
}

func probePrompt(t *testing.T, w probedWorld, value string) {
	c, b := w.register("client-"+random(), nil), w.browser()
	c.through(b, nil)
	if q := c.through(b, set("prompt", value)); q.Get("code") == "" {
		t.Errorf("the client got %v", q)
	}
}

func probeACR(t *testing.T, w probedWorld, value string) {
	w.person.is("sub-alice", value)
	c := w.register("client-"+random(), nil)
	issued := c.tokensFor(set("claims", jsonText(map[string]any{"id_token": map[string]any{"acr": map[string]any{"essential": true, "value": value}}})))
	if got := claimsIn(t, issued.text("id_token"))["acr"]; got != value {
		t.Errorf("acr %v", got)
	}
}

func probeDetails(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), wide)
	issued := c.tokensFor(set("authorization_details", "["+exampleDetail(t, value)+"]"))
	granted, _ := issued.body["authorization_details"].([]any)
	if len(granted) != 1 || granted[0].(map[string]any)["type"] != value {
		t.Errorf("granted %v", issued.raw)
	}
}

func probeIDTokenAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), member("id_token_signed_response_alg", value))
	if header, _ := w.decode(c.tokens().text("id_token")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

func probeUserInfoAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), member("userinfo_signed_response_alg", value))
	if header, _ := w.decode(c.get("/userinfo", c.tokens().text("access_token"), nil).raw); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

// probeEncryption gets an ID token or a UserInfo answer that is encrypted with one alg or enc.
func probeEncryption(answer, part string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		wanted := map[string]string{"alg": jose.ECDHES, "enc": jose.A256GCM}
		wanted[part] = value
		key := newReader(t, wanted["alg"])
		c := w.register("client-"+random(), func(c *client, m map[string]any) {
			m["jwks"] = keySet(c.key.PublicJWK(), key.public)
			m["userinfo_signed_response_alg"] = "ES256"
			m[answer+"_encrypted_response_alg"], m[answer+"_encrypted_response_enc"] = wanted["alg"], wanted["enc"]
		})
		issued := c.tokens()
		token := issued.text("id_token")
		if answer == "userinfo" {
			token = c.get("/userinfo", issued.text("access_token"), nil).raw
		}
		raw, err := base64.RawURLEncoding.DecodeString(token[:strings.IndexByte(token, '.')])
		if err != nil || !strings.Contains(string(raw), `"alg":"`+wanted["alg"]+`"`) || !strings.Contains(string(raw), `"enc":"`+wanted["enc"]+`"`) {
			t.Errorf("the header is %s, %v", raw, err)
		}
		if _, body := w.decode(key.open(t, token)); body["sub"] != "sub-alice" {
			t.Errorf("decrypted to %v", body)
		}
	}
}

func probeProofAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), nil)
	c.proofKey = newKey(t, value)
	wantActive(t, c.get("/accounts", c.tokens().text("access_token"), nil))
}

// at sends something harmless to an endpoint and tells whether the client was let in.
func (c *client) at(endpoint string) reply {
	c.w.t.Helper()
	switch endpoint {
	case "introspection_endpoint":
		return c.introspect("unknown", nil)
	case "revocation_endpoint":
		return c.revoke("unknown", nil)
	}
	return c.redeem(c.authorize(), nil)
}

// forEndpoint makes a client that may use an endpoint: the introspection endpoint is for resource servers.
func forEndpoint(endpoint string) func(*client, map[string]any) {
	return func(c *client, m map[string]any) {
		if endpoint == "introspection_endpoint" {
			m["resource_identifiers"] = []string{c.w.issuer}
		}
	}
}

func probeAuthMethod(endpoint string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		methods := map[string]func(*client, map[string]any){
			"private_key_jwt": nil, "tls_client_auth": withCertificate, "self_signed_tls_client_auth": selfSigned,
		}
		if !slices.Contains(slices.Collect(maps.Keys(methods)), value) {
			t.Fatalf("there is no test for the method %q", value)
		}
		wantActive(t, w.register("client-"+random(), all(methods[value], forEndpoint(endpoint))).at(endpoint))
	}
}

func probeAssertionAlgorithm(endpoint string) prober {
	return func(t *testing.T, w probedWorld, value string) {
		c := w.register("client-"+random(), all(func(c *client, m map[string]any) {
			c.key = newKey(t, value)
			m["jwks"], m["token_endpoint_auth_signing_alg"] = keySet(c.key.PublicJWK()), value
		}, forEndpoint(endpoint)))
		wantActive(t, c.at(endpoint))
	}
}

// exampleDetail is an authorization detail of a type.
func exampleDetail(t *testing.T, kind string) string {
	t.Helper()
	switch kind {
	case "payment_initiation":
		return `{"type":"payment_initiation","instructedAmount":{"currency":"EUR","amount":"123.50"},"creditorName":"Merchant A"}`
	case "account_information":
		return `{"type":"account_information","actions":["list_accounts","read_balances"]}`
	}
	t.Fatalf("there is no example of %q", kind)
	return ""
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
