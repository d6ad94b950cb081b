package fapi_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"countersign/fapi"
)

// Covers: IS-01, SP-31, BC-02, ATTACK-04, RULE-25. Every authorization response, good or bad, names this server once, byte for
// byte as its metadata does.
func TestIS01IssuerInResponses(t *testing.T) {
	w, p := wholeWorld(t)
	c := w.register("client-1", wide)
	issuer := w.document()["issuer"]
	named := func(t *testing.T, q url.Values) {
		t.Helper()
		if diff := cmp.Diff([]any{issuer}, []any{q.Get("iss")}); diff != "" || len(q["iss"]) != 1 {
			t.Errorf("iss %q, metadata %v", q["iss"], issuer)
		}
	}
	t.Run("accepts a code", func(t *testing.T) {
		q := c.through(w.browser(), nil)
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	t.Run("accepts a code that was given without a page", func(t *testing.T) {
		b := w.browser()
		c.through(b, nil)
		q := c.through(b, set("prompt", "none"))
		if named(t, q); q.Get("code") == "" {
			t.Errorf("no code in %v", q)
		}
	})
	p.does("deny")
	t.Run("refuses with iss when the person refuses", func(t *testing.T) {
		q := c.through(w.browser(), nil)
		named(t, q)
		wantSent(t, q, "access_denied")
	})
	p.does("allow")
	t.Run("refuses with iss when nobody is signed in", func(t *testing.T) {
		q := c.through(w.browser(), set("prompt", "none"))
		named(t, q)
		wantSent(t, q, "login_required")
	})
	t.Run("refuses with iss when the sign-in is not strong enough", func(t *testing.T) {
		q := c.through(w.browser(), set("claims", `{"id_token":{"acr":{"essential":true,"value":"`+byKey+`"}}}`))
		named(t, q)
		wantSent(t, q, "unmet_authentication_requirements")
	})
	t.Run("refuses with iss what was used before, and what has expired", func(t *testing.T) {
		for _, spoil := range []func(address string){
			func(address string) { w.browser().visit(address) },
			func(string) { w.clock.Advance(time.Minute) },
		} {
			address := w.authorizeURL(c.id, c.push(nil).text("request_uri"))
			spoil(address)
			_, _, sentTo := w.browser().visit(address)
			if sentTo == nil {
				t.Fatal("the browser was not sent back")
			}
			named(t, sentTo.Query())
			wantSent(t, sentTo.Query(), "invalid_request_uri")
		}
	})
	t.Run("refuses to repeat an iss that comes with the request", func(t *testing.T) {
		pushed := c.push(set("iss", "https://other.example")).text("request_uri")
		_, _, sentTo := w.browser().visit(w.authorizeURL(c.id, pushed) + "&iss=https%3A%2F%2Fother.example")
		if sentTo == nil || sentTo.Query().Get("code") == "" {
			t.Fatalf("sent to %v", sentTo)
		}
		named(t, sentTo.Query())
	})
}

// Covers: IS-02. The parameter is advertised, and no client can do without it.
func TestIS02IssuerAdvertised(t *testing.T) {
	w, _ := wholeWorld(t)
	t.Run("accepts that the metadata promises iss", func(t *testing.T) {
		if w.document()["authorization_response_iss_parameter_supported"] != true {
			t.Errorf("metadata %v", w.document()["authorization_response_iss_parameter_supported"])
		}
	})
	t.Run("refuses to leave it out for a client that registers so", func(t *testing.T) {
		c := w.register("client-1", member("authorization_response_iss_parameter_supported", false))
		if q := c.through(w.browser(), nil); q.Get("iss") != w.issuer {
			t.Errorf("the response is %v", q)
		}
	})
}

// Covers: MD-01, SP-12. Both documents are at the places of OpenID Connect Discovery §4 and RFC 8414 §3, also for an issuer
// with a path, and are the same.
func TestMD01Documents(t *testing.T) {
	for name, path := range map[string]string{"without a path": "", "with a path": "/tenants/one"} {
		w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) {
			c.Issuer += path
			c.MTLSIssuer += path
		})
		host := strings.TrimSuffix(w.issuer, path)
		openID, oauth := host+path+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server"+path
		t.Run("accepts both addresses of an issuer "+name, func(t *testing.T) {
			first, one := w.ask(t, http.MethodGet, openID, nil, "")
			second, other := w.ask(t, http.MethodGet, oauth, nil, "")
			if first.StatusCode != 200 || second.StatusCode != 200 || first.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("answered %d and %d, %s", first.StatusCode, second.StatusCode, first.Header.Get("Content-Type"))
			}
			if diff := cmp.Diff(one, other); diff != "" {
				t.Errorf("the two differ: %s", diff)
			}
			var document map[string]any
			if err := json.Unmarshal([]byte(one), &document); err != nil || document["issuer"] != w.issuer {
				t.Errorf("issuer %v, %v", document["issuer"], err)
			}
		})
		t.Run("accepts the whole flow of an issuer "+name, func(t *testing.T) {
			c := w.register("client-1", nil)
			wantActive(t, c.get("/userinfo", c.tokens().text("access_token"), nil))
			byCert := w.register("client-2", withCertificate)
			wantActive(t, byCert.get("/userinfo", byCert.tokens().text("access_token"), nil))
		})
		wrong := []string{host + "/.well-known/openid-configuration/other", host + "/.well-known/oauth-authorization-server/other"}
		if path != "" {
			wrong = append(wrong, host+"/.well-known/openid-configuration", host+"/.well-known/oauth-authorization-server", w.issuer+"/.well-known/oauth-authorization-server", host+"/token")
		}
		t.Run("refuses other addresses of an issuer "+name, func(t *testing.T) {
			for _, address := range wrong {
				if response, _ := w.ask(t, http.MethodGet, address, nil, ""); response.StatusCode != http.StatusNotFound {
					t.Errorf("%s: %d", address, response.StatusCode)
				}
			}
			if response, _ := w.ask(t, http.MethodPost, openID, nil, ""); response.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST: %d", response.StatusCode)
			}
		})
	}
}

// Covers: MD-02. An issuer is https without query and fragment; the server does not start with another, and uses it
// byte for byte everywhere.
func TestMD02Issuer(t *testing.T) {
	var config fapiConfig
	w, _ := wholeWorld(t, func(c *fapiConfig, _ *autoInteractor) { config = *c })
	try := func(title, issuer string, good bool) {
		t.Run(title, func(t *testing.T) {
			changed := config
			changed.Issuer = issuer
			_, err := fapi.New(t.Context(), changed)
			if good != (err == nil) {
				t.Errorf("%q: %v", issuer, err)
			}
		})
	}
	for _, issuer := range []string{"https://as.example", "https://as.example:8443", "https://as.example/tenants/one"} {
		try("accepts "+issuer, issuer, true)
	}
	for _, issuer := range []string{
		"", "as.example", "http://as.example", "ftp://as.example", "https://", "https:///path", "https://as.example?", "https://as.example?a=b",
		"https://as.example#", "https://as.example#part", "https://as.example/", "https://as.example/tenants/", "https://user@as.example", "https://as.example/%zz",
	} {
		try("refuses "+fmt.Sprintf("%q", issuer), issuer, false)
	}
	t.Run("accepts the same issuer everywhere", func(t *testing.T) {
		c := w.register("client-1", member("userinfo_signed_response_alg", "ES256"))
		q := c.through(w.browser(), nil)
		issued := c.redeem(q.Get("code"), nil)
		info := claimsIn(t, c.get("/userinfo", issued.text("access_token"), nil).raw)
		self := w.resourceServer("self", w.issuer)
		for place, got := range map[string]any{
			"metadata": w.document()["issuer"], "authorization response": q.Get("iss"), "ID token": claimsIn(t, issued.text("id_token"))["iss"],
			"access token": claimsIn(t, issued.text("access_token"))["iss"], "signed UserInfo": info["iss"],
			"introspection": self.introspect(issued.text("access_token"), nil).body["iss"],
		} {
			if got != w.issuer {
				t.Errorf("%s: %v", place, got)
			}
		}
	})
}

// kindOf says what a member of the metadata has to be.
type kindOf int

const (
	anAddress kindOf = iota
	aList
	aBoolean
	anIssuer
	addresses
)

// metadataMembers are the members that the specifications define, and that this server has something to say to.
func metadataMembers() map[string]kindOf {
	members := map[string]kindOf{
		"issuer": anIssuer, "mtls_endpoint_aliases": addresses,
		"tls_client_certificate_bound_access_tokens": aBoolean, "require_pushed_authorization_requests": aBoolean,
		"authorization_response_iss_parameter_supported": aBoolean, "claims_parameter_supported": aBoolean,
		"request_parameter_supported": aBoolean, "request_uri_parameter_supported": aBoolean,
	}
	for _, name := range []string{"authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "introspection_endpoint",
		"revocation_endpoint", "registration_endpoint", "pushed_authorization_request_endpoint"} {
		members[name] = anAddress
	}
	for _, name := range []string{"scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported",
		"acr_values_supported", "subject_types_supported", "claims_supported", "code_challenge_methods_supported", "prompt_values_supported",
		"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "dpop_signing_alg_values_supported",
		"authorization_details_types_supported", "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported",
		"introspection_endpoint_auth_methods_supported", "introspection_endpoint_auth_signing_alg_values_supported",
		"revocation_endpoint_auth_methods_supported", "revocation_endpoint_auth_signing_alg_values_supported"} {
		members[name] = aList
	}
	return members
}

// checkMetadata holds a document to RFC 8414 §2, OpenID Connect Discovery §3 and the specifications that add members.
func checkMetadata(document map[string]any) (mistakes []string) {
	mistake := func(format string, arguments ...any) { mistakes = append(mistakes, fmt.Sprintf(format, arguments...)) }
	address := func(name string, value any) {
		text, _ := value.(string)
		if u, err := url.Parse(text); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Contains(text, "#") {
			mistake("%s is no https address: %v", name, value)
		}
	}
	known := metadataMembers()
	for _, name := range []string{"issuer", "authorization_endpoint", "token_endpoint", "jwks_uri", "response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"} {
		if document[name] == nil {
			mistake("%s is missing", name)
		}
	}
	for name, value := range document {
		kind, ok := known[name]
		if !ok {
			mistake("%s is no known member", name)
			continue
		}
		switch kind {
		case anAddress:
			address(name, value)
		case anIssuer:
			if address(name, value); strings.Contains(fmt.Sprint(value), "?") {
				mistake("%s has a query", name)
			}
		case aBoolean:
			if _, ok := value.(bool); !ok {
				mistake("%s is no boolean: %v", name, value)
			}
		case addresses:
			aliases, _ := value.(map[string]any)
			if len(aliases) == 0 {
				mistake("%s is no object with members: %v", name, value)
			}
			for alias, value := range aliases {
				if known[alias] != anAddress || document[alias] == nil {
					mistake("%s has the member %s", name, alias)
				}
				address(alias, value)
			}
		case aList:
			list, _ := value.([]any)
			if len(list) == 0 {
				mistake("%s is no list with values: %v", name, value)
			}
			for i, entry := range list {
				if text, ok := entry.(string); !ok || text == "" || slices.Contains(list[:i], entry) {
					mistake("%s holds %v, which is no text or there twice", name, entry)
				}
			}
		}
	}
	return mistakes
}

// everyClaim is what is known about a person of whom everything is known.
const everyClaim = `{"name":"Alice Example","family_name":"Example","given_name":"Alice","middle_name":"B","nickname":"al",
	"preferred_username":"alice","profile":"https://alice.example/","picture":"https://alice.example/me.png","website":"https://alice.example/",
	"gender":"female","birthdate":"1990-01-01","zoneinfo":"Europe/Paris","locale":"en-GB","updated_at":1700000000,
	"email":"alice@example.com","email_verified":true,"phone_number":"+44 1234 567890","phone_number_verified":false,
	"address":{"formatted":"1 High Street","country":"GB"}}`

// Covers: MD-03, SP-46, DP-13, MT-09, RA-05. Each value of the document of a running server is tried, one by one, and
// works; a member that nothing here can try fails the test. What is not in the document is refused.
func TestMD03AdvertisedValuesWork(t *testing.T) {
	plain, p := wholeWorld(t, offersRegistration)
	w := probedWorld{plain, p}
	w.addUser("sub-alice", "alice", everyClaim)
	document := w.document()
	lists, endpoints, truths := listProbers(), addressProbers(), truthProbers()
	onFront, onBack := w.register("front", wide), w.register("back", all(wide, withCertificate))
	for name, value := range inOrder(document) {
		switch value := value.(type) {
		case bool:
			t.Run("accepts "+name, func(t *testing.T) {
				if truths[name] == nil {
					t.Fatal("there is no prober for this member")
				}
				truths[name](t, w, value)
			})
		case []any:
			for _, one := range value {
				t.Run(fmt.Sprintf("accepts %s %v", name, one), func(t *testing.T) {
					if lists[name] == nil {
						t.Fatal("there is no prober for this member")
					}
					lists[name](t, w, one.(string))
				})
			}
		case map[string]any:
			if name != "mtls_endpoint_aliases" {
				t.Errorf("there is no prober for %s", name)
			}
			for alias, address := range inOrder(value) {
				t.Run("accepts "+name+" "+alias, func(t *testing.T) {
					if endpoints[alias] == nil {
						t.Fatal("there is no prober for this member")
					}
					endpoints[alias](t, onBack, pathOfAddress(t, address.(string), w.mtls))
				})
			}
		case string:
			t.Run("accepts "+name, func(t *testing.T) {
				switch {
				case name == "issuer":
					if value != w.issuer || claimsIn(t, onFront.tokens().text("id_token"))["iss"] != value {
						t.Errorf("issuer %q", value)
					}
				case endpoints[name] == nil:
					t.Fatal("there is no prober for this member")
				default:
					endpoints[name](t, onFront, pathOfAddress(t, value, w.issuer))
				}
			})
		default:
			t.Errorf("%s is of a kind that nothing here can try: %v", name, value)
		}
	}
	for name := range metadataMembers() {
		if document[name] == nil {
			t.Errorf("%s is not in the document of a server with everything turned on", name)
		}
	}
	refuseUnadvertised(t, w, document)
}

// unadvertised refuses a value that a list of the document does not have.
func unadvertised(t *testing.T, document map[string]any, list, value string, refused func(t *testing.T)) {
	t.Helper()
	t.Run("refuses "+list+" "+value, func(t *testing.T) {
		if values, _ := document[list].([]any); len(values) == 0 || slices.Contains(values, any(value)) {
			t.Fatalf("advertised are %v", values)
		}
		refused(t)
	})
}

// refuseUnadvertised tries what is not in the document.
func refuseUnadvertised(t *testing.T, w probedWorld, document map[string]any) {
	c := w.register("client-1", wide)
	pushing := func(list, name, value string, status int, code string) {
		unadvertised(t, document, list, value, func(t *testing.T) { wantError(t, c.push(set(name, value)), status, code) })
	}
	registering := func(list, member string, values ...string) {
		for _, value := range values {
			unadvertised(t, document, list, value, func(t *testing.T) {
				metadata := registration(t, func(m map[string]any) {
					m[member] = value
					if strings.HasSuffix(member, "_types") {
						m[member] = []string{value}
					}
				})
				if _, err := fapi.ParseClient("client", "fapi2-security", metadata); err == nil || !strings.Contains(err.Error(), member) {
					t.Errorf("registering it: %v", err)
				}
			})
		}
	}
	algorithms := []string{"RS256", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "HS256", "none", ""}
	for _, alg := range algorithms {
		head := claims{"alg": alg, "kid": c.key.ID()}
		now := w.clock.Now().Unix()
		for _, endpoint := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
			unadvertised(t, document, endpoint+"_auth_signing_alg_values_supported", alg, func(t *testing.T) {
				body := claims{"iss": c.id, "sub": c.id, "aud": w.issuer, "jti": random(), "iat": now, "exp": now + 60}
				path := map[string]string{"token_endpoint": "/token", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke"}[endpoint]
				r := c.post(path, url.Values{"token": {"x"}, "grant_type": {"client_credentials"}}, set("client_assertion", handSigned(t, head, body, es256(t, c.key))))
				wantError(t, r, http.StatusUnauthorized, "invalid_client")
			})
		}
		unadvertised(t, document, "dpop_signing_alg_values_supported", alg, func(t *testing.T) {
			head := claims{"alg": alg, "typ": "dpop+jwt", "jwk": json.RawMessage(jwkWith(t, c.proofKey, func(m map[string]any) { delete(m, "alg"); delete(m, "kid"); delete(m, "use") }))}
			body := claims{"jti": random(), "htm": "POST", "htu": w.issuer + "/par", "iat": now}
			wantError(t, c.push(setHeader("DPoP", handSigned(t, head, body, es256(t, c.proofKey)))), 400, "invalid_dpop_proof")
		})
	}
	real := algorithms[:len(algorithms)-1] // a registration without an algorithm takes the server's
	registering("id_token_signing_alg_values_supported", "id_token_signed_response_alg", real...)
	registering("userinfo_signing_alg_values_supported", "userinfo_signed_response_alg", real...)
	registering("token_endpoint_auth_signing_alg_values_supported", "token_endpoint_auth_signing_alg", real...)
	registering("token_endpoint_auth_methods_supported", "token_endpoint_auth_method", "client_secret_basic", "client_secret_post", "client_secret_jwt", "none")
	registering("response_types_supported", "response_types", "token", "id_token", "code id_token", "none")
	registering("subject_types_supported", "subject_type", "ephemeral", "Public")
	grants := []string{
		"password", "implicit", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer",
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange", "urn:openid:params:grant-type:ciba",
	}
	registering("grant_types_supported", "grant_types", grants...)
	for _, grant := range grants {
		unadvertised(t, document, "grant_types_supported", grant+", at the endpoint", func(t *testing.T) {
			form := url.Values{"grant_type": {grant}, "username": {"alice"}, "password": {"alice"}, "assertion": {"x"}, "scope": {"openid"}}
			wantError(t, c.post("/token", form, nil), 400, "unsupported_grant_type")
		})
	}
	for _, secret := range []change{setHeader("Authorization", "Basic Y2xpZW50LTE6c2VjcmV0"), set("client_secret", "secret")} {
		unadvertised(t, document, "token_endpoint_auth_methods_supported", "client_secret_basic", func(t *testing.T) {
			wantError(t, c.push(secret), http.StatusUnauthorized, "invalid_client")
		})
	}
	for _, kind := range []string{"token", "id_token", "code id_token", "code token", "none", "CODE"} {
		pushing("response_types_supported", "response_type", kind, 400, "unsupported_response_type")
	}
	for _, mode := range []string{"fragment", "form_post", "jwt", "query.jwt", "web_message", "QUERY"} {
		pushing("response_modes_supported", "response_mode", mode, 400, "invalid_request")
	}
	pushing("code_challenge_methods_supported", "code_challenge_method", "plain", 400, "invalid_request")
	pushing("code_challenge_methods_supported", "code_challenge_method", "s256", 400, "invalid_request")
	pushing("prompt_values_supported", "prompt", "create", 400, "invalid_request")
	pushing("scopes_supported", "scope", "colour", 400, "invalid_scope")
	unadvertised(t, document, "acr_values_supported", "urn:example:none", func(t *testing.T) {
		essential := `{"id_token":{"acr":{"essential":true,"value":"urn:example:none"}}}`
		wantError(t, c.push(set("claims", essential)), 400, "unmet_authentication_requirements")
	})
	unadvertised(t, document, "authorization_details_types_supported", "colour", func(t *testing.T) {
		wantError(t, c.push(set("authorization_details", `[{"type":"colour"}]`)), 400, "invalid_authorization_details")
	})
	unadvertised(t, document, "claims_supported", "shoe_size", func(t *testing.T) {
		w.addUser("sub-alice", "alice", `{"name":"Alice","shoe_size":38}`)
		issued := c.tokensFor(set("claims", `{"id_token":{"shoe_size":null},"userinfo":{"shoe_size":{"essential":true}}}`))
		info := c.get("/userinfo", issued.text("access_token"), nil)
		if claimsIn(t, issued.text("id_token"))["shoe_size"] != nil || info.body["shoe_size"] != nil {
			t.Errorf("told %s", info.raw)
		}
	})
	aliases, _ := document["mtls_endpoint_aliases"].(map[string]any)
	for _, path := range []string{"/authorize", "/jwks", "/.well-known/openid-configuration", "/health/live"} {
		t.Run("refuses "+path+" on the mTLS listener, which is no alias", func(t *testing.T) {
			if response, _ := w.ask(t, http.MethodGet, w.mtls+path, nil, ""); response.StatusCode != http.StatusNotFound || strings.Contains(fmt.Sprint(aliases), path) {
				t.Errorf("answered %d, aliases %v", response.StatusCode, aliases)
			}
		})
	}
	for _, path := range []string{"/bc-authorize", "/device_authorization", "/end_session", "/logout", "/checksession", "/grants/x"} {
		t.Run("refuses "+path+", which is no endpoint", func(t *testing.T) {
			if response, _ := w.ask(t, http.MethodPost, w.issuer+path, nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("answered %d", response.StatusCode)
			}
		})
	}
}

// Covers: MD-04. The document has known members only, each of its kind; the check itself is shown to notice mistakes.
func TestMD04Schema(t *testing.T) {
	for name, more := range map[string]option{
		"of everything": func(*fapiConfig, *autoInteractor) {},
		"without mTLS":  func(c *fapiConfig, _ *autoInteractor) { c.MTLSIssuer = "" },
		"of little":     func(c *fapiConfig, _ *autoInteractor) { c.ACRValues, c.AuthorizationDetailTypes = nil, nil },
	} {
		t.Run("accepts the document "+name, func(t *testing.T) {
			w, _ := wholeWorld(t, more)
			for _, mistake := range checkMetadata(w.document()) {
				t.Error(mistake)
			}
		})
	}
	w, _ := wholeWorld(t)
	for name, wrong := range map[string]map[string]any{
		"an unknown member":    {"colour": "green"},
		"a plain http address": {"token_endpoint": "http://as.example/token"},
		"text for a list":      {"scopes_supported": "openid"},
		"an empty list":        {"scopes_supported": []any{}},
		"a value twice":        {"scopes_supported": []any{"openid", "openid"}},
		"text for a boolean":   {"claims_parameter_supported": "true"},
		"an alias of nothing":  {"mtls_endpoint_aliases": map[string]any{"colour": "https://as.example"}},
		"a missing endpoint":   {"authorization_endpoint": nil},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			document := w.document()
			for member, value := range wrong {
				document[member] = value
			}
			if len(checkMetadata(document)) == 0 {
				t.Error("the mistake was not noticed")
			}
		})
	}
}

// Covers: MD-05. signed_metadata is optional (RFC 8414 §2.1), and not offered: who asks for a JWT gets the same JSON.
func TestMD05NoSignedMetadata(t *testing.T) {
	w, _ := wholeWorld(t)
	for _, accept := range []string{"application/json", "application/jwt", "*/*"} {
		t.Run("accepts a request for "+accept, func(t *testing.T) {
			response, body := w.ask(t, http.MethodGet, w.issuer+"/.well-known/openid-configuration", http.Header{"Accept": {accept}}, "")
			var document map[string]any
			if err := json.Unmarshal([]byte(body), &document); err != nil || response.Header.Get("Content-Type") != "application/json" {
				t.Fatalf("answered %s: %v", response.Header.Get("Content-Type"), err)
			}
			if _, there := document["signed_metadata"]; there {
				t.Error("signed_metadata is there, and nothing signs it")
			}
		})
	}
}
