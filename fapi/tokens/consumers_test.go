package tokens_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
)

// alsoCIBA adds CIBA in poll mode to what a client may do.
func alsoCIBA(_ *fapitest.Client, m map[string]any) {
	m["grant_types"] = append(slices.Clone(m["grant_types"].([]string)), fapitest.CIBAGrant)
	m["backchannel_token_delivery_mode"] = "poll"
}

// jwtConsumer is a place of the server that takes a JWT.
type jwtConsumer struct {
	// kind is what it takes; typs are the values of typ that say so, in any case and also with "application/" before.
	kind string
	typs []string
	// adapt changes claims that fit every kind into those that fit here.
	adapt func(fapitest.Claims)
	// send reports whether it took the JWT, and checks the refusal otherwise.
	send func(t *testing.T, token string) bool
}

// jwtConsumers lists every place of the server that takes a JWT from outside, by a name for its attempts. self is a resource
// server for the server's own resources, and jwt a valid access token of c.
func jwtConsumers(c *fapitest.Client, self *fapitest.Client, jwt string) map[string]jwtConsumer {
	refused := func(t *testing.T, r fapitest.Reply, status int, code string) bool {
		t.Helper()
		if r.Status < 300 {
			return true
		}
		fapitest.WantError(t, r, status, code)
		return false
	}
	fresh := func(body fapitest.Claims) { body["jti"] = fapitest.RandomString() }
	proving := func(method, path string) func(fapitest.Claims) {
		return func(body fapitest.Claims) {
			fresh(body)
			body["htm"], body["htu"] = method, c.World.Issuer+path
			body["ath"] = fapitest.CodeChallenge(jwt) // the same hash (RFC 9449 §4.2)
		}
	}
	asRequest := jwtConsumer{"none", nil, nil, func(t *testing.T, token string) bool {
		return refused(t, c.Push(fapitest.Set("request", token)), 400, "request_not_supported")
	}}
	if c.SignsRequests {
		asRequest = jwtConsumer{"request object", []string{"", "JWT", "oauth-authz-req+jwt"}, func(body fapitest.Claims) {
			delete(body, "sub")
			body["nbf"] = c.World.Clock.Now().Unix()
			for name := range c.AuthorizationForm() {
				body[name] = c.AuthorizationForm().Get(name)
			}
		}, func(t *testing.T, token string) bool {
			r := c.Push(fapitest.Set("request", token))
			if r.Text("error") == "invalid_request" { // a signed backchannel request, which has no response_type
				return refused(t, r, 400, "invalid_request")
			}
			return refused(t, r, 400, "invalid_request_object")
		}}
	}
	// Whoever signs requests to resources is a client of its own, with the same keys.
	over := c.World.Register("http-"+fapitest.RandomString(), fapitest.All(fapitest.HTTPSigning, func(h *fapitest.Client, m map[string]any) {
		public, err := signer.PublicJWK(fapitest.SharedKeys(c.World.T)[0])
		if err != nil {
			c.World.T.Fatal(err)
		}
		h.Key, m["jwks"] = c.Key, fapitest.KeySet(c.Key.PublicJWK(), public)
	}))
	overToken := over.Tokens().Text("access_token")
	assertions, accessTokens, proofs := []string{"", "JWT", "client-authentication+jwt"}, []string{"at+jwt"}, []string{"dpop+jwt"}
	return map[string]jwtConsumer{
		"as a client assertion at PAR": {"assertion", assertions, fresh, func(t *testing.T, token string) bool {
			return refused(t, c.Push(fapitest.Set("client_assertion", token)), 401, "invalid_client")
		}},
		"as a client assertion for revocation": {"assertion", assertions, fresh, func(t *testing.T, token string) bool {
			return refused(t, c.Revoke("unknown", fapitest.Set("client_assertion", token)), 401, "invalid_client")
		}},
		"as a proof at PAR": {"proof for PAR", proofs, proving("POST", "/par"), func(t *testing.T, token string) bool {
			return refused(t, c.Push(fapitest.SetHeader("DPoP", token)), 400, "invalid_dpop_proof")
		}},
		"as a proof at a resource": {"proof for a resource", proofs, proving("GET", "/accounts"), func(t *testing.T, token string) bool {
			r := c.Get("/accounts", jwt, func(h http.Header) { h.Set("DPoP", token) })
			// A proof that is valid, of another key than the token's, is refused for that alone.
			if strings.Contains(r.Text("error_description"), "another key") {
				return true
			}
			return refused(t, r, 401, "invalid_dpop_proof")
		}},
		"as an access token": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			return refused(t, c.Get("/accounts", token, nil), 401, "invalid_token")
		}},
		"as an access token at UserInfo": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			return refused(t, c.Get("/userinfo", token, nil), 401, "invalid_token")
		}},
		"for introspection": {"access token", accessTokens, nil, func(t *testing.T, token string) bool {
			r := self.Introspect(token, nil)
			if r.Body["active"] != true {
				fapitest.WantInactive(t, r)
			}
			return r.Body["active"] == true
		}},
		"as a hint at a person": {"ID token", []string{"JWT"}, nil, func(t *testing.T, token string) bool {
			return refused(t, c.Push(fapitest.Set("id_token_hint", token)), 400, "invalid_request")
		}},
		"as a refresh token": {"refresh token", nil, nil, func(t *testing.T, token string) bool {
			return refused(t, c.Refresh(token, nil), 400, "invalid_grant")
		}},
		"as a code": {"code", nil, nil, func(t *testing.T, token string) bool {
			return refused(t, c.Redeem(token, nil), 400, "invalid_grant")
		}},
		"as a request object": asRequest,
		"as a backchannel request": {"backchannel request", []string{"", "JWT", "oauth-authz-req+jwt"}, func(body fapitest.Claims) {
			delete(body, "sub")
			fresh(body)
			body["nbf"], body["iat"], body["exp"] = c.World.Clock.Now().Unix(), c.World.Clock.Now().Unix(), c.World.Clock.Now().Unix()+300
			body["login_hint"] = "alice"
		}, func(t *testing.T, token string) bool {
			return refused(t, c.Post("/backchannel", url.Values{"request": {token}}, nil), 400, "invalid_request")
		}},
		"as a checkpoint of the audit log": {"checkpoint", []string{audit.CheckpointType}, nil, func(t *testing.T, token string) bool {
			keys, err := auditlog.Keys(t.Context(), c.World.Store)
			if err != nil {
				t.Fatal(err)
			}
			_, err = audit.ReadCheckpoint(token, keys)
			return err == nil
		}},
		"as the signature of an HTTP message": {"signature of an HTTP message", nil, nil, func(t *testing.T, token string) bool {
			// The signature of a JWS is made over something that no signature base begins with.
			value := token[strings.LastIndexByte(token, '.')+1:]
			return refused(t, over.Get("/accounts", overToken, func(h http.Header) {
				h.Set("Signature-Input", `sig=("@method" "@target-uri" "authorization" "dpop");created=`+strconv.FormatInt(c.World.Clock.Now().Unix(), 10)+`;tag="fapi-2-request"`)
				if decoded, err := base64.RawURLEncoding.DecodeString(value); err == nil {
					h.Set("Signature", "sig=:"+base64.StdEncoding.EncodeToString(decoded)+":")
				}
			}), 401, "invalid_request")
		}},
		"as a token to revoke": {"none", nil, nil, func(t *testing.T, token string) bool {
			// What is no access token is as good as revoked, or an ID token; jwt stays valid (RFC 7009 §2.2).
			if r := c.Revoke(token, nil); r.Status != http.StatusOK {
				fapitest.WantError(t, r, 400, "unsupported_token_type")
			}
			return c.Get("/accounts", jwt, nil).Status != http.StatusOK
		}},
	}
}
