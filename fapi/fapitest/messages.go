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
func AllProfiles(c *Config, _ *AutoInteractor) {
	c.Profiles = []string{"fapi2-security", "fapi2-message-signing", "fapi1-advanced"}
}

// ofProfile registers a client of a profile.
func OfProfile(name string) func(*Client, map[string]any) {
	return func(c *Client, m map[string]any) { c.messages, m["profile"] = name != "fapi2-security", name }
}

// signingAtWill registers a client of Message Signing that also sends plain requests.
func OptionalSigning(c *Client, m map[string]any) {
	OfProfile("fapi2-message-signing")(c, m)
	m["require_signed_request_object"] = false
}

// advanced registers a client of FAPI 1.0 Advanced for response_type code id_token; with private_key_jwt, and certificates
// for its tokens.
func FAPI1Advanced(c *Client, m map[string]any) {
	m["profile"], m["response_types"] = "fapi1-advanced", []string{"code id_token"}
	certificate := c.World.ClientCA.Issue(c.World.T, c.ID, c.World.Clock.Now())
	c.Certificate, c.DPoP = &certificate, false
	delete(m, "dpop_bound_access_tokens")
	m["tls_client_certificate_bound_access_tokens"] = true
}

// requestObject makes the claims of a request object of a form; alter changes them.
func (c *Client) RequestObjectClaims(form url.Values, alter func(Claims)) Claims {
	now := c.World.Clock.Now()
	body := Claims{"iss": c.ID, "aud": c.World.Issuer, "nbf": now.Unix(), "exp": now.Add(5 * time.Minute).Unix()}
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
		form.Set("request", c.Sign(c.Key, "oauth-authz-req+jwt", c.RequestObjectClaims(inside, alter)))
	}
}

// byValue is the address that takes a request object to the authorization endpoint.
func (c *Client) ByValue(alter func(Claims)) string {
	form := c.AuthorizationForm()
	form.Set("client_id", c.ID)
	query := url.Values{"client_id": {c.ID}, "response_type": {"code id_token"}, "scope": {"openid"}}
	query.Set("request", c.Sign(c.Key, "", c.RequestObjectClaims(form, alter)))
	return c.World.Issuer + "/authorize?" + query.Encode()
}

// claimed changes several claims.
func ChangeClaims(changes ...func(Claims)) func(Claims) {
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
func (w *World) VerifyType(t *testing.T, token, typ string) Claims {
	t.Helper()
	header, read := w.Verify(token)
	if !header.HasType(typ) {
		t.Errorf("typ %q, want %s", header.Type, typ)
	}
	return read
}

// jarm reads a signed response from the query of an address: nothing else may be there.
func (w *World) JARM(t *testing.T, parameters url.Values, c *Client) Claims {
	t.Helper()
	if len(parameters) != 1 {
		t.Fatalf("answered with %v, want response alone", parameters)
	}
	read := w.VerifyType(t, parameters.Get("response"), "oauth-authz-resp+jwt")
	now := w.Clock.Now().Unix()
	expires, _ := read["exp"].(float64)
	if read["iss"] != w.Issuer || read["aud"] != c.ID || int64(expires) <= now || int64(expires) > now+600 {
		t.Errorf("iss %v, aud %v, exp %v at %d", read["iss"], read["aud"], read["exp"], now)
	}
	return read
}

// change changes one member of a client's registration.
func (w *World) ChangeMember(c *Client, name string, value any) {
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

func decode64(text string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(text) }

// nothing changes nothing.
func Nothing(url.Values, http.Header) {}

// answered goes through a flow and gives the parameters that come back, from wherever the mode puts them.
func (c *Client) SignedResponse(t *testing.T, mode string) url.Values {
	t.Helper()
	pushed := c.Push(c.Signing(SetClaim("response_mode", mode)))
	if pushed.Status != http.StatusCreated {
		t.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	status, body, sentTo := c.World.Browser().Visit(c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
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
