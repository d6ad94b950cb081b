package discovery_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"countersign/fapi/backchannel"
	"countersign/fapi/client"
	"countersign/fapi/fapitest"
)

// everyClaim is what is known about a user of whom everything is known.
const everyClaim = `{"name":"Alice Example","family_name":"Example","given_name":"Alice","middle_name":"B","nickname":"al",

	"preferred_username":"alice","profile":"https://alice.example/","picture":"https://alice.example/me.png","website":"https://alice.example/",
	"gender":"female","birthdate":"1990-01-01","zoneinfo":"Europe/Paris","locale":"en-GB","updated_at":1700000000,
	"email":"alice@example.com","email_verified":true,"phone_number":"+44 1234 567890","phone_number_verified":false,
	"address":{"formatted":"1 High Street","country":"GB"}}`

// Covers: MD-03, JA-05, IN-04, MS-10, SP-46, DP-13, MT-09, RA-05. Each value of the document of a running server is tried, one by one, and
// works; a member that nothing here can try fails the test. What is not in the document is refused.
func TestMD03AdvertisedValuesWork(t *testing.T) {
	t.Parallel()
	hints := fapitest.NewHintSigner(t)
	plain, p := fapitest.NewFullWorld(t, fapitest.WithRegistration, signingMessages, fapitest.WithBackchannel(func(b *backchannel.Settings) { b.HintIssuers = []backchannel.HintIssuer{hints.Trusted} }))
	w := probedWorld{World: plain, person: p}
	w.AddUser("sub-alice", "alice", everyClaim)
	document := w.Document()
	lists, endpoints, truths := listProbers(), addressProbers(), truthProbers()
	lists["backchannel_endpoint_login_hint_token_types_supported"] = func(t *testing.T, w probedWorld, value string) { probe(t, hints, w, value) }
	onFront, onBack := w.Register("front", fapitest.AllScopes), w.Register("back", fapitest.All(fapitest.AllScopes, fapitest.TLSClientAuth))
	for name, value := range fapitest.Sorted(document) {
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
			for alias, address := range fapitest.Sorted(value) {
				t.Run("accepts "+name+" "+alias, func(t *testing.T) {
					if endpoints[alias] == nil {
						t.Fatal("there is no prober for this member")
					}
					endpoints[alias](t, onBack, pathOfAddress(t, address.(string), w.MTLSIssuer))
				})
			}
		case string:
			t.Run("accepts "+name, func(t *testing.T) {
				switch {
				case name == "issuer":
					if value != w.Issuer || fapitest.UnverifiedClaims(t, onFront.Tokens().Text("id_token"))["iss"] != value {
						t.Errorf("issuer %q", value)
					}
				case endpoints[name] == nil:
					t.Fatal("there is no prober for this member")
				default:
					endpoints[name](t, onFront, pathOfAddress(t, value, w.Issuer))
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
	c := w.Register("client-1", fapitest.AllScopes)
	pushing := func(list, name, value string, status int, code string) {
		unadvertised(t, document, list, value, func(t *testing.T) { fapitest.WantError(t, c.Push(fapitest.Set(name, value)), status, code) })
	}
	registering := func(list, member string, values ...string) {
		for _, value := range values {
			unadvertised(t, document, list, value, func(t *testing.T) {
				metadata := fapitest.ClientMetadata(t, func(m map[string]any) {
					m[member] = value
					if strings.HasSuffix(member, "_types") {
						m[member] = []string{value}
					}
				})
				if _, err := client.Parse("client", "fapi2-security", metadata); err == nil || !strings.Contains(err.Error(), member) {
					t.Errorf("registering it: %v", err)
				}
			})
		}
	}
	algorithms := []string{"RS256", "RS512", "PS384", "PS512", "ES384", "ES512", "ES256K", "HS256", "none", ""}
	for _, alg := range algorithms {
		head := fapitest.Claims{"alg": alg, "kid": c.Key.ID()}
		now := w.Clock.Now().Unix()
		for _, endpoint := range []string{"token_endpoint", "introspection_endpoint", "revocation_endpoint"} {
			unadvertised(t, document, endpoint+"_auth_signing_alg_values_supported", alg, func(t *testing.T) {
				body := fapitest.Claims{"iss": c.ID, "sub": c.ID, "aud": w.Issuer, "jti": fapitest.RandomString(), "iat": now, "exp": now + 60}
				path := map[string]string{"token_endpoint": "/token", "introspection_endpoint": "/introspect", "revocation_endpoint": "/revoke"}[endpoint]
				r := c.Post(path, url.Values{"token": {"x"}, "grant_type": {"client_credentials"}}, fapitest.Set("client_assertion", fapitest.HandSigned(t, head, body, fapitest.ES256(t, c.Key))))
				fapitest.WantError(t, r, http.StatusUnauthorized, "invalid_client")
			})
		}
		unadvertised(t, document, "dpop_signing_alg_values_supported", alg, func(t *testing.T) {
			head := fapitest.Claims{"alg": alg, "typ": "dpop+jwt", "jwk": json.RawMessage(fapitest.JWKWith(t, c.ProofKey, func(m map[string]any) { delete(m, "alg"); delete(m, "kid"); delete(m, "use") }))}
			body := fapitest.Claims{"jti": fapitest.RandomString(), "htm": "POST", "htu": w.Issuer + "/par", "iat": now}
			fapitest.WantError(t, c.Push(fapitest.SetHeader("DPoP", fapitest.HandSigned(t, head, body, fapitest.ES256(t, c.ProofKey)))), 400, "invalid_dpop_proof")
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
		"urn:ietf:params:oauth:grant-type:device_code", "urn:ietf:params:oauth:grant-type:token-exchange",
	}
	registering("grant_types_supported", "grant_types", grants...)
	for _, grant := range grants {
		unadvertised(t, document, "grant_types_supported", grant+", at the endpoint", func(t *testing.T) {
			form := url.Values{"grant_type": {grant}, "username": {"alice"}, "password": {"alice"}, "assertion": {"x"}, "scope": {"openid"}}
			fapitest.WantError(t, c.Post("/token", form, nil), 400, "unsupported_grant_type")
		})
	}
	for _, secret := range []fapitest.Change{fapitest.SetHeader("Authorization", "Basic Y2xpZW50LTE6c2VjcmV0"), fapitest.Set("client_secret", "secret")} {
		unadvertised(t, document, "token_endpoint_auth_methods_supported", "client_secret_basic", func(t *testing.T) {
			fapitest.WantError(t, c.Push(secret), http.StatusUnauthorized, "invalid_client")
		})
	}
	for _, kind := range []string{"token", "id_token", "code id_token", "code token", "none", "CODE"} {
		pushing("response_types_supported", "response_type", kind, 400, "unsupported_response_type")
	}
	for _, mode := range []string{"fragment", "form_post", "web_message", "QUERY"} {
		pushing("response_modes_supported", "response_mode", mode, 400, "invalid_request")
	}
	pushing("code_challenge_methods_supported", "code_challenge_method", "plain", 400, "invalid_request")
	pushing("code_challenge_methods_supported", "code_challenge_method", "s256", 400, "invalid_request")
	pushing("prompt_values_supported", "prompt", "create", 400, "invalid_request")
	pushing("scopes_supported", "scope", "colour", 400, "invalid_scope")
	unadvertised(t, document, "acr_values_supported", "urn:example:none", func(t *testing.T) {
		essential := `{"id_token":{"acr":{"essential":true,"value":"urn:example:none"}}}`
		fapitest.WantError(t, c.Push(fapitest.Set("claims", essential)), 400, "unmet_authentication_requirements")
	})
	unadvertised(t, document, "authorization_details_types_supported", "colour", func(t *testing.T) {
		fapitest.WantError(t, c.Push(fapitest.Set("authorization_details", `[{"type":"colour"}]`)), 400, "invalid_authorization_details")
	})
	unadvertised(t, document, "claims_supported", "shoe_size", func(t *testing.T) {
		w.AddUser("sub-alice", "alice", `{"name":"Alice","shoe_size":38}`)
		issued := c.TokensFor(fapitest.Set("claims", `{"id_token":{"shoe_size":null},"userinfo":{"shoe_size":{"essential":true}}}`))
		info := c.Get("/userinfo", issued.Text("access_token"), nil)
		if fapitest.UnverifiedClaims(t, issued.Text("id_token"))["shoe_size"] != nil || info.Body["shoe_size"] != nil {
			t.Errorf("told %s", info.Raw)
		}
	})
	aliases, _ := document["mtls_endpoint_aliases"].(map[string]any)
	for _, path := range []string{"/authorize", "/jwks", "/.well-known/openid-configuration", "/health/live"} {
		t.Run("refuses "+path+" on the mTLS listener, which is no alias", func(t *testing.T) {
			if response, _ := w.Request(t, http.MethodGet, w.MTLSIssuer+path, nil, ""); response.StatusCode != http.StatusNotFound || strings.Contains(fmt.Sprint(aliases), path) {
				t.Errorf("answered %d, aliases %v", response.StatusCode, aliases)
			}
		})
	}
	for _, path := range []string{"/bc-authorize", "/device_authorization", "/end_session", "/logout", "/checksession", "/grants"} {
		t.Run("refuses "+path+", which is no endpoint", func(t *testing.T) {
			if response, _ := w.Request(t, http.MethodPost, w.Issuer+path, nil, ""); response.StatusCode != http.StatusNotFound {
				t.Errorf("answered %d", response.StatusCode)
			}
		})
	}
}

// probe shows that a format of subject identifiers is understood.
func probe(t *testing.T, h fapitest.HintSigner, w probedWorld, value string) {
	host, _, _ := strings.Cut(strings.TrimPrefix(w.Issuer, "https://"), ":")
	format := map[string]map[string]string{
		"account": {"format": "account", "uri": "acct:alice@" + host}, "opaque": {"format": "opaque", "id": "sub-alice"},
	}[value]
	c := w.Register("client-"+fapitest.RandomString(), fapitest.CIBAPoll)
	id := c.AuthReqID(fapitest.Changes(fapitest.Unset("login_hint"), fapitest.Set("login_hint_token", h.Token(w.World, fapitest.SetClaim("sub_id", format)))))
	w.Decide(id, true)
	fapitest.WantOK(t, c.Poll(id, nil))
}

// signingMessages has a server offer Message Signing beside the Security Profile.
func signingMessages(c *fapitest.Config) {
	c.UILocales = []string{"en", "pt-BR"}
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing"}
}
