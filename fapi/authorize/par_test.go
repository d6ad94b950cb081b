package authorize_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
)

// TestPush lists what the PAR endpoint refuses (RFC 9126 §2.3, FAPI 2.0 Security Profile §5.3.2.2).
func TestPush(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	set := func(name, value string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Set(name, value) }
	}
	remove := func(name string) func(url.Values, http.Header) {
		return func(form url.Values, _ http.Header) { form.Del(name) }
	}
	tests := map[string]struct {
		change func(url.Values, http.Header)
		status int
		code   string
	}{
		"accepted as it is":                {nil, 201, ""},
		"a state of 1000 characters":       {set("state", strings.Repeat("s", 1000)), 201, ""},
		"a nonce of 384 characters":        {set("nonce", strings.Repeat("n", 384)), 201, ""},
		"no state":                         {remove("state"), 201, ""},
		"no nonce":                         {remove("nonce"), 201, ""},
		"scopes in another order":          {set("scope", "accounts openid"), 201, ""},
		"an unknown scope beside known":    {set("scope", "openid nonsense"), 201, ""},
		"an unknown parameter":             {set("nonsense", "1"), 201, ""},
		"max_age":                          {set("max_age", "10"), 201, ""},
		"no redirect_uri":                  {remove("redirect_uri"), 400, "invalid_request"},
		"a redirect_uri not registered":    {set("redirect_uri", "https://client.example/callback/"), 400, "invalid_request"},
		"no response_type":                 {remove("response_type"), 400, "invalid_request"},
		"response_type code id_token":      {set("response_type", "code id_token"), 400, "unsupported_response_type"},
		"response_type token":              {set("response_type", "token"), 400, "unsupported_response_type"},
		"response_mode fragment":           {set("response_mode", "fragment"), 400, "invalid_request"},
		"no code_challenge":                {remove("code_challenge"), 400, "invalid_request"},
		"no code_challenge_method":         {remove("code_challenge_method"), 400, "invalid_request"},
		"code_challenge_method plain":      {set("code_challenge_method", "plain"), 400, "invalid_request"},
		"a short code_challenge":           {set("code_challenge", "abc"), 400, "invalid_request"},
		"a request_uri":                    {set("request_uri", "urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"},
		"a request object":                 {set("request", "eyJ"), 400, "request_not_supported"},
		"authorization_details":            {set("authorization_details", "[]"), 400, "invalid_authorization_details"},
		"a foreign resource":               {set("resource", "https://elsewhere.example"), 400, "invalid_target"},
		"a scope that is not registered":   {set("scope", "openid payments"), 400, "invalid_scope"},
		"no known scope":                   {set("scope", "nonsense"), 400, "invalid_scope"},
		"a state too long":                 {set("state", strings.Repeat("s", 5000)), 400, "invalid_request"},
		"a state with a line break":        {set("state", "a\nb"), 400, "invalid_request"},
		"an unknown prompt":                {set("prompt", "dance"), 400, "invalid_request"},
		"prompt none beside another":       {set("prompt", "none login"), 400, "invalid_request"},
		"max_age that is no number":        {set("max_age", "soon"), 400, "invalid_request"},
		"dpop_jkt of another key":          {set("dpop_jkt", fapitest.CodeChallenge("other")), 400, "invalid_dpop_proof"},
		"dpop_jkt that is no thumbprint":   {set("dpop_jkt", "abc"), 400, "invalid_request"},
		"a client secret":                  {set("client_secret", "hush"), 401, "invalid_client"},
		"a client_id of another":           {set("client_id", "client-2"), 401, "invalid_client"},
		"no client assertion":              {remove("client_assertion"), 401, "invalid_client"},
		"another client_assertion_type":    {set("client_assertion_type", "x"), 401, "invalid_client"},
		"an Authorization header":          {func(_ url.Values, h http.Header) { h.Set("Authorization", "Basic YTpi") }, 401, "invalid_client"},
		"a parameter given twice":          {func(f url.Values, _ http.Header) { f.Add("scope", "openid") }, 400, "invalid_request"},
		"two DPoP headers":                 {func(_ url.Values, h http.Header) { h.Add("DPoP", h.Get("DPoP")) }, 400, "invalid_dpop_proof"},
		"a DPoP proof for another address": {func(_ url.Values, h http.Header) { h.Set("DPoP", c.Proof("POST", w.Issuer+"/token", "", nil)) }, 400, "invalid_dpop_proof"},
		"another content type":             {func(_ url.Values, h http.Header) { h.Set("Content-Type", "application/json") }, 415, "invalid_request"},
		"an oversize body":                 {set("nonsense", strings.Repeat("x", 70<<10)), 413, "invalid_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := c.Push(test.change)
			if test.status == http.StatusCreated {
				if r.Status != test.status || !strings.HasPrefix(r.Text("request_uri"), "urn:ietf:params:oauth:request_uri:") || r.Body["expires_in"] != 60.0 {
					t.Fatalf("answered %d %s", r.Status, r.Raw)
				}
				return
			}
			fapitest.WantError(t, r, test.status, test.code)
		})
	}
	for _, method := range []string{http.MethodGet, http.MethodPut} {
		request, err := http.NewRequest(method, w.Issuer+"/par", strings.NewReader(c.AuthorizationForm().Encode()))
		if err != nil {
			t.Fatal(err)
		}
		if r := c.Do(request); r.Status != http.StatusMethodNotAllowed || r.Header.Get("Allow") != "POST" {
			t.Errorf("%s: %d, Allow %q", method, r.Status, r.Header.Get("Allow"))
		}
	}
}

// Covers: PA-01. A push is a form in a POST, by a client that authenticates as at the token endpoint.
func TestPA01Push(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("a form", nil),
		fapitest.Good("a form in UTF-8", fapitest.SetHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")),
		fapitest.Bad("JSON", fapitest.SetHeader("Content-Type", "application/json"), 415, "invalid_request"),
		fapitest.Bad("a multipart form", fapitest.SetHeader("Content-Type", "multipart/form-data; boundary=x"), 415, "invalid_request"),
		fapitest.Bad("no content type", func(_ url.Values, h http.Header) { h.Del("Content-Type") }, 415, "invalid_request"),
		fapitest.Bad("another charset", fapitest.SetHeader("Content-Type", "application/x-www-form-urlencoded; charset=utf-16"), 415, "invalid_request"),
		fapitest.Bad("no authentication", fapitest.Unset("client_assertion"), 401, "invalid_client"))
	t.Run("refuses parameters in the address", func(t *testing.T) {
		fapitest.WantError(t, c.Post("/par?"+c.AuthorizationForm().Encode(), url.Values{}, func(_ url.Values, h http.Header) {
			h.Set("DPoP", c.Proof("POST", w.Issuer+"/par", "", nil))
		}), 400, "invalid_request")
	})
	for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS"} {
		t.Run("refuses "+method, func(t *testing.T) {
			response, _ := w.Request(t, method, w.Issuer+"/par", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, c.AuthorizationForm().Encode())
			if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "POST" {
				t.Errorf("%d, Allow %q", response.StatusCode, response.Header.Get("Allow"))
			}
		})
	}
}

// Covers: PA-02. What the endpoint answers with cannot be sent to it.
func TestPA02NoRequestURI(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("a request without request_uri", nil),
		fapitest.Bad("an invented request_uri", fapitest.Set("request_uri", "urn:ietf:params:oauth:request_uri:x"), 400, "invalid_request"),
		fapitest.Bad("a request_uri of its own", fapitest.Set("request_uri", c.Push(nil).Text("request_uri")), 400, "invalid_request"),
		fapitest.Bad("an address to fetch", fapitest.Set("request_uri", "https://client.example/request.jwt"), 400, "invalid_request"))
}

// Covers: PA-03, RULE-16. Whatever is wrong with a request is told to the client before a user sees a page.
func TestPA03Validated(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	fapitest.TryAll(t, c.Push, fapitest.Good("a request that is right", nil),
		fapitest.Good("an unknown parameter", fapitest.Set("nonsense", "1")), fapitest.Good("an unknown scope beside a known one", fapitest.Set("scope", "openid nonsense")),
		fapitest.Bad("a response_type that is not supported", fapitest.Set("response_type", "token"), 400, "unsupported_response_type"),
		fapitest.Bad("a response_mode that is not supported", fapitest.Set("response_mode", "fragment"), 400, "invalid_request"),
		fapitest.Bad("a redirect_uri that is not registered", fapitest.Set("redirect_uri", "https://client.example/other"), 400, "invalid_request"),
		fapitest.Bad("a scope that is not registered", fapitest.Set("scope", "openid payments"), 400, "invalid_scope"),
		fapitest.Bad("no scope that is known", fapitest.Set("scope", "nonsense"), 400, "invalid_scope"),
		fapitest.Bad("no PKCE", fapitest.Unset("code_challenge"), 400, "invalid_request"),
		fapitest.Bad("a prompt that is not known", fapitest.Set("prompt", "dance"), 400, "invalid_request"),
		fapitest.Bad("prompt=none beside another", fapitest.Set("prompt", "none login"), 400, "invalid_request"),
		fapitest.Bad("a max_age that is no number", fapitest.Set("max_age", "soon"), 400, "invalid_request"),
		fapitest.Bad("a max_age below zero", fapitest.Set("max_age", "-1"), 400, "invalid_request"),
		fapitest.Bad("a request object", fapitest.Set("request", "eyJhbGciOiJub25lIn0.e30."), 400, "request_not_supported"),
		fapitest.Bad("a resource that is not known", fapitest.Set("resource", "https://elsewhere.example"), 400, "invalid_target"),
		fapitest.Bad("authorization_details of an unknown type", fapitest.Set("authorization_details", `[{"type":"unknown"}]`), 400, "invalid_authorization_details"),
		fapitest.Bad("another client's client_id", fapitest.Set("client_id", "client-2"), 401, "invalid_client"))
}

// Covers: PA-04, AM-04, ATTACK-05. A request_uri is of no use to anybody but its client, and cannot be guessed.
func TestPA04BoundToClient(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c, thief := w.Register("client-1", nil), w.Register("client-2", nil)
	request := c.Push(nil).Text("request_uri")
	t.Run("refuses it in the name of another client", func(t *testing.T) {
		status, body, sentTo := w.Browser().Visit(w.AuthorizeURL(thief.ID, request))
		if sentTo != nil || status != 400 || strings.Contains(body, "state-1") {
			t.Errorf("%d %s, sent to %v", status, body, sentTo)
		}
	})
	t.Run("refuses its code to another client", func(t *testing.T) {
		fapitest.WantError(t, thief.Redeem(c.Authorize(), nil), 400, "invalid_grant")
	})
	for name, changed := range map[string]string{
		"with a changed character": fapitest.Altered(request), "in capitals": strings.ToUpper(request), "with a blank": request + " ", "cut short": request[:len(request)-1],
		"of another form": strings.Replace(request, "urn:ietf:params:oauth:request_uri:", "urn:request:", 1), "without its form": strings.TrimPrefix(request, "urn:ietf:params:oauth:request_uri:"),
	} {
		t.Run("refuses it "+name, func(t *testing.T) {
			if status, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, changed)); sentTo != nil || status != 400 {
				t.Errorf("%d, sent to %v", status, sentTo)
			}
		})
	}
	b := w.Browser()
	t.Run("accepts it from its client all the same", func(t *testing.T) {
		if _, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, request)); sentTo == nil || !sentTo.Query().Has("code") {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("refuses it after its use", func(t *testing.T) {
		if _, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, request)); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("refuses it after its time", func(t *testing.T) {
		old := c.Push(nil)
		w.Clock.Advance(time.Duration(old.Body["expires_in"].(float64)) * time.Second)
		if _, _, sentTo := b.Visit(w.AuthorizeURL(c.ID, old.Text("request_uri"))); sentTo == nil || sentTo.Query().Get("error") != "invalid_request_uri" {
			t.Errorf("sent to %v", sentTo)
		}
	})
	t.Run("accepts no two that are the same, and all of the registered form", func(t *testing.T) {
		seen := map[string]bool{}
		for range 20 {
			one := c.Push(nil).Text("request_uri")
			if !strings.HasPrefix(one, "urn:ietf:params:oauth:request_uri:") || seen[one] {
				t.Errorf("%s", one)
			}
			seen[one] = true
		}
	})
}

// Covers: PA-08, IS-02, MD-03. What the endpoint is and demands is in the metadata, and is so.
func TestPA08Metadata(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	document := w.Document()
	for name, want := range map[string]any{
		"pushed_authorization_request_endpoint": w.Issuer + "/par", "require_pushed_authorization_requests": true,
		"authorization_response_iss_parameter_supported": true, "request_parameter_supported": false, "request_uri_parameter_supported": false,
	} {
		t.Run("accepts as "+name+" what is so", func(t *testing.T) {
			if document[name] != want {
				t.Errorf("%v, want %v", document[name], want)
			}
		})
	}
	t.Run("refuses what it says to refuse", func(t *testing.T) {
		status, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + c.AuthorizationForm().Encode())
		if sentTo != nil || status != http.StatusBadRequest {
			t.Errorf("%d, sent to %v", status, sentTo)
		}
		fapitest.WantError(t, c.Push(fapitest.Set("request", "eyJhbGciOiJub25lIn0.e30.")), 400, "request_not_supported")
	})
	for _, alter := range []func(map[string]any){fapitest.SetClaim("require_pushed_authorization_requests", true), fapitest.SetClaim("require_pushed_authorization_requests", nil)} {
		fapitest.TryRegistration(t, "a client that says so itself, or does not", alter, "")
	}
}
