package fapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

// offering has a server offer every profile.
func offering(c *fapiConfig, _ *autoInteractor) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing", "fapi1-advanced"}
}

// ofProfile registers a client of a profile.
func ofProfile(name string) func(*client, map[string]any) {
	return func(c *client, m map[string]any) { c.messages, m["profile"] = name != "fapi2-security", name }
}

// signingAtWill registers a client of Message Signing that also sends plain requests.
func signingAtWill(c *client, m map[string]any) {
	ofProfile("fapi2-message-signing")(c, m)
	m["require_signed_request_object"] = false
}

// advanced registers a client of FAPI 1.0 Advanced for response_type code id_token; with private_key_jwt, and certificates
// for its tokens.
func advanced(c *client, m map[string]any) {
	m["profile"], m["response_types"] = "fapi1-advanced", []string{"code id_token"}
	certificate := c.w.clientCA.issue(c.w.t, c.id, c.w.clock.Now())
	c.certificate, c.dpop = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// advancedJARM registers one for response_type code with signed responses.
func advancedJARM(c *client, m map[string]any) {
	advanced(c, m)
	m["response_types"] = []string{"code"}
}

// requestObject makes the claims of a request object of a form; alter changes them.
func (c *client) requestObject(form url.Values, alter func(claims)) claims {
	now := c.w.clock.Now()
	body := claims{"iss": c.id, "aud": c.w.issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// signing moves the parameters of a push into a signed request object.
func (c *client) signing(alter func(claims)) change {
	return func(form url.Values, _ http.Header) {
		inside := url.Values{}
		for name, values := range form {
			if !strings.HasPrefix(name, "client_assertion") {
				inside[name] = values
			}
			if name != "client_id" && !strings.HasPrefix(name, "client_assertion") {
				delete(form, name)
			}
		}
		form.Set("request", c.signed(c.key, "oauth-authz-req+jwt", c.requestObject(inside, alter)))
	}
}

// byValue is the address that takes a request object to the authorization endpoint.
func (c *client) byValue(alter func(claims)) string {
	form := c.request()
	form.Set("client_id", c.id)
	query := url.Values{"client_id": {c.id}, "response_type": {"code id_token"}, "scope": {"openid"}}
	query.Set("request", c.signed(c.key, "", c.requestObject(form, alter)))
	return c.w.issuer + "/authorize?" + query.Encode()
}

// claimed changes several claims.
func claimed(changes ...func(claims)) func(claims) {
	return func(body claims) {
		for _, change := range changes {
			change(body)
		}
	}
}

// fragment reads the parameters of a fragment.
func fragment(t *testing.T, sentTo *url.URL) url.Values {
	t.Helper()
	if sentTo == nil || sentTo.RawQuery != "" {
		t.Fatalf("sent to %v, want a fragment alone", sentTo)
	}
	values, err := url.ParseQuery(sentTo.EscapedFragment())
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// verified checks the signature of a token with the server's published keys, and its typ, and gives its claims.
func (w *world) verified(t *testing.T, token, typ string) claims {
	t.Helper()
	header, read := w.decode(token)
	if !header.HasType(typ) {
		t.Errorf("typ %q, want %s", header.Type, typ)
	}
	return read
}

// jarm reads a signed response from the query of an address: nothing else may be there.
func (w *world) jarm(t *testing.T, parameters url.Values, c *client) claims {
	t.Helper()
	if len(parameters) != 1 {
		t.Fatalf("answered with %v, want response alone", parameters)
	}
	read := w.verified(t, parameters.Get("response"), "oauth-authz-resp+jwt")
	now := w.clock.Now().Unix()
	expires, _ := read["exp"].(float64)
	if read["iss"] != w.issuer || read["aud"] != c.id || int64(expires) <= now || int64(expires) > now+600 {
		t.Errorf("iss %v, aud %v, exp %v at %d", read["iss"], read["aud"], read["exp"], now)
	}
	return read
}

func probeIntrospectionAlgorithm(t *testing.T, w probedWorld, value string) {
	token := w.register("client-"+random(), nil).tokens().text("access_token")
	self := w.resourceServer("self-"+random(), w.issuer)
	w.change(self, "introspection_signed_response_alg", value)
	r := self.introspect(token, setHeader("Accept", "application/token-introspection+jwt"))
	header, read := w.decode(r.raw)
	if told, _ := read["token_introspection"].(map[string]any); told["active"] != true || header.Algorithm != value {
		t.Errorf("answered %s", r.raw)
	}
}

// change changes one member of a client's registration.
func (w *world) change(c *client, name string, value any) {
	w.t.Helper()
	record, err := w.store.Client(w.t.Context(), c.id)
	if err != nil {
		w.t.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(record.Metadata, &metadata); err != nil {
		w.t.Fatal(err)
	}
	metadata[name] = value
	if record.Metadata, err = json.Marshal(metadata); err != nil {
		w.t.Fatal(err)
	}
	record.Version++
	if err := w.store.PutClient(w.t.Context(), record); err != nil {
		w.t.Fatal(err)
	}
}

// signingMessages has a server offer Message Signing beside the Security Profile.
func signingMessages(c *fapiConfig, _ *autoInteractor) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing"}
}

// signs registers a client of Message Signing, or one that knows nothing of it.
func signs(value bool) func(*client, map[string]any) {
	if value {
		return ofProfile("fapi2-message-signing")
	}
	return nil
}

func probeResponseMode(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), all(ofProfile("fapi2-message-signing")))
	q := c.answered(t, value)
	if value == "query" {
		wantActive(t, c.redeem(q.Get("code"), nil))
		return
	}
	code, _ := w.jarm(t, q, c)["code"].(string)
	wantActive(t, c.redeem(code, nil))
}

func probeRequestObjectAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), func(c *client, m map[string]any) {
		c.key = newKey(t, value)
		m["profile"], m["jwks"], m["request_object_signing_alg"] = "fapi2-message-signing", keySet(c.key.PublicJWK()), value
	})
	if r := c.push(c.signing(nil)); r.status != http.StatusCreated {
		t.Errorf("answered %d %s", r.status, r.raw)
	}
}

func probeResponseAlgorithm(t *testing.T, w probedWorld, value string) {
	c := w.register("client-"+random(), all(ofProfile("fapi2-message-signing"), member("authorization_signed_response_alg", value)))
	if header, _ := w.decode(c.answered(t, "jwt").Get("response")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

// refusal reads the parameters of an error from wherever the request wanted it.
func refusal(t *testing.T, sentTo *url.URL) url.Values {
	t.Helper()
	if sentTo != nil && sentTo.Query().Has("error") && sentTo.Fragment == "" {
		return sentTo.Query()
	}
	return fragment(t, sentTo)
}

func decode64(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }
