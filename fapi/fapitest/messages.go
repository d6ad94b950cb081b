package fapitest

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
func Offering(c *FapiConfig, _ *AutoInteractor) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing", "fapi1-advanced"}
}

// ofProfile registers a client of a profile.
func OfProfile(name string) func(*Client, map[string]any) {
	return func(c *Client, m map[string]any) { c.messages, m["profile"] = name != "fapi2-security", name }
}

// signingAtWill registers a client of Message Signing that also sends plain requests.
func SigningAtWill(c *Client, m map[string]any) {
	OfProfile("fapi2-message-signing")(c, m)
	m["require_signed_request_object"] = false
}

// advanced registers a client of FAPI 1.0 Advanced for response_type code id_token; with private_key_jwt, and certificates
// for its tokens.
func Advanced(c *Client, m map[string]any) {
	m["profile"], m["response_types"] = "fapi1-advanced", []string{"code id_token"}
	certificate := c.W.ClientCA.Issue(c.W.T, c.ID, c.W.Clock.Now())
	c.Certificate, c.DPoP = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// advancedJARM registers one for response_type code with signed responses.
func AdvancedJARM(c *Client, m map[string]any) {
	Advanced(c, m)
	m["response_types"] = []string{"code"}
}

// requestObject makes the claims of a request object of a form; alter changes them.
func (c *Client) RequestObject(form url.Values, alter func(Claims)) Claims {
	now := c.W.Clock.Now()
	body := Claims{"iss": c.ID, "aud": c.W.Issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
	for name := range form {
		body[name] = form.Get(name)
	}
	if alter != nil {
		alter(body)
	}
	return body
}

// signing moves the parameters of a push into a signed request object.
func (c *Client) Signing(alter func(Claims)) Change {
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
		form.Set("request", c.Signed(c.Key, "oauth-authz-req+jwt", c.RequestObject(inside, alter)))
	}
}

// byValue is the address that takes a request object to the authorization endpoint.
func (c *Client) ByValue(alter func(Claims)) string {
	form := c.Request()
	form.Set("client_id", c.ID)
	query := url.Values{"client_id": {c.ID}, "response_type": {"code id_token"}, "scope": {"openid"}}
	query.Set("request", c.Signed(c.Key, "", c.RequestObject(form, alter)))
	return c.W.Issuer + "/authorize?" + query.Encode()
}

// claimed changes several claims.
func Claimed(changes ...func(Claims)) func(Claims) {
	return func(body Claims) {
		for _, change := range changes {
			change(body)
		}
	}
}

// fragment reads the parameters of a fragment.
func Fragment(t *testing.T, sentTo *url.URL) url.Values {
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
func (w *World) Verified(t *testing.T, token, typ string) Claims {
	t.Helper()
	header, read := w.Decode(token)
	if !header.HasType(typ) {
		t.Errorf("typ %q, want %s", header.Type, typ)
	}
	return read
}

// jarm reads a signed response from the query of an address: nothing else may be there.
func (w *World) Jarm(t *testing.T, parameters url.Values, c *Client) Claims {
	t.Helper()
	if len(parameters) != 1 {
		t.Fatalf("answered with %v, want response alone", parameters)
	}
	read := w.Verified(t, parameters.Get("response"), "oauth-authz-resp+jwt")
	now := w.Clock.Now().Unix()
	expires, _ := read["exp"].(float64)
	if read["iss"] != w.Issuer || read["aud"] != c.ID || int64(expires) <= now || int64(expires) > now+600 {
		t.Errorf("iss %v, aud %v, exp %v at %d", read["iss"], read["aud"], read["exp"], now)
	}
	return read
}

func ProbeIntrospectionAlgorithm(t *testing.T, w ProbedWorld, value string) {
	token := w.Register("client-"+Random(), nil).Tokens().Text("access_token")
	self := w.ResourceServer("self-"+Random(), w.Issuer)
	w.Change(self, "introspection_signed_response_alg", value)
	r := self.Introspect(token, SetHeader("Accept", "application/token-introspection+jwt"))
	header, read := w.Decode(r.Raw)
	if told, _ := read["token_introspection"].(map[string]any); told["active"] != true || header.Algorithm != value {
		t.Errorf("answered %s", r.Raw)
	}
}

// change changes one member of a client's registration.
func (w *World) Change(c *Client, name string, value any) {
	w.T.Helper()
	record, err := w.Store.Client(w.T.Context(), c.ID)
	if err != nil {
		w.T.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(record.Metadata, &metadata); err != nil {
		w.T.Fatal(err)
	}
	metadata[name] = value
	if record.Metadata, err = json.Marshal(metadata); err != nil {
		w.T.Fatal(err)
	}
	record.Version++
	if err := w.Store.PutClient(w.T.Context(), record); err != nil {
		w.T.Fatal(err)
	}
}

// signingMessages has a server offer Message Signing beside the Security Profile.
func SigningMessages(c *FapiConfig, _ *AutoInteractor) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing"}
}

// signs registers a client of Message Signing, or one that knows nothing of it.
func Signs(value bool) func(*Client, map[string]any) {
	if value {
		return OfProfile("fapi2-message-signing")
	}
	return nil
}

func ProbeResponseMode(t *testing.T, w ProbedWorld, value string) {
	c := w.Register("client-"+Random(), All(OfProfile("fapi2-message-signing")))
	q := c.Answered(t, value)
	if value == "query" {
		WantActive(t, c.Redeem(q.Get("code"), nil))
		return
	}
	code, _ := w.Jarm(t, q, c)["code"].(string)
	WantActive(t, c.Redeem(code, nil))
}

func ProbeRequestObjectAlgorithm(t *testing.T, w ProbedWorld, value string) {
	c := w.Register("client-"+Random(), func(c *Client, m map[string]any) {
		c.Key = NewKey(t, value)
		m["profile"], m["jwks"], m["request_object_signing_alg"] = "fapi2-message-signing", KeySet(c.Key.PublicJWK()), value
	})
	if r := c.Push(c.Signing(nil)); r.Status != http.StatusCreated {
		t.Errorf("answered %d %s", r.Status, r.Raw)
	}
}

func ProbeResponseAlgorithm(t *testing.T, w ProbedWorld, value string) {
	c := w.Register("client-"+Random(), All(OfProfile("fapi2-message-signing"), Member("authorization_signed_response_alg", value)))
	if header, _ := w.Decode(c.Answered(t, "jwt").Get("response")); header.Algorithm != value {
		t.Errorf("signed with %s", header.Algorithm)
	}
}

// refusal reads the parameters of an error from wherever the request wanted it.
func Refusal(t *testing.T, sentTo *url.URL) url.Values {
	t.Helper()
	if sentTo != nil && sentTo.Query().Has("error") && sentTo.Fragment == "" {
		return sentTo.Query()
	}
	return Fragment(t, sentTo)
}

func decode64(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// nothing changes nothing.
func Nothing(url.Values, http.Header) {}

// answering sets the response_type that a profile wants.
func (c *Client) Answering(profile string) Change {
	if profile == "advanced" {
		return Set("response_type", "code id_token")
	}
	return Nothing
}

// answered goes through a flow and gives the parameters that come back, from wherever the mode puts them.
func (c *Client) Answered(t *testing.T, mode string) url.Values {
	t.Helper()
	pushed := c.Push(c.Signing(Claim("response_mode", mode)))
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := c.W.Browser().Visit(c.W.AuthorizeURL(c.ID, pushed.Text("request_uri")))
	switch {
	case mode == "form_post.jwt":
		if status != http.StatusOK || !strings.Contains(body, `action="`+c.RedirectURI+`"`) {
			t.Fatalf("answered %d %s", status, body)
		}
		_, rest, _ := strings.Cut(body, `name="response" value="`)
		token, _, _ := strings.Cut(rest, `"`)
		return url.Values{"response": {token}}
	case mode == "fragment.jwt":
		return Fragment(t, sentTo)
	case sentTo == nil || sentTo.Fragment != "":
		t.Fatalf("answered %d %s, sent to %v", status, body, sentTo)
	}
	return sentTo.Query()
}
