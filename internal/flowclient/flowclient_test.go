package flowclient_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

func newKey(t *testing.T) jose.PrivateKey {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newClient makes a client of a server that answers by handler.
func newClient(t *testing.T, handler http.HandlerFunc) *flowclient.Client {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	through := server.Client()
	through.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return flowclient.New(flowclient.Config{
		Issuer: server.URL, HTTP: through, ID: "client", RedirectURI: "https://client.example/callback", Scope: "openid accounts",
		Key: newKey(t), ProofKey: newKey(t), Endpoints: flowclient.Endpoints{
			PAR: server.URL + "/par", Authorization: server.URL + "/authorize", Token: server.URL + "/token",
			Introspection: server.URL + "/introspect", Revocation: server.URL + "/revoke", Backchannel: server.URL + "/backchannel",
		},
	})
}

// claimsOf reads the claims of a JWT.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	_, payload, err := flowclient.DecodeJWT(token)
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

// TestClaims: a reader finds the claims in their usual order, and the same claims each time.
func TestClaims(t *testing.T) {
	got, err := json.Marshal(flowclient.Claims{"zeta": 1, "exp": 3, "iss": "a", "alpha": []string{"x"}, "aud": "b"})
	if want := `{"iss":"a","aud":"b","exp":3,"alpha":["x"],"zeta":1}`; err != nil || string(got) != want {
		t.Errorf("%s, %v; want %s", got, err, want)
	}
}

// TestSteps sends each step, and has a change arrive.
func TestSteps(t *testing.T) {
	var path string
	var form url.Values
	var header http.Header
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		path, form, header = r.URL.Path, r.PostForm, r.Header
		w.WriteHeader(http.StatusTeapot)
	})
	ctx, mark := t.Context(), flowclient.Set("mark", "1")
	transaction := c.NewTransaction()
	for name, step := range map[string]struct {
		send func() (flowclient.Reply, error)
		path string
		want url.Values
	}{
		"push": {func() (flowclient.Reply, error) { return c.Push(ctx, transaction, mark) }, "/par", url.Values{
			"response_type": {"code"}, "code_challenge": {flowclient.Digest(transaction.Verifier)}, "state": {transaction.State}}},
		"push signed": {func() (flowclient.Reply, error) { return c.PushSigned(ctx, transaction, nil, mark) }, "/par", url.Values{"client_id": {"client"}}},
		"redeem":      {func() (flowclient.Reply, error) { return c.Redeem(ctx, transaction, "code", mark) }, "/token", url.Values{"code": {"code"}, "code_verifier": {transaction.Verifier}}},
		"refresh":     {func() (flowclient.Reply, error) { return c.Refresh(ctx, "token", mark) }, "/token", url.Values{"refresh_token": {"token"}}},
		"credentials": {func() (flowclient.Reply, error) { return c.ClientCredentials(ctx, "accounts", mark) }, "/token", url.Values{"scope": {"accounts"}}},
		"introspect":  {func() (flowclient.Reply, error) { return c.Introspect(ctx, "token", mark) }, "/introspect", url.Values{"token": {"token"}}},
		"revoke":      {func() (flowclient.Reply, error) { return c.Revoke(ctx, "token", mark) }, "/revoke", url.Values{"token": {"token"}}},
		"ask":         {func() (flowclient.Reply, error) { return c.Ask(ctx, url.Values{"login_hint": {"alice"}}, mark) }, "/backchannel", url.Values{"scope": {"openid accounts"}, "login_hint": {"alice"}}},
		"poll":        {func() (flowclient.Reply, error) { return c.Poll(ctx, "id", mark) }, "/token", url.Values{"grant_type": {flowclient.CIBAGrant}, "auth_req_id": {"id"}}},
	} {
		reply, err := step.send()
		if err != nil || reply.Status != http.StatusTeapot || path != step.path || form.Get("mark") != "1" {
			t.Errorf("%s: %v, %d at %s with %v", name, err, reply.Status, path, form)
		}
		for parameter := range step.want {
			if form.Get(parameter) != step.want.Get(parameter) {
				t.Errorf("%s: %s is %q, want %q", name, parameter, form.Get(parameter), step.want.Get(parameter))
			}
		}
		if claims := claimsOf(t, form.Get("client_assertion")); claims["aud"] != c.Issuer || claims["sub"] != "client" {
			t.Errorf("%s: client assertion %v", name, claims)
		}
		if claims := claimsOf(t, header.Get("DPoP")); claims["htu"] != c.Issuer+step.path || claims["htm"] != "POST" {
			t.Errorf("%s: proof %v", name, claims)
		}
	}
	signed, err := c.PushSigned(ctx, transaction, func(claims flowclient.Claims) { claims["scope"] = "altered" })
	if err != nil || signed.Status != http.StatusTeapot {
		t.Fatal(err)
	}
	if claims := claimsOf(t, form.Get("request")); claims["scope"] != "altered" || claims["iss"] != "client" || claims["nonce"] != transaction.Nonce {
		t.Errorf("request object %v", claims)
	}
	var refused *flowclient.RefusedError
	if _, err := signed.RequestURI(); !errors.As(err, &refused) || refused.Want != http.StatusCreated {
		t.Error(err)
	}
}

// TestCertificate: without a key the client says who it is, and its tokens are sent as they are.
func TestCertificate(t *testing.T) {
	var form url.Values
	var header http.Header
	c := newClient(t, func(_ http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form, header = r.PostForm, r.Header
	})
	c.Key, c.ProofKey = jose.PrivateKey{}, jose.PrivateKey{}
	if _, err := c.Refresh(t.Context(), "token"); err != nil {
		t.Fatal(err)
	}
	if form.Get("client_id") != "client" || form.Has("client_assertion") || header.Get("DPoP") != "" {
		t.Errorf("%v, %v", form, header)
	}
	if _, err := c.Get(t.Context(), c.Issuer+"/accounts", "token"); err != nil {
		t.Fatal(err)
	}
	if got := header.Get("Authorization"); got != "Bearer token" {
		t.Errorf("Authorization %q", got)
	}
}

// TestNonce: a request is sent once more with the nonce, and each side has its own (RFC 9449 §8, §9).
func TestNonce(t *testing.T) {
	calls := 0
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		want, status, body := "server", http.StatusBadRequest, `{"error":"use_dpop_nonce"}`
		if r.Method == http.MethodGet {
			want, status, body = "resource", http.StatusUnauthorized, ""
			w.Header().Set("WWW-Authenticate", `DPoP error="use_dpop_nonce"`)
		}
		w.Header().Set("DPoP-Nonce", want)
		if claimsOf(t, r.Header.Get("DPoP"))["nonce"] != want {
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	})
	for range 2 {
		for _, send := range []func() (flowclient.Reply, error){
			func() (flowclient.Reply, error) { return c.Refresh(t.Context(), "token") },
			func() (flowclient.Reply, error) { return c.Get(t.Context(), c.Issuer+"/accounts?page=2", "token") },
		} {
			if reply, err := send(); err != nil || reply.Status != http.StatusOK {
				t.Errorf("%v, %d", err, reply.Status)
			}
		}
	}
	if calls != 6 {
		t.Errorf("%d calls, want 6: the nonces are kept", calls)
	}
	left := flowclient.New(c.Config)
	left.KeepChallenges = true
	if reply, err := left.Refresh(t.Context(), "token"); err != nil || !reply.WantsNonce() {
		t.Errorf("%v, %d", err, reply.Status)
	}
}

func TestDiscover(t *testing.T) {
	document := map[string]any{}
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		if err := json.NewEncoder(w).Encode(document); err != nil {
			t.Error(err)
		}
	})
	good := func() {
		for _, name := range []string{"authorization", "token", "pushed_authorization_request", "introspection"} {
			document[name+"_endpoint"] = "https://as.example/" + name
		}
		document["issuer"], document["jwks_uri"] = c.Issuer, "https://as.example/jwks"
		document["mtls_endpoint_aliases"] = map[string]string{"token_endpoint": "https://mtls.example/token"}
	}
	good()
	if err := c.Discover(t.Context()); err != nil || c.Endpoints.Token != "https://as.example/token" {
		t.Errorf("%v, %+v", err, c.Endpoints)
	}
	c.Certificate = true
	if err := c.Discover(t.Context()); err != nil || c.Endpoints.Token != "https://mtls.example/token" || c.Endpoints.Authorization != "https://as.example/authorization" {
		t.Errorf("%v, %+v", err, c.Endpoints)
	}
	for name, value := range map[string]any{"issuer": "https://other.example", "jwks_uri": "http://as.example/jwks", "introspection_endpoint": "ftp://x"} {
		good()
		document[name] = value
		if err := c.Discover(t.Context()); err == nil {
			t.Errorf("%s %v was taken", name, value)
		}
	}
}

// TestAwaitDecision polls until there is an answer.
func TestAwaitDecision(t *testing.T) {
	answers := []string{`{"error":"authorization_pending"}`, `{"access_token":"token","token_type":"DPoP"}`}
	c := newClient(t, func(w http.ResponseWriter, _ *http.Request) {
		if len(answers) > 1 {
			w.WriteHeader(http.StatusBadRequest)
		}
		fmt.Fprint(w, answers[0])
		answers = answers[1:]
	})
	reply, err := c.AwaitDecision(t.Context(), flowclient.Asked{AuthReqID: "id"})
	if err != nil || reply.Text("access_token") != "token" {
		t.Errorf("%v, %s", err, reply.Body)
	}
	answers = []string{`{"error":"slow_down"}`, ""}
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.AwaitDecision(short, flowclient.Asked{AuthReqID: "id"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}

// TestApprovalApp comes again when the server asks it to.
func TestApprovalApp(t *testing.T) {
	busy := 1
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch {
		case r.Header.Get("DPoP") == "" || r.Method == http.MethodPost && !signs(t, r):
			w.WriteHeader(http.StatusUnauthorized)
		case r.URL.Path == "/device/api/enrol":
			w.WriteHeader(http.StatusCreated)
		case r.URL.Path == "/device/api/requests/"+flowclient.Digest("id"):
			fmt.Fprintf(w, `{"state":"pending","approve":"https://%[1]s/approve","deny":"https://%[1]s/deny"}`, r.Host)
		case busy > 0:
			busy--
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		case r.URL.Path != "/deny" || r.PostForm.Get("amr") != "hwk user":
			w.WriteHeader(http.StatusNotFound)
		}
	})
	app := &flowclient.ApprovalApp{Client: c, AMR: "hwk user"}
	if err := app.Enroll(t.Context(), "code", "Test"); err != nil {
		t.Fatal(err)
	}
	request, err := app.Request(t.Context(), "id")
	if err != nil {
		t.Fatal(err)
	}
	if reply, err := app.Decide(t.Context(), request, false); err != nil || reply.Status != http.StatusOK || busy != 0 {
		t.Errorf("%v, %d", err, reply.Status)
	}
	if _, err := app.Decide(t.Context(), flowclient.ApprovalRequest{State: "approved"}, true); err == nil {
		t.Error("a request that does not wait was decided")
	}
}

// signs reports whether the proof of a request signs its body, which was read as a form.
func signs(t *testing.T, r *http.Request) bool {
	t.Helper()
	_, claims, err := flowclient.DecodeJWT(r.Header.Get("DPoP"))
	if err != nil {
		t.Error(err)
		return false
	}
	digest := sha256.Sum256([]byte(r.PostForm.Encode()))
	return strings.Contains(string(claims), `"sha-256=:`+base64.StdEncoding.EncodeToString(digest[:])+`:"`)
}

const page = `<!DOCTYPE html><main>Hello <b>you</b></main><form method="post" action="?x=1"><input type="hidden" name="form_token" value="t&amp;1">
<input name="username"><input name="password" type="password"><button id="sign-in" name="action" value="sign-in">Sign in</button></form>`

// TestBrowser signs in, stays at its server, and brings the answer back.
func TestBrowser(t *testing.T) {
	to, status := "", http.StatusSeeOther
	c := newClient(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if r.Method == http.MethodGet && to == "" {
			fmt.Fprint(w, page)
			return
		}
		if r.Method == http.MethodPost && r.PostForm.Encode() != "action=sign-in&form_token=t%261&password=secret&username=alice" {
			t.Errorf("the form was sent as %v", r.PostForm)
		}
		w.Header().Set("Location", to)
		if to == "" {
			w.Header().Set("Location", "https://client.example/callback?code=c&state=s")
		}
		w.WriteHeader(status)
	})
	b, err := flowclient.NewBrowser(c.HTTP.Transport)
	if err != nil {
		t.Fatal(err)
	}
	b.Username, b.Password, b.Issuer = "alice", "secret", c.Issuer
	back, err := b.Authorize(t.Context(), c.AuthorizationURL("urn:x"), c.RedirectURI)
	if err != nil || back.Get("code") != "c" {
		t.Errorf("%v, %v", back, err)
	}
	if opened, err := b.Open(t.Context(), c.AuthorizationURL("urn:x")); err != nil || opened.Status != http.StatusOK || opened.Text("main") != "Hello you" {
		t.Errorf("%v, %v", opened, err)
	}
	for to = range map[string]bool{"https://elsewhere.example/": true, "https://client.example/callback.evil?code=c": true, "/authorize": true} {
		if back, err := b.Authorize(t.Context(), c.AuthorizationURL("urn:x"), c.RedirectURI); err == nil {
			t.Errorf("sent to %s it came back with %v", to, back)
		}
	}
	to, status = "https://client.example/callback?code=c", http.StatusFound
	if _, err := b.Authorize(t.Context(), c.AuthorizationURL("urn:x"), c.RedirectURI); err == nil {
		t.Error("a redirect with 302 was followed")
	}
	b.AnyRedirect = true
	if _, err := b.Authorize(t.Context(), c.AuthorizationURL("urn:x"), c.RedirectURI); err != nil {
		t.Error(err)
	}
	b.Issuer = "https://elsewhere.example"
	if _, err := b.Authorize(t.Context(), c.AuthorizationURL("urn:x"), c.RedirectURI); err == nil {
		t.Error("the password would have been typed at another server")
	}
}

// FuzzDecodeJWT: what is taken apart are two JSON objects.
func FuzzDecodeJWT(f *testing.F) {
	f.Add("e30.e30.x")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`)) + "..")
	f.Fuzz(func(t *testing.T, token string) {
		header, payload, err := flowclient.DecodeJWT(token)
		if err != nil {
			return
		}
		for _, part := range []json.RawMessage{header, payload} {
			if !bytes.HasPrefix(bytes.TrimSpace(part), []byte("{")) || !json.Valid(part) {
				t.Errorf("%q holds %q", token, part)
			}
		}
	})
}

// FuzzForms: a form that is found can be sent.
func FuzzForms(f *testing.F) {
	f.Add([]byte(page))
	f.Add([]byte(strings.Repeat("<form method=post><input type=hidden name=a>", 3)))
	f.Fuzz(func(t *testing.T, content []byte) {
		p := flowclient.Page{Reply: flowclient.Reply{Body: content}}
		forms, err := p.Forms()
		if err != nil {
			return
		}
		for _, found := range forms {
			if back, err := url.ParseQuery(found.Values.Encode()); err != nil || len(back) != len(found.Values) {
				t.Errorf("%v is sent as %v (%v)", found.Values, back, err)
			}
		}
		for _, r := range p.Text("main") {
			if r != '\uFFFD' && !unicode.IsPrint(r) {
				t.Errorf("the text holds %q", r)
			}
		}
	})
}
