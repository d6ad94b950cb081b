package demo

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
)

var update = flag.Bool("update", false, "write the golden files anew")

// fakeServer answers just enough of the flow, and can be made to misbehave.
type fakeServer struct {
	t      *testing.T
	issuer string
	key    jose.PrivateKey
	client Config
	pushed url.Values

	wrongIssuer, wrongState, wrongIss, wrongNonce, noConfirmation, takesBearer, refusesPush, refusesPassword, deniesConsent, errorPage bool
	foreignIDToken                                                                                                                     bool
}

func (f *fakeServer) sign(typ string, claims map[string]any) string {
	key := f.key
	if f.foreignIDToken && typ == "JWT" {
		other, err := jose.NewPrivateKey(jose.ES256)
		if err != nil {
			f.t.Fatal(err)
		}
		key = other
	}
	token, err := jose.Sign(context.Background(), key.SigningKey(), typ, claims)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func (f *fakeServer) json(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(value); err != nil {
		f.t.Error(err)
	}
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil {
		f.t.Error(err)
	}
	switch r.URL.Path {
	case "/.well-known/oauth-authorization-server":
		issuer := f.issuer
		if f.wrongIssuer {
			issuer = "https://elsewhere.example"
		}
		f.json(w, 200, map[string]any{
			"issuer": issuer, "authorization_endpoint": f.issuer + "/authorize", "token_endpoint": f.issuer + "/token",
			"pushed_authorization_request_endpoint": f.issuer + "/par", "jwks_uri": f.issuer + "/jwks",
		})
	case "/par":
		if f.refusesPush {
			f.json(w, 400, map[string]any{"error": "invalid_scope", "error_description": "no such scope", "correlation_id": "c-17"})
			return
		}
		f.checkProofs(r)
		f.pushed = r.PostForm
		f.json(w, 201, map[string]any{"request_uri": "urn:ietf:params:oauth:request_uri:" + random(), "expires_in": 60})
	case "/authorize":
		if f.errorPage {
			w.WriteHeader(400)
			return
		}
		http.SetCookie(w, &http.Cookie{Name: "browser", Value: "1", Path: "/", Secure: true})
		w.Header().Set("Location", f.issuer+"/interaction/1")
		w.WriteHeader(http.StatusSeeOther)
	case "/interaction/1":
		f.interact(w, r)
	case "/token":
		f.checkProofs(r)
		f.token(w, r)
	case "/jwks":
		f.json(w, 200, map[string]any{"keys": []json.RawMessage{f.key.PublicJWK()}})
	case "/accounts":
		if strings.HasPrefix(r.Header.Get("Authorization"), "DPoP ") && r.Header.Get("DPoP") != "" || f.takesBearer {
			f.json(w, 200, map[string]any{"accounts": []string{"1"}})
			return
		}
		f.json(w, 401, map[string]any{"error": "invalid_token", "error_description": "bound by DPoP"})
	default:
		f.t.Errorf("unexpected request %s %s", r.Method, r.URL)
	}
}

// checkProofs verifies what the client sent, as a server would.
func (f *fakeServer) checkProofs(r *http.Request) {
	assertion, err := jose.Parse(r.PostForm.Get("client_assertion"), jose.ParseOptions{Algorithms: []string{jose.ES256}})
	if err == nil {
		err = assertion.Verify(f.client.ClientKey.Key().Public)
	}
	if err != nil || r.PostForm.Get("client_assertion_type") != assertionType {
		f.t.Errorf("client assertion: %v", err)
	}
	proof, err := jose.Parse(r.Header.Get("DPoP"), jose.ParseOptions{Algorithms: []string{jose.ES256}, AllowJWK: true})
	if err == nil {
		_, err = proof.VerifyEmbedded()
	}
	if err != nil {
		f.t.Errorf("DPoP proof: %v", err)
	}
}

func (f *fakeServer) interact(w http.ResponseWriter, r *http.Request) {
	if _, err := r.Cookie("browser"); err != nil {
		f.t.Error("the browser lost its cookie")
	}
	const page = `<!DOCTYPE html><form method="post"><input type="hidden" name="form_token" value="t&amp;1">%s</form>`
	if r.Method == http.MethodPost && r.PostForm.Get("form_token") != "t&1" {
		f.t.Errorf("form_token %q", r.PostForm.Get("form_token"))
	}
	switch r.PostForm.Get("action") {
	case "sign-in":
		if f.refusesPassword || r.PostForm.Get("password") != "secret" {
			fmt.Fprintf(w, page, `<input name="username" value="alice"><input name="password" type="password"><button id="sign-in" name="action" value="sign-in">`)
			return
		}
		fmt.Fprintf(w, page, `<button id="deny" name="action" value="deny">No</button><button id="allow" name="action" value="allow">Yes</button>`)
	case "allow":
		answer := url.Values{"code": {random()}, "state": {f.pushed.Get("state")}, "iss": {f.issuer}}
		if f.wrongState {
			answer.Set("state", "other")
		}
		if f.wrongIss {
			answer.Set("iss", "https://elsewhere.example")
		}
		if f.deniesConsent {
			answer.Del("code")
			answer.Set("error", "access_denied")
			answer.Set("error_description", "the person refused")
		}
		w.Header().Set("Location", f.pushed.Get("redirect_uri")+"?"+answer.Encode())
		w.WriteHeader(http.StatusSeeOther)
	default:
		fmt.Fprintf(w, page, `<input name="username" value=""><input name="password" type="password"><button id="sign-in" name="action" value="sign-in">`)
	}
}

func (f *fakeServer) token(w http.ResponseWriter, r *http.Request) {
	access := map[string]any{"iss": f.issuer, "sub": "1", "exp": time.Now().Add(time.Minute).Unix()}
	if !f.noConfirmation {
		access["cnf"] = map[string]any{"jkt": f.client.ProofKey.Key().Thumbprint()}
	}
	answer := map[string]any{"access_token": f.sign("at+jwt", access), "token_type": "DPoP", "expires_in": 60, "scope": "openid accounts"}
	if r.PostForm.Get("grant_type") == "authorization_code" {
		if digest(r.PostForm.Get("code_verifier")) != f.pushed.Get("code_challenge") {
			f.t.Error("the verifier does not fit the challenge")
		}
		nonce := f.pushed.Get("nonce")
		if f.wrongNonce {
			nonce = "other"
		}
		answer["refresh_token"] = random()
		answer["id_token"] = f.sign("JWT", map[string]any{"iss": f.issuer, "aud": f.client.ClientID, "sub": "1", "nonce": nonce, "exp": time.Now().Add(time.Minute).Unix()})
	}
	f.json(w, 200, answer)
}

func newRun(t *testing.T, change func(*fakeServer)) (Config, *bytes.Buffer) {
	t.Helper()
	var keys []jose.PrivateKey
	for range 3 {
		key, err := jose.NewPrivateKey(jose.ES256)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key)
	}
	var out bytes.Buffer
	f := &fakeServer{t: t, key: keys[0]}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	f.issuer = server.URL
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	config := Config{
		Issuer: server.URL, Roots: roots, ClientID: "demo", RedirectURI: "https://localhost:8445/callback", Scope: "openid accounts",
		ClientKey: keys[1], ProofKey: keys[2], Auto: true, Username: "alice", Password: "secret", Out: &out,
	}
	f.client = config
	if change != nil {
		change(f)
	}
	return config, &out
}

func TestRun(t *testing.T) {
	tests := map[string]struct {
		change func(*fakeServer)
		want   string // part of the error, or ""
	}{
		"as it should be":              {nil, ""},
		"another issuer":               {func(f *fakeServer) { f.wrongIssuer = true }, "the issuer must be"},
		"the push is refused":          {func(f *fakeServer) { f.refusesPush = true }, "400 invalid_scope: no such scope (correlation id c-17)"},
		"an error page":                {func(f *fakeServer) { f.errorPage = true }, "error page (status 400)"},
		"the password is refused":      {func(f *fakeServer) { f.refusesPassword = true }, "refused the user name"},
		"the person refuses":           {func(f *fakeServer) { f.deniesConsent = true }, "access_denied"},
		"another state":                {func(f *fakeServer) { f.wrongState = true }, "state is not"},
		"another iss":                  {func(f *fakeServer) { f.wrongIss = true }, "RFC 9207"},
		"another nonce":                {func(f *fakeServer) { f.wrongNonce = true }, "nonce is not"},
		"an ID token of somebody else": {func(f *fakeServer) { f.foreignIDToken = true }, "the ID token"},
		"a token bound to nothing":     {func(f *fakeServer) { f.noConfirmation = true }, "cnf.jkt"},
		"a stolen token is accepted":   {func(f *fakeServer) { f.takesBearer = true }, "refused with 401"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			config, out := newRun(t, test.change)
			err := Run(t.Context(), config)
			switch {
			case test.want == "" && err != nil:
				t.Errorf("%v\n%s", err, out)
			case test.want == "" && !strings.Contains(out.String(), "Done: 7 steps"):
				t.Errorf("it did not say that it is done:\n%s", out)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
				t.Errorf("error %v, want %q", err, test.want)
			}
		})
	}
}

// changing is what differs from run to run.
var changing = regexp.MustCompile(`127\.0\.0\.1:\d+|\d{10}|[A-Za-z0-9_-]{12}…\(\d+ bytes\)|in \d+\.\d s`)

// TestTranscript shows what a person sees, and that nothing secret is in it.
func TestTranscript(t *testing.T) {
	config, out := newRun(t, nil)
	if err := Run(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	for line := range strings.Lines(text) {
		if len([]rune(line)) > 100 {
			t.Errorf("a line of %d characters: %s", len(line), line)
		}
	}
	if long := regexp.MustCompile(`[A-Za-z0-9_-]{43}`).FindString(text); long != "" {
		t.Errorf("a whole secret is shown: %s", long)
	}
	if strings.Contains(text, "\x1b") || strings.Contains(text, "secret\n") {
		t.Error("colours or the password are shown")
	}
	got := changing.ReplaceAllString(text, "(varies)")
	file := filepath.Join("testdata", "transcript.txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) != got {
		t.Errorf("the transcript differs; if that is right, run with -update; now:\n%s", got)
	}
}

// TestPerson waits for a real browser at the redirect URI, played here; then nobody comes.
func TestPerson(t *testing.T) {
	var server *fakeServer
	config, out := newRun(t, func(f *fakeServer) { server = f })
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config.Auto = false
	config.RedirectURI = fmt.Sprintf("https://localhost:%d/callback", free.Addr().(*net.TCPAddr).Port)
	free.Close()
	listener := httptest.NewTLSServer(nil) // for its certificate
	config.Callback = listener.TLS.Certificates[0]
	browser := listener.Client()
	browser.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
	listener.Close()
	page := make(chan string, 1)
	config.Open = func(address string) error {
		if !strings.Contains(address, "/authorize?client_id=demo&request_uri=urn") {
			t.Errorf("opened %q", address)
		}
		go func() {
			answer := url.Values{"code": {random()}, "state": {server.pushed.Get("state")}, "iss": {server.issuer}}
			response, err := browser.Get(config.RedirectURI + "?" + answer.Encode())
			if err != nil {
				t.Error(err)
				close(page)
				return
			}
			defer response.Body.Close()
			text, err := io.ReadAll(response.Body)
			if err != nil {
				t.Error(err)
			}
			page <- string(text)
		}()
		return nil
	}
	if err := Run(t.Context(), config); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if text := <-page; !strings.Contains(text, "Go back to the terminal") {
		t.Errorf("the person saw %q", text)
	}
	config.Open = nil
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := Run(ctx, config); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("nobody came: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("e30.e30.x")
	f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`)) + "..")
	f.Fuzz(func(t *testing.T, token string) {
		if header, claims, err := decode(token); err == nil && (header == nil && claims == nil) && !strings.Contains(token, "bnVsbA") {
			t.Errorf("%q was read as nothing", token)
		}
	})
}
