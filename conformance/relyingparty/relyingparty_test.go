package relyingparty

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"countersign/conformance/keys"
	"countersign/conformance/results"
	"countersign/conformance/suite"
	"countersign/rp/client"
)

// TestPlans: as many as the suite makes and a client can pass.
//
// Covers: RC-01.
func TestPlans(t *testing.T) {
	for selector, want := range map[string]int{
		"accepts fapi2-sp/*": 40, "accepts fapi2-sp/client_credentials*": 16, "accepts fapi2-sp/openbanking_uk*": 4, "accepts fapi2-sp/consumerdataright_au*": 4,
		"accepts fapi2-ms/*": 84, "accepts fapi2-ms/private_key_jwt*": 32, "accepts fapi2-ms/mtls*": 32, "accepts fapi2-ms/openbanking_uk*": 8,
		"accepts fapi2-ms/consumerdataright_au*": 8, "accepts fapi2-ms/cbuae*": 2, "accepts fapi2-ms/connectid_au*": 2,
		"accepts fapi1-adv/*": 16, "accepts fapi1-adv/openbanking_uk*": 2, "accepts fapi-ciba/*": 8, "accepts oidc-basic/*": 2, "accepts oidc-formpost/*": 2,
		"accepts oidc-config/*": 2, "accepts oidc-rp-logout/*": 2, "accepts oidc-backchannel-logout/*": 2, "accepts fapi2-sp/mtls+*,fapi2-sp/mtls+mtls+*": 8,
	} {
		t.Run(selector, func(t *testing.T) {
			plans, err := selectPlans(strings.TrimPrefix(selector, "accepts "))
			if err != nil || len(plans) != want {
				t.Errorf("%d plans, %v; want %d", len(plans), err, want)
			}
		})
	}
	for _, selector := range []string{"nothing", "[", "fapi2-sp/*,nothing", "fapi2-sp/openbanking_uk+*+dpop+*", "fapi1-adv/*+plain+plain_oauth"} {
		t.Run("refuses "+selector, func(t *testing.T) {
			if plans, err := selectPlans(selector); err == nil {
				t.Errorf("%d plans", len(plans))
			}
		})
	}
}

// TestConfigure: the suite is told of a client what a provider is told, and no private key of it.
//
// Covers: RC-02.
func TestConfigure(t *testing.T) {
	tests := map[string]struct{ has, hasNot []string }{
		"fapi2-sp/private_key_jwt+dpop+openid_connect": {
			[]string{`"scope":"openid accounts"`, `"waitTimeoutSeconds":3`, `"kid":"alias-key"`, `"redirect_uri":"https://localhost:1/auth/callback"`},
			[]string{"certificate", "client_secret", "client2", "resource"},
		},
		"fapi2-sp/mtls+mtls+plain_oauth+rar": {
			[]string{`"scope":"accounts"`, "BEGIN CERTIFICATE", `"authorization_details_types_supported":["account_information"]`}, []string{"PRIVATE KEY", "openid"},
		},
		"fapi1-adv/private_key_jwt+pushed+plain+openid_connect": {
			[]string{`"client2"`, `"id_token_encrypted_response_alg":"RSA-OAEP-256"`, `"kid":"alias-2-enc"`, "BEGIN CERTIFICATE"}, []string{"PRIVATE KEY"},
		},
		"fapi-ciba/mtls+ping": {[]string{`"backchannel_client_notification_endpoint":"https://localhost:1/auth/ciba-ping"`}, []string{"client2"}},
		"fapi-ciba/mtls+poll": {[]string{`"scope":"openid accounts"`}, []string{"notification"}},
		"oidc-basic/static+plain": {
			[]string{`"client_secret":"`, `"scope":"openid profile email address phone"`}, []string{"certificate", "request_type"},
		},
		"oidc-basic/static+request_object": {[]string{`"request_object_signing_alg":"ES256"`, `"request_type":"request_object"`}, nil},
		"oidc-backchannel-logout/private_key_jwt+default+static+plain": {
			[]string{`"backchannel_logout_uri":"https://localhost:1/auth/backchannel-logout"`, `"post_logout_redirect_uri"`}, []string{"client_secret"},
		},
	}
	for name, test := range tests {
		t.Run("accepts "+name, func(t *testing.T) {
			selected, err := selectPlans(name)
			if err != nil {
				t.Fatal(err)
			}
			clients, err := identities(rand.Reader, selected[0], "alias", "ES256", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			server, err := keys.NewPS256(rand.Reader, "server")
			if err != nil {
				t.Fatal(err)
			}
			told := selected[0].configure("alias", 3*time.Second, server, clients, clientAddresses(selected[0], "https://localhost:1"))
			encoded, err := json.Marshal(told)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range test.has {
				if !strings.Contains(string(encoded), part) {
					t.Errorf("%s is missing in %s", part, encoded)
				}
			}
			for _, part := range test.hasNot {
				if strings.Contains(string(encoded), part) {
					t.Errorf("%s is in %s", part, encoded)
				}
			}
			for _, shown := range []*clientConfiguration{&told.Client, told.Client2} {
				if shown == nil || shown.JWKS == nil {
					continue
				}
				for _, key := range shown.JWKS.Keys {
					if key["d"] != "" || key["kid"] == "" {
						t.Errorf("the client's key: %v", key)
					}
				}
			}
		})
	}
}

// TestAnswer: what the suite sends back to the redirect URI is read from the query, the fragment or a form, and from nowhere else.
//
// Covers: RC-03.
func TestAnswer(t *testing.T) {
	const redirectURI = "https://client.example/callback"
	tests := map[string]struct {
		status         int
		location, page string
		want           string
	}{
		"accepts a query":               {302, redirectURI + "?code=a%20b&state=s", "", "code=a+b&state=s"},
		"accepts 303":                   {303, redirectURI + "?code=c", "", "code=c"},
		"accepts a fragment":            {302, redirectURI + "#code=a%20b&id_token=t", "", "code=a+b&id_token=t"},
		"accepts a form":                {200, "", `<form action="` + redirectURI + `"><input type="hidden" name="code" value="a&amp;b"><input type="submit" value="x"></form>`, "code=a%26b"},
		"refuses another address":       {302, "https://other.example/callback?code=c", "", ""},
		"refuses a form for another":    {200, "", `<form action="https://other.example/"><input type="hidden" name="code" value="c"></form>`, ""},
		"refuses a page without a form": {200, "", "<p>error</p>", ""},
		"refuses an error page":         {400, "", "broken", ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if test.location != "" {
					w.Header().Set("Location", test.location)
				}
				w.WriteHeader(test.status)
				_, _ = io.WriteString(w, test.page)
			}))
			defer server.Close()
			values, err := newBrowser(server.Client().Transport).answer(t.Context(), server.URL, redirectURI)
			if got := values.Encode(); got != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v; want %q", got, err, test.want)
			}
		})
	}
}

// TestVerdict: a client that takes what it had to refuse has not passed, whatever the suite saw, nor has one that failed on the way.
//
// Covers: RC-04.
func TestVerdict(t *testing.T) {
	check := &client.CheckError{What: "ID token", Check: "iss", Reason: "it is another"}
	sub := &client.CheckError{What: "UserInfo", Check: "sub", Reason: "it is another"}
	denied := &client.ProviderError{Endpoint: "token_endpoint", Status: 400, Code: "access_denied"}
	tests := map[string]struct {
		module string
		ended  error
		was    string
		want   string
		note   string
	}{
		"accepts the end of what is right":   {"fapi2-security-profile-final-client-test-happy-path", nil, results.Passed, results.Passed, ""},
		"accepts a refusal of what is wrong": {"fapi2-security-profile-final-client-test-invalid-iss", check, results.Passed, results.Passed, "refused"},
		"accepts a refusal, wrapped":         {"oidcc-client-test-userinfo-invalid-sub", fmt.Errorf("x: %w", sub), results.Passed, results.Passed, "refused"},
		"accepts an error of the provider":   {"fapi-ciba-id1-client-invalid-access-denied-test", denied, results.Passed, results.Passed, "refused"},
		"accepts what an application refuses": {
			"fapi2-security-profile-final-client-test-invalid-openbanking-intent-id", &applicationError{"openbanking_intent_id", "a", "b"}, results.Passed, results.Passed, "refused",
		},
		"refuses a refusal for another reason": {"fapi2-security-profile-final-client-test-invalid-nonce", check, results.Passed, results.Failed, `for "iss", and not for "nonce"`},
		"refuses that nothing was decided": {
			"fapi-ciba-id1-client-invalid-access-denied-test", errors.Join(client.ErrPending, denied), results.Passed, results.Failed, "failed",
		},
		"accepts either":                        {"oidcc-client-test-kid-absent-multiple-jwks", check, results.Passed, results.Passed, "refused"},
		"accepts either, to the end":            {"oidcc-client-test-kid-absent-multiple-jwks", nil, results.Passed, results.Passed, ""},
		"refuses a client that takes it":        {"oidcc-client-test-userinfo-invalid-sub", nil, results.Passed, results.Failed, "took"},
		"refuses a refusal of what is right":    {"oidcc-client-test", check, results.Passed, results.Failed, "what is right"},
		"refuses a failure in the network":      {"fapi1-advanced-final-client-test-invalid-shash", errors.New("reset"), results.Passed, results.Failed, "failed: reset"},
		"refuses what the suite failed":         {"fapi-ciba-id1-client-test", nil, results.Failed, results.Failed, ""},
		"refuses an interruption as what it is": {"fapi-ciba-id1-client-test", errors.New("reset"), results.Interrupted, results.Interrupted, "reset"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			o := results.Outcome{Result: test.was}
			verdict(test.module, test.ended, &o)
			if o.Result != test.want || !strings.Contains(o.Note, test.note) || (o.Note == "") != (test.note == "") {
				t.Errorf("%s, %q; want %s, %q", o.Result, o.Note, test.want, test.note)
			}
		})
	}
}

// fakeSuite speaks the part of the suite's API that is used: a module is configured, waits for a client, and ends when one was there.
type fakeSuite struct {
	mu      sync.Mutex
	modules []string
	planErr int
	// status and result are how a module ends; hangs leaves it waiting.
	status, result string
	hangs, refuses bool
	log            string
	asked          map[string]int
	served         map[string]bool
	stopped        map[string]bool
	configuration  []byte
}

func (f *fakeSuite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	part := strings.Split(strings.TrimPrefix(r.URL.Path, "/api/"), "/")
	answer := func(status int, format string, arguments ...any) {
		w.WriteHeader(status)
		fmt.Fprintf(w, format, arguments...)
	}
	switch {
	case r.Method == "GET" && part[0] == "plan":
		answer(200, "{}")
	case r.Method == "POST" && part[0] == "plan":
		f.configuration, _ = io.ReadAll(r.Body)
		if f.planErr != 0 {
			answer(f.planErr, `{"error":"Internal Server Error","message":"no such combination"}`)
			return
		}
		var modules []string
		for _, name := range f.modules {
			modules = append(modules, fmt.Sprintf(`{"testModule":%q}`, name))
		}
		answer(201, `{"id":"plan","modules":[%s]}`, strings.Join(modules, ","))
	case r.Method == "POST" && part[0] == "runner" && f.refuses:
		answer(400, "no")
	case r.Method == "POST" && part[0] == "runner":
		answer(201, `{"id":%q}`, r.URL.Query().Get("test"))
	case r.Method == "GET" && part[0] == "runner":
		answer(200, `{"exposed":{"issuer":"https://suite.example/test/a/alias/","more":1}}`)
	case r.Method == "DELETE" && part[0] == "runner":
		f.stopped[part[1]] = true
		answer(200, "{}")
	case part[0] == "info":
		f.asked[part[1]]++
		switch {
		case f.asked[part[1]] == 1:
			answer(200, `{"status":"CONFIGURED"}`)
		case !f.served[part[1]] || f.hangs:
			answer(200, `{"status":"WAITING"}`)
		default:
			answer(200, `{"status":%q,"result":%q}`, cmp.Or(f.status, "FINISHED"), f.result)
		}
	case part[0] == "log":
		answer(200, "%s", cmp.Or(f.log, "[]"))
	default:
		answer(404, "%s %s", r.Method, r.URL)
	}
}

// run runs a plan of the fake suite with a client that ends as told.
func (f *fakeSuite) run(t *testing.T, ended error) ([]results.Outcome, string) {
	t.Helper()
	f.asked, f.served, f.stopped = map[string]int{}, map[string]bool{}, map[string]bool{}
	server := httptest.NewTLSServer(f)
	t.Cleanup(server.Close)
	connected, err := suite.Connect(t.Context(), suite.Options{URL: server.URL, CA: authority(t, server), AnswerTime: 10 * time.Second, Pause: time.Millisecond}, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	plans, err := selectPlans("fapi2-sp/private_key_jwt+dpop+plain_oauth")
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	r := &runner{
		suite: connected, unique: "u", out: t.TempDir(), modules: "*", moduleTime: 300 * time.Millisecond, poll: time.Millisecond,
		wait: time.Second, grace: 50 * time.Millisecond, random: rand.Reader, now: time.Now,
		progress: func(format string, arguments ...any) { fmt.Fprintf(&said, format+"\n", arguments...) },
		drive: func(_ context.Context, j job) error {
			if j.exposed["issuer"] != "https://suite.example/test/a/alias/" {
				t.Errorf("exposed: %v", j.exposed)
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			f.served[j.module] = true
			return ended
		},
	}
	return r.runAll(t.Context(), plans, 1), said.String()
}

func authority(t *testing.T, server *httptest.Server) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "suite.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestRun: a module is run once it waits, and its end is what counts.
//
// Covers: RC-05.
func TestRun(t *testing.T) {
	const happy, wrong = "client-test-happy-path", "client-test-invalid-iss"
	check := &client.CheckError{What: "ID token", Check: "iss", Reason: "it is another"}
	tests := map[string]struct {
		suite *fakeSuite
		ended error
		want  string
		says  string
	}{
		"accepts what passed":         {&fakeSuite{modules: []string{happy}, result: "PASSED"}, nil, results.Passed, "PASSED"},
		"accepts what was refused":    {&fakeSuite{modules: []string{wrong}, result: "PASSED"}, check, results.Passed, "the client refused"},
		"refuses what the suite did":  {&fakeSuite{modules: []string{happy}, result: "FAILED", log: `[{"src":"CheckIt","result":"FAILURE","msg":"wrong"}]`}, nil, results.Failed, "FAILURE CheckIt: wrong"},
		"refuses a suite that breaks": {&fakeSuite{modules: []string{happy}, status: "INTERRUPTED", result: "FAILED"}, nil, results.Interrupted, "INTERRUPTED"},
		"refuses a client that takes": {&fakeSuite{modules: []string{wrong}, result: "PASSED"}, nil, results.Failed, "took what it had to refuse"},
		"refuses a client that fails": {&fakeSuite{modules: []string{happy}, hangs: true}, errors.New("reset"), results.Interrupted, "the client failed: reset"},
		"refuses one that hangs":      {&fakeSuite{modules: []string{happy}, hangs: true}, nil, results.Interrupted, "it was not done after"},
		"refuses one that starts not": {&fakeSuite{modules: []string{happy}, refuses: true}, nil, results.Interrupted, "it did not start"},
		"refuses a combination":       {&fakeSuite{planErr: 500}, nil, results.Interrupted, "no such combination"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			outcomes, said := test.suite.run(t, test.ended)
			if len(outcomes) != 1 || outcomes[0].Result != test.want || !strings.Contains(said, test.says) {
				t.Errorf("%+v; said: %s", outcomes, said)
			}
			if test.suite.hangs && !test.suite.stopped[happy] {
				t.Error("the module was not stopped")
			}
		})
	}
}

// TestCommand: what is wrong with the flags is said before anything is done, and the list names what is not run.
//
// Covers: RC-06.
func TestCommand(t *testing.T) {
	command := func(t *testing.T, arguments ...string) (int, string) {
		t.Helper()
		var said bytes.Buffer
		code := Run(t.Context(), append(slices.Clone(arguments), "-expected", "expected.json", "-out", t.TempDir(), "-pause", "1ms"), &said, &said, time.Now)
		return code, said.String()
	}
	t.Run("accepts -list", func(t *testing.T) {
		code, said := command(t, "-list")
		for _, part := range []string{"fapi2-sp/private_key_jwt+dpop+openid_connect\n", "Not run:", "session management: "} {
			if code != 0 || !strings.Contains(said, part) {
				t.Errorf("%d: %q is missing in %s", code, part, said)
			}
		}
	})
	for name, test := range map[string]struct {
		arguments []string
		says      string
	}{
		"refuses no suite":              {nil, "say which suite"},
		"refuses a suite over http":     {[]string{"-suite", "http://127.0.0.1:1"}, "not an https address"},
		"refuses a suite that is away":  {[]string{"-suite", "https://127.0.0.1:1"}, "refused"},
		"refuses an unknown plan":       {[]string{"-suite", "https://127.0.0.1:1", "-plans", "x"}, "nothing matches"},
		"refuses a bad pattern":         {[]string{"-suite", "https://127.0.0.1:1", "-modules", "["}, "not a pattern"},
		"refuses no jobs":               {[]string{"-suite", "https://127.0.0.1:1", "-jobs", "0"}, "at least 1"},
		"refuses a wait below a second": {[]string{"-suite", "https://127.0.0.1:1", "-wait", "10ms"}, "at least a second"},
		"refuses two ways of trust":     {[]string{"-suite", "https://127.0.0.1:1", "-suite-ca", "x", "-suite-self-signed-fingerprint", "y"}, "exclude each other"},
		"refuses words":                 {[]string{"-suite", "https://127.0.0.1:1", "x"}, "not a flag"},
	} {
		t.Run(name, func(t *testing.T) {
			if code, said := command(t, test.arguments...); code != 2 || !strings.Contains(said, test.says) {
				t.Errorf("%d, %s", code, said)
			}
		})
	}
}

// TestExpected: the list of what is expected can be read, and excuses nothing that a client did.
//
// Covers: RC-04.
func TestExpected(t *testing.T) {
	list, err := results.ReadExpectations("expected.json")
	if err != nil {
		t.Fatal(err)
	}
	outcome := func(plan, module, result string, conditions ...results.Condition) []results.Outcome {
		return []results.Outcome{{Plan: plan, Module: module, Result: result, Conditions: conditions}}
	}
	const ping = "fapi-ciba-id1-client-ping-with-invalid-bearer-token-test"
	broken := results.Condition{Result: "FAILURE", Name: ping, Message: "setStatus() called but status is the same: WAITING -> WAITING"}
	t.Run("accepts where the suite breaks", func(t *testing.T) {
		if problems := results.Judge(outcome("fapi-ciba/mtls+ping", ping, results.Interrupted, broken), list, true); len(problems) != 0 {
			t.Error(problems)
		}
	})
	t.Run("accepts a refusal that the suite skips", func(t *testing.T) {
		if problems := results.Judge(outcome("oidc-basic/static+plain", "oidcc-client-test-idtoken-sig-none", results.Skipped), list, true); len(problems) != 0 {
			t.Error(problems)
		}
	})
	t.Run("accepts where the suite does not break", func(t *testing.T) {
		if problems := results.Judge(outcome("fapi-ciba/mtls+ping", ping, results.Passed), list, true); len(problems) != 0 {
			t.Error(problems)
		}
	})
	t.Run("refuses an expectation that has become wrong", func(t *testing.T) {
		if problems := results.Judge(outcome("oidc-basic/static+plain", "oidcc-client-test-idtoken-sig-none", results.Passed), list, true); len(problems) != 1 {
			t.Error(problems)
		}
	})
	for name, o := range map[string][]results.Outcome{
		"refuses what a client failed":        outcome("fapi-ciba/mtls+ping", ping, results.Failed, broken),
		"refuses another break":               outcome("fapi-ciba/mtls+ping", ping, results.Interrupted, results.Condition{Result: "FAILURE", Name: "VerifyIt", Message: "wrong"}),
		"refuses the break of another module": outcome("fapi-ciba/mtls+ping", "fapi-ciba-id1-client-test", results.Interrupted, broken),
		"refuses another module skipped":      outcome("oidc-basic/static+plain", "oidcc-client-test", results.Skipped),
	} {
		t.Run(name, func(t *testing.T) {
			if problems := results.Judge(o, list, false); len(problems) != 1 {
				t.Error(problems)
			}
		})
	}
}

// TestDocumented: the page says of each plan that is not run why, in the words of the list.
//
// Covers: RC-01.
func TestDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/conformance-suite.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range notRun() {
		t.Run("accepts "+r.plans, func(t *testing.T) {
			if line := "| " + r.plans + " | " + r.why + " |\n"; !strings.Contains(string(page), line) {
				t.Errorf("missing: %s", line)
			}
		})
	}
}
