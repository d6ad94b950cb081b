package fapitest

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Reply is a response to a client.
type Reply struct {
	Status int
	Header http.Header
	Body   map[string]any
	Raw    string
}

// Text is a member of the body that is a string, or "".
func (r Reply) Text(name string) string {
	text, _ := r.Body[name].(string)
	return text
}

// Post sends a form with the client's authentication and DPoP proof; change, if it is not nil, alters the request.
func (c *Client) Post(path string, form url.Values, change Change) Reply {
	c.World.T.Helper()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	if c.Assertion {
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", c.ClientAssertion(nil))
	} else {
		form.Set("client_id", c.ID)
	}
	if c.DPoP {
		header.Set("DPoP", c.Proof("POST", c.Base()+path, "", nil))
	}
	if change != nil {
		change(form, header)
	}
	request, err := http.NewRequest(http.MethodPost, c.Base()+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.World.T.Fatal(err)
	}
	request.Header = header
	return c.Do(request)
}

// Do sends a request.
func (c *Client) Do(request *http.Request) Reply {
	c.World.T.Helper()
	response, err := c.HTTP.Do(request)
	if err != nil {
		c.World.T.Fatal(err)
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		c.World.T.Fatal(err)
	}
	r := Reply{Status: response.StatusCode, Header: response.Header, Raw: string(raw)}
	_ = json.Unmarshal(raw, &r.Body) // pages are not JSON
	return r
}

// SendJSON sends JSON with a bearer token, if it is not empty; body is nil, text, or what is to be encoded.
func (c *Client) SendJSON(method, address, bearer string, body any, change func(*http.Request)) Reply {
	c.World.T.Helper()
	var content []byte
	switch body := body.(type) {
	case nil:
	case string:
		content = []byte(body)
	default:
		var err error
		if content, err = json.Marshal(body); err != nil {
			c.World.T.Fatal(err)
		}
	}
	request, err := http.NewRequest(method, address, bytes.NewReader(content))
	if err != nil {
		c.World.T.Fatal(err)
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	if change != nil {
		change(request)
	}
	return c.Do(request)
}

// CodeVerifier is the PKCE code verifier of every request (RFC 7636).
const CodeVerifier = "verifier-verifier-verifier-verifier-verifier-123"

// CodeChallenge is the S256 code challenge of a verifier.
func CodeChallenge(verifier string) string {
	digest := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(digest[:])
}

// AuthorizationForm is a good authorization request.
func (c *Client) AuthorizationForm() url.Values {
	return url.Values{
		"response_type": {"code"}, "redirect_uri": {c.RedirectURI}, "scope": {c.Scope}, "state": {"state-1"}, "nonce": {"nonce-1"},
		"code_challenge": {CodeChallenge(CodeVerifier)}, "code_challenge_method": {"S256"}, "client_id": {c.ID},
	}
}

// Push sends one to the PAR endpoint.
func (c *Client) Push(change Change) Reply {
	c.World.T.Helper()
	return c.Post("/par", c.AuthorizationForm(), change)
}

// AuthorizeURL is where the client sends the browser with a request_uri.
func (w *World) AuthorizeURL(clientID, requestURI string) string {
	return w.Issuer + "/authorize?" + url.Values{"client_id": {clientID}, "request_uri": {requestURI}}.Encode()
}

// open pushes a request, which must be accepted, and opens it in a browser.
func (c *Client) open(b *Browser, alter Change) (status int, body string, sentTo *url.URL) {
	c.World.T.Helper()
	pushed := c.Push(alter)
	if pushed.Status != http.StatusCreated {
		c.World.T.Fatalf("push: %d %s", pushed.Status, pushed.Raw)
	}
	return b.Visit(c.World.AuthorizeURL(c.ID, pushed.Text("request_uri")))
}

// Redirected pushes a request, opens it in a new browser and returns where the browser is sent.
func (c *Client) Redirected(t *testing.T, alter Change) *url.URL {
	t.Helper()
	status, body, sentTo := c.open(c.World.Browser(), alter)
	if sentTo == nil {
		t.Fatalf("the browser was not sent back: %d %s", status, body)
	}
	return sentTo
}

// AuthorizeIn pushes a request, opens it in a browser and returns the parameters that come back to the client.
func (c *Client) AuthorizeIn(b *Browser, alter Change) url.Values {
	c.World.T.Helper()
	status, body, sentTo := c.open(b, alter)
	if sentTo == nil || !strings.HasPrefix(sentTo.String(), c.RedirectURI) {
		c.World.T.Fatalf("the browser was not sent back to the client: %d %s, %v", status, body, sentTo)
	}
	return sentTo.Query()
}

// Authorize goes as far as the authorization code.
func (c *Client) Authorize() string {
	c.World.T.Helper()
	return c.codeIn(c.World.Browser(), nil)
}

// codeIn goes as far as the authorization code, which must come.
func (c *Client) codeIn(b *Browser, alter Change) string {
	c.World.T.Helper()
	q := c.AuthorizeIn(b, alter)
	if q.Get("code") == "" {
		c.World.T.Fatalf("no code but %v", q)
	}
	return q.Get("code")
}

// Redeem exchanges a code.
func (c *Client) Redeem(code string, change Change) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {c.RedirectURI}, "code_verifier": {CodeVerifier},
	}, change)
}

// Tokens goes through the whole flow.
func (c *Client) Tokens() Reply {
	c.World.T.Helper()
	return c.TokensFor(nil)
}

// TokensFor goes through the whole flow with a changed request.
func (c *Client) TokensFor(alter Change) Reply {
	c.World.T.Helper()
	return c.TokensIn(c.World.Browser(), alter)
}

// TokensIn goes through the whole flow in one browser.
func (c *Client) TokensIn(b *Browser, alter Change) Reply {
	c.World.T.Helper()
	r := c.Redeem(c.codeIn(b, alter), nil)
	if r.Status != http.StatusOK {
		c.World.T.Fatalf("token: %d %s", r.Status, r.Raw)
	}
	return r
}

// Refresh redeems a refresh token.
func (c *Client) Refresh(token string, change Change) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}, change)
}

// ClientCredentials asks for a token for the client itself.
func (c *Client) ClientCredentials(alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/token", url.Values{"grant_type": {"client_credentials"}}, alter)
}

// Get requests a resource with an access token and a proof; change, if it is not nil, alters the header.
func (c *Client) Get(path, accessToken string, change func(http.Header)) Reply {
	c.World.T.Helper()
	header := http.Header{}
	if c.DPoP {
		header.Set("Authorization", "DPoP "+accessToken)
		header.Set("DPoP", c.Proof("GET", c.Base()+path, accessToken, nil))
	} else {
		header.Set("Authorization", "Bearer "+accessToken)
	}
	if change != nil {
		change(header)
	}
	request, err := http.NewRequest(http.MethodGet, c.Base()+path, nil)
	if err != nil {
		c.World.T.Fatal(err)
	}
	request.Header = header
	return c.Do(request)
}

// Introspect asks about a token (RFC 7662).
func (c *Client) Introspect(token string, alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/introspect", url.Values{"token": {token}}, alter)
}

// Revoke revokes a token (RFC 7009).
func (c *Client) Revoke(token string, alter Change) Reply {
	c.World.T.Helper()
	return c.Post("/revoke", url.Values{"token": {token}}, alter)
}

// SignedResponse goes through a flow with a signed request and a response_mode, and returns the parameters of the response from
// wherever the mode puts them.
func (c *Client) SignedResponse(t *testing.T, mode string) url.Values {
	t.Helper()
	status, body, sentTo := c.open(c.World.Browser(), c.Signing(SetClaim("response_mode", mode)))
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
