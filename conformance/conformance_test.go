package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"encoding/xml"
	"flag"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the golden files again")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
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
		t.Errorf("%s differs; if that is right, run with -update; now:\n%s", name, got)
	}
}

// fakeModule is what the fake suite does with a module.
type fakeModule struct {
	result, status string
	log            string // JSON
	wantsPicture   bool
	browsing       int  // how often its browser still waits for its turn when asked
	back           bool // whether the browser came back to the suite, which has yet to look at it
	hangs          bool
	refuses        int // status of the start
	flaky          int // how many requests for its state fail first
}

// fakeSuite speaks the part of the suite's API that is used.
type fakeSuite struct {
	mu      sync.Mutex
	order   []string
	modules map[string]fakeModule
	planErr int
	planSay string
	config  []byte
	photos  map[string]bool
	stopped map[string]bool
	asked   map[string]int
	waited  map[string]int
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
		f.config, _ = io.ReadAll(r.Body)
		if f.planErr != 0 {
			answer(f.planErr, "%s", cmp.Or(f.planSay, "Internal Server Error"))
			return
		}
		var modules []string
		for _, name := range f.order {
			modules = append(modules, fmt.Sprintf(`{"testModule":%q,"variant":{"a":"b"}}`, name))
		}
		answer(201, `{"id":"plan","modules":[%s]}`, strings.Join(modules, ","))
	case r.Method == "POST" && part[0] == "runner":
		name := r.URL.Query().Get("test")
		if status := f.modules[name].refuses; status != 0 {
			answer(status, "no")
			return
		}
		answer(201, `{"id":%q}`, name)
	case r.Method == "GET" && part[0] == "runner":
		if f.waited[part[1]]++; f.waited[part[1]] <= f.modules[part[1]].browsing {
			answer(200, `{"browser":{"runners":[],"urls":["https://server.example/authorize"]}}`)
			return
		}
		answer(200, `{"browser":{"runners":[]}}`)
	case r.Method == "DELETE" && part[0] == "runner":
		f.stopped[part[1]] = true
		answer(200, "{}")
	case part[0] == "info":
		m := f.modules[part[1]]
		f.asked[part[1]]++
		switch {
		case f.asked[part[1]] <= m.flaky:
			answer(502, "bad gateway")
		case m.hangs:
			answer(200, `{"status":"RUNNING"}`)
		case m.wantsPicture && !f.photos[part[1]] && !(m.back && f.asked[part[1]] > 30) && !(m.browsing > 30 && f.asked[part[1]] > 30):
			answer(200, `{"status":"WAITING"}`)
		default:
			answer(200, `{"status":%q,"result":%q}`, m.status, m.result)
		}
	case part[0] == "log" && len(part) == 2:
		m := f.modules[part[1]]
		switch {
		case m.back:
			answer(200, `[{"src":"ShowError","upload":"picture-1"},{"http":"incoming","incoming_path":"/test/a/alias/callback"}]`)
		case m.wantsPicture && !f.photos[part[1]]:
			answer(200, `[{"http":"incoming","incoming_path":"/test/a/alias/callback"},{"src":"ShowError","upload":"picture-1","msg":"take a picture"}]`)
		case m.log != "":
			answer(200, "%s", m.log)
		default:
			answer(200, "[]")
		}
	case part[0] == "log" && part[2] == "images" && part[3] == "picture-1":
		f.photos[part[1]] = true
		answer(200, "{}")
	default:
		answer(404, "%s %s", r.Method, r.URL)
	}
}

// bench is everything that a run needs.
type bench struct {
	suite     *fakeSuite
	arguments []string
	out       string
}

func newBench(t *testing.T, modules map[string]fakeModule, order ...string) *bench {
	t.Helper()
	b := &bench{out: t.TempDir(), suite: &fakeSuite{
		order: order, modules: modules, photos: map[string]bool{}, stopped: map[string]bool{}, asked: map[string]int{}, waited: map[string]int{},
	}}
	suite := httptest.NewTLSServer(b.suite)
	t.Cleanup(suite.Close)
	var tested *httptest.Server
	tested = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"token_endpoint":"%[1]s/token","mtls_endpoint_aliases":{"token_endpoint":"https://localhost:8444/token"}}`, tested.URL)
	}))
	t.Cleanup(tested.Close)
	folder := t.TempDir()
	write := func(name, content string) string {
		file := filepath.Join(folder, name)
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	certificate := func(server *httptest.Server) string {
		return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	}
	caPEM, caKeyPEM := newCA(t)
	b.arguments = []string{
		"-suite", suite.URL, "-suite-ca", write("suite.crt", certificate(suite)), "-server", tested.URL, "-ca", write("ca.crt", certificate(tested)),
		"-password-file", write("password", "secret\n"), "-client-ca-cert", write("client-ca.crt", caPEM), "-client-ca-key", write("client-ca.key", caKeyPEM),
		"-register", "true {id} {file}", "-out", b.out, "-expected", write("expected.json", "[]"), "-poll", "1ms", "-pause", "1ms", "-plans", "fapi2-sp/private_key_jwt+dpop+plain_oauth",
	}
	return b
}

func newCA(t *testing.T) (certificatePEM, keyPEM string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Clients"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

// run runs the command with some more arguments and returns its exit code and what it said.
func (b *bench) run(t *testing.T, more ...string) (int, string) {
	t.Helper()
	var said bytes.Buffer
	code := run(t.Context(), append(append([]string{}, b.arguments...), more...), &said, &said)
	return code, said.String()
}

func expectations(t *testing.T, content string) []string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "expected.json")
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"-expected", file}
}

const (
	refusalLog    = `[{"http":"response","response_status_code":"400 BAD_REQUEST","response_body":"{\"error\":\"invalid_request\"}"},{"src":"CheckIt","result":"FAILURE","msg":"wrong"}]`
	acceptanceLog = `[{"http":"response","response_status_code":"400 BAD_REQUEST","response_body":"x"},{"http":"response","response_status_code":"200 OK","response_body":"{\"access_token\":\"secret\"}"},{"src":"CheckIt","result":"FAILURE","msg":"wrong"}]`
)

const brokenLog = `[{"src":"CheckIt","result":"FAILURE","msg":"something: no client"}]`

const warningLog = `[{"src":"CheckSomething","result":"WARNING","msg":"unusual"},{"src":"Other","result":"SUCCESS","msg":"fine"}]`

func TestRun(t *testing.T) {
	good := fakeModule{status: "FINISHED", result: "PASSED"}
	warns := fakeModule{status: "FINISHED", result: "WARNING", log: warningLog}
	tests := map[string]struct {
		module   fakeModule
		expected string
		more     []string
		code     int
		says     string
	}{
		"passed":                        {good, "[]", nil, 0, "2 modules: 2 passed"},
		"passed after bad gateways":     {fakeModule{status: "FINISHED", result: "PASSED", flaky: 2}, "[]", nil, 0, "2 passed"},
		"failed":                        {fakeModule{status: "FINISHED", result: "FAILED", log: `[{"src":"CheckIt","result":"FAILURE","msg":"wrong"}]`}, "[]", nil, 1, "FAILURE CheckIt: wrong"},
		"failed after a refusal":        {fakeModule{status: "FINISHED", result: "FAILED", log: refusalLog}, "[]", nil, 1, `FAILURE CheckIt: wrong (the server's last answer: 400 {"error":"invalid_request"})`},
		"failed after an acceptance":    {fakeModule{status: "FINISHED", result: "FAILED", log: acceptanceLog}, "[]", nil, 1, "FAILURE CheckIt: wrong\n"},
		"a failure cannot be excused":   {good, `[{"plan":"*","module":"m1","result":"FAILED","reason":"x"}]`, nil, 2, "cannot be expected"},
		"an excuse needs a reason":      {good, `[{"plan":"*","module":"m1","result":"WARNING"}]`, nil, 2, "no reason"},
		"interrupted":                   {fakeModule{status: "INTERRUPTED", result: "FAILED"}, "[]", nil, 1, "1 interrupted"},
		"does not start":                {fakeModule{refuses: 400}, "[]", nil, 1, "it did not start"},
		"hangs":                         {fakeModule{hangs: true}, "[]", []string{"-module-time", "30ms"}, 1, "it was not done after 30ms"},
		"a new warning":                 {warns, "[]", nil, 1, "WARNING: fapi2-sp/private_key_jwt+dpop+plain_oauth m1"},
		"a known warning":               {warns, `[{"plan":"fapi2-sp*","module":"m1","result":"WARNING","condition":"CheckSomething","reason":"known"}]`, nil, 0, "1 warning"},
		"another warning than known":    {warns, `[{"plan":"*","module":"m1","result":"WARNING","condition":"CheckOther","reason":"known"}]`, nil, 1, "WARNING: "},
		"an excuse that is no longer":   {good, `[{"plan":"*","module":"m1","result":"WARNING","condition":"CheckSomething","reason":"known"}]`, nil, 1, "did not happen"},
		"an excuse, module not run":     {good, `[{"plan":"*","module":"m1","result":"WARNING","condition":"CheckSomething","reason":"known"}]`, []string{"-modules", "m2"}, 0, "1 modules: 1 passed"},
		"skipped":                       {fakeModule{status: "FINISHED", result: "SKIPPED"}, "[]", nil, 1, "SKIPPED: "},
		"skipped as expected":           {fakeModule{status: "FINISHED", result: "SKIPPED"}, `[{"plan":"*","module":"m*","result":"SKIPPED","reason":"not offered"}]`, nil, 0, "1 skipped"},
		"wants a picture":               {fakeModule{status: "FINISHED", result: "REVIEW", wantsPicture: true}, `[{"plan":"*","module":"m1","result":"REVIEW","reason":"a page"}]`, nil, 0, "1 review"},
		"its browser waits for long":    {fakeModule{status: "FINISHED", result: "PASSED", wantsPicture: true, browsing: 40}, "[]", nil, 0, "2 passed"},
		"its browser came back":         {fakeModule{status: "FINISHED", result: "PASSED", wantsPicture: true, back: true}, "[]", nil, 0, "2 passed"},
		"the suite breaks":              {fakeModule{status: "INTERRUPTED", result: "FAILED", log: brokenLog}, `[{"plan":"*","module":"m1","result":"INTERRUPTED","condition":"CheckIt","says":"no client","reason":"x"}]`, nil, 0, "1 interrupted"},
		"it breaks for another reason":  {fakeModule{status: "INTERRUPTED", result: "FAILED", log: brokenLog}, `[{"plan":"*","module":"m1","result":"INTERRUPTED","condition":"CheckIt","says":"no key","reason":"x"}]`, nil, 1, "INTERRUPTED: "},
		"breaking is not excused alone": {good, `[{"plan":"*","module":"m1","result":"INTERRUPTED","condition":"CheckIt","reason":"x"}]`, nil, 2, "cannot be expected"},
		"two patterns of modules":       {good, "[]", []string{"-modules", "x,m[12]"}, 0, "2 modules: 2 passed"},
		"no module fits":                {good, "[]", []string{"-modules", "nothing"}, 1, "0 modules"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, map[string]fakeModule{"m1": test.module, "m2": good}, "m1", "m2")
			code, said := b.run(t, append(expectations(t, test.expected), test.more...)...)
			if code != test.code || !strings.Contains(said, test.says) {
				t.Errorf("code %d, want %d with %q:\n%s", code, test.code, test.says, said)
			}
			if (test.module.browsing > 0 || test.module.back) && b.suite.photos["m1"] {
				t.Error("a picture was given in the place of what the browser had yet to show")
			}
			if test.module.hangs && !b.suite.stopped["m1"] {
				t.Error("the module that hung was not stopped")
			}
			if code == 2 {
				return
			}
			var suites struct {
				Suites []struct {
					Failures int `xml:"failures,attr"`
				} `xml:"testsuite"`
			}
			content, err := os.ReadFile(filepath.Join(b.out, "junit.xml"))
			if err == nil {
				err = xml.Unmarshal(content, &suites)
			}
			if err != nil {
				t.Fatal(err)
			}
			failures := 0
			for _, s := range suites.Suites {
				failures += s.Failures
			}
			if bad := code != 0 && test.says != "did not happen" && test.says != "0 modules"; bad != (failures > 0) {
				t.Errorf("exit code %d and %d failures in junit.xml", code, failures)
			}
		})
	}
}

func TestCannotBegin(t *testing.T) {
	tests := map[string]struct {
		more []string
		says string
	}{
		"no suite there":     {[]string{"-suite", "https://127.0.0.1:1"}, "refused"},
		"suite over http":    {[]string{"-suite", "http://127.0.0.1:1"}, "not an https address"},
		"no server there":    {[]string{"-server", "https://127.0.0.1:1"}, "discovery document of https://127.0.0.1:1"},
		"server not trusted": {[]string{"-ca", ""}, "certificate"},
		"no such plan":       {[]string{"-plans", "fapi9/*"}, "-list shows the names"},
		"no password":        {[]string{"-password-file", "/nowhere"}, "-password-file"},
		"no authority":       {[]string{"-client-ca-key", "/nowhere"}, "-client-ca-key"},
		"no expectations":    {[]string{"-expected", "/nowhere"}, "-expected"},
		"no device code":     {[]string{"-plans", "fapi-ciba/*poll*", "-device-code", "false"}, "-device-code: false"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			code, said := newBench(t, nil).run(t, test.more...)
			if code != 2 || !strings.Contains(said, test.says) {
				t.Errorf("code %d, said %q, want 2 with %q", code, said, test.says)
			}
		})
	}
}

func TestPlanRefused(t *testing.T) {
	b := newBench(t, nil)
	b.suite.planErr = 500
	for says, page := range map[string]string{
		"does not accept this combination of variants: Internal Server Error": "",
		"of variants: KSA profile requires JAR\n":                             `{"error":"Internal Server Error","trace":"java.lang.RuntimeException: KSA profile requires JAR\n\tat net.openid"}`,
		"of variants: not certifiable\n":                                      `{"error":"Internal Server Error","message":"not certifiable"}`,
		"of variants: Internal Server Error\n":                                `{"error":"Internal Server Error"}`,
	} {
		b.suite.planSay = page
		if code, said := b.run(t); code != 1 || !strings.Contains(said, says) {
			t.Errorf("code %d: %s", code, said)
		}
	}
	b = newBench(t, nil)
	if code, said := b.run(t, "-register", "false {file}"); code != 1 || !strings.Contains(said, "-register: false") {
		t.Errorf("code %d: %s", code, said)
	}
}

// TestRegistersItself: where the suite registers the clients, it is given the token that the command prints, and the
// clients are not registered before.
func TestRegistersItself(t *testing.T) {
	more := []string{"-plans", "fapi-ciba/mtls+poll+dynamic", "-ciba-approval", "https://localhost:9000/{auth_req_id}/{action}", "-register", "false"}
	b := newBench(t, map[string]fakeModule{"m1": {status: "FINISHED", result: "PASSED"}}, "m1")
	if code, said := b.run(t, append(more, "-initial-token", "echo {profile}-token")...); code != 0 {
		t.Fatalf("code %d: %s", code, said)
	}
	if told := string(b.suite.config); !strings.Contains(told, `"initial_access_token": "fapi1-advanced-token"`) || strings.Contains(told, `"client_id"`) {
		t.Error(told)
	}
	for command, says := range map[string]string{"false": "exit status 1", "true": "it printed no token", "/nowhere": "no such file"} {
		if code, said := newBench(t, nil).run(t, append(more, "-initial-token", command)...); code != 1 || !strings.Contains(said, "-initial-token: "+command) || !strings.Contains(said, says) {
			t.Errorf("%s: code %d: %s", command, code, said)
		}
	}
}

// TestStop: what was done before a signal is reported.
func TestStop(t *testing.T) {
	b := newBench(t, map[string]fakeModule{"m1": {hangs: true}, "m2": {status: "FINISHED", result: "PASSED"}}, "m1", "m2")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // the signal comes while the first module runs
		for running := false; !running; time.Sleep(time.Millisecond) {
			b.suite.mu.Lock()
			running = b.suite.asked["m1"] > 2
			b.suite.mu.Unlock()
		}
		cancel()
	}()
	var said bytes.Buffer
	code := run(ctx, b.arguments, &said, &said)
	if code != 1 || !strings.Contains(said.String(), "1 interrupted, 1 not run") || !b.suite.stopped["m1"] {
		t.Errorf("code %d: %s", code, said.String())
	}
}

// TestPinned: a suite on loopback is pinned to what it shows, without its authority being known.
func TestPinned(t *testing.T) {
	b := newBench(t, map[string]fakeModule{"m1": {status: "FINISHED", result: "PASSED"}}, "m1")
	if code, said := b.run(t, "-suite-ca", ""); code != 0 || !strings.Contains(said, "pinned to SHA-256") {
		t.Errorf("code %d: %s", code, said)
	}
}

// TestFingerprint: a suite whose authority nobody knows is trusted by the fingerprint of its certificate, and only by
// the right one.
func TestFingerprint(t *testing.T) {
	modules := map[string]fakeModule{"m1": {status: "FINISHED", result: "PASSED"}}
	b := newBench(t, modules, "m1")
	content, err := os.ReadFile(b.arguments[slices.Index(b.arguments, "-suite-ca")+1])
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(content)
	right := fmt.Sprintf("%x", sha256.Sum256(block.Bytes))
	for given, want := range map[string]struct {
		code int
		says string
	}{
		right:                           {0, "1 passed"},
		strings.ToUpper(right):          {0, "1 passed"},
		strings.Repeat("0", len(right)): {2, "and not the pinned one"},
		right[2:]:                       {2, "is not the SHA-256 of a certificate"},
	} {
		code, said := b.run(t, "-suite-ca", "", "-suite-self-signed-fingerprint", given)
		if code != want.code || !strings.Contains(said, want.says) {
			t.Errorf("%s: code %d, want %d with %q: %s", given, code, want.code, want.says, said)
		}
	}
}

// TestMTLSResource: the resource is looked for where the mTLS aliases are.
func TestMTLSResource(t *testing.T) {
	aliases := map[string]string{"token_endpoint": "https://mtls.example:8444/token"}
	tests := map[string]struct {
		document discovered
		given    options
		want     server
	}{
		"beside the alias": {discovered{Aliases: aliases}, options{}, server{resource: "https://as.example/accounts", mtlsResource: "https://mtls.example:8444/accounts"}},
		"without aliases":  {discovered{}, options{}, server{resource: "https://as.example/accounts", mtlsResource: "https://as.example/accounts"}},
		"another resource": {discovered{Aliases: aliases}, options{resource: "https://as.example/a/b"}, server{resource: "https://as.example/a/b", mtlsResource: "https://mtls.example:8444/a/b"}},
		"both given":       {discovered{Aliases: aliases}, options{resource: "https://x/1", mtlsResource: "https://x/2"}, server{resource: "https://x/1", mtlsResource: "https://x/2"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test.given.server, test.want.issuer = "https://as.example", "https://as.example"
			if got, err := test.document.server(test.given); err != nil || got != test.want {
				t.Errorf("%+v, %v; want %+v", got, err, test.want)
			}
		})
	}
}

// TestIngress: a run that is to judge an ingress does not judge a server that is reached directly.
func TestIngress(t *testing.T) {
	modules := map[string]fakeModule{"m1": {status: "FINISHED", result: "PASSED"}}
	for given, want := range map[string]struct {
		code int
		says string
	}{
		"https://localhost:8444":  {0, "1 passed"},
		"https://localhost:8444/": {0, "1 passed"},
		"https://localhost:8445":  {2, `clients with certificates are led to "https://localhost:8444/token"`},
		"https://localhost:844":   {2, "not to https://localhost:844:"},
	} {
		b := newBench(t, modules, "m1")
		code, said := b.run(t, "-ingress", given)
		if code != want.code || !strings.Contains(said, want.says) {
			t.Errorf("%s: code %d, want %d with %q: %s", given, code, want.code, want.says, said)
		}
	}
}

// TestConfiguration shows what the suite is told about eight plans; the keys are replaced, since they differ each time.
func TestConfiguration(t *testing.T) {
	caPEM, caKeyPEM := newCA(t)
	folder := t.TempDir()
	for name, content := range map[string]string{"ca.crt": caPEM, "ca.key": caKeyPEM} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ca, err := readAuthority(filepath.Join(folder, "ca.crt"), filepath.Join(folder, "ca.key"))
	if err != nil {
		t.Fatal(err)
	}
	plans, err := selectPlans(defaultPlans + ",fapi2-sp/private_key_jwt+mtls+openid_connect+rar,fapi2-sp/client_credentials+private_key_jwt+dpop+plain_oauth," +
		"fapi2-ms/mtls+dpop+openid_connect+signed+jarm,fapi1-adv/private_key_jwt+by_value+plain," +
		"fapi-ciba/private_key_jwt+ping+static,fapi-ciba/mtls+poll+dynamic")
	if err != nil || len(plans) != 8 {
		t.Fatalf("%d plans, %v", len(plans), err)
	}
	s := server{
		issuer: "https://localhost:8443", resource: "https://localhost:8443/accounts", mtlsResource: "https://localhost:8444/accounts",
		username: "alice", password: "secret",
		approval: "https://localhost:9000/?id={auth_req_id}&action={action}", acr: "urn:acr:least", initialToken: "(token)",
	}
	for i, p := range plans {
		clients, err := newClients(rand.Reader, p, "alias", ca, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, made := range clients {
			for name := range made.key {
				if name != "kty" && name != "crv" && name != "alg" && name != "use" && name != "kid" {
					made.key[name] = "(" + name + ")"
				}
			}
			if made.certificate != nil {
				block, _ := pem.Decode([]byte(made.certificate.Cert))
				leaf, err := x509.ParseCertificate(block.Bytes)
				if err != nil || leaf.Subject.String() != "CN="+made.id || leaf.CheckSignatureFrom(ca.certificate) != nil {
					t.Errorf("certificate of %s: %v, %v", leaf.Subject, err, leaf.CheckSignatureFrom(ca.certificate))
				}
				*made.certificate = certificate{Cert: "(certificate)", Key: "(key)", CA: "(ca)", subject: leaf.Subject.String()}
			}
		}
		var shown bytes.Buffer
		encoder := json.NewEncoder(&shown)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		for _, value := range []any{
			p.configure(s, "alias", clients),
			p.registration(s, clients[0], redirectURIs("https://suite.example", "alias")),
		} {
			if err := encoder.Encode(value); err != nil {
				t.Fatal(err)
			}
		}
		registered, err := json.Marshal(p.registration(s, clients[0], redirectURIs("https://suite.example", "alias")))
		if err != nil || strings.Contains(string(registered), `"d":`) {
			t.Errorf("the registration holds a private key: %s, %v", registered, err)
		}
		golden(t, fmt.Sprintf("configuration-%d.json", i+1), shown.String())
	}
}

// TestOwnLogin: in front of a login of the operator's own, the suite's browser signs in and decides there and nowhere else.
func TestOwnLogin(t *testing.T) {
	ca := &authority{}
	for login, want := range map[string]string{
		"": "https://localhost:8443/interaction/*", "https://localhost:8446": "https://localhost:8446/*",
	} {
		s, err := discovered{}.server(options{server: "https://localhost:8443", login: login})
		if err != nil {
			t.Fatal(err)
		}
		plans, err := selectPlans("fapi2-sp/private_key_jwt+dpop+openid_connect")
		if err != nil {
			t.Fatal(err)
		}
		clients, err := newClients(rand.Reader, plans[0], "alias", ca, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		made := plans[0].configure(s, "alias", clients)
		scripts := slices.Clone(made.Browser)
		for _, replaced := range made.Override {
			scripts = append(scripts, replaced.Browser...)
		}
		count := 0
		for _, each := range scripts {
			for _, task := range each.Tasks {
				if task.Task == "Sign in" || task.Task == "Decide" || task.Task == "Only look" {
					if count++; task.Match != want {
						t.Errorf("%q: %s is done at %s, want %s", login, task.Task, task.Match, want)
					}
				}
			}
		}
		if count < 5 {
			t.Errorf("%d tasks", count)
		}
	}
}

func TestSelectPlans(t *testing.T) {
	for selector, want := range map[string]int{
		"": 2, "fapi2-sp/*": 24, "*": 104, "fapi-ciba/*": 8, "fapi-ciba/*+dynamic": 4, "fapi2-ms/*": 64, "fapi1-adv/*": 8, "fapi2-sp/*+rar": 12, "fapi2-sp*": 24,
		"fapi2-sp/client_credentials*": 8, "fapi2-sp/mtls+*": 8, "fapi2-sp/private_key_jwt+dpop+plain_oauth": 1, "fapi2-sp/mtls+*,fapi2-sp/mtls+mtls+*": 8,
		// As many as the suite accepts, each of them created at one, less those whose clients the preset refuses.
		"fapi2-sp/openbanking_uk*": 16, "fapi2-sp/consumerdataright_au*": 4, "fapi2-sp/openbanking_brazil*": 16, "fapi2-ms/openbanking_uk*": 32,
		"fapi2-ms/consumerdataright_au*": 8, "fapi2-ms/openbanking_brazil*": 64, "fapi2-ms/connectid_au*": 2, "fapi2-ms/cbuae*": 1, "fapi2-ms/ksa*": 2,
		"fapi1-adv/openbanking_uk*": 2, "fapi1-adv/consumerdataright_au*": 1, "fapi1-adv/openbanking_brazil*": 1, "fapi1-adv/openinsurance_brazil*": 1,
		"fapi1-adv/openbanking_ksa*": 2, "fapi-ciba/openbanking_uk*": 8, "fapi-ciba/openbanking_brazil*": 2, "fapi-ciba/connectid_au*": 2,
		"fapi1-adv/openbanking_brazil*+payments": 1, "fapi2-ms/openbanking_brazil*payments": 64, "fapi1-dcr/*": 2, "fapi1-dcr/*+payments": 1, "fapi2-dcr/*": 64,
		"fapi*/connectid_au*": 4, "ecosystems": 17, "ecosystems,fapi2-ms/cbuae*": 17,
	} {
		if plans, err := selectPlans(selector); err != nil || len(plans) != want {
			t.Errorf("%q: %d plans, %v; want %d", selector, len(plans), err, want)
		}
	}
	for selector, says := range map[string]string{
		"nothing": "nothing matches", "[": "not a pattern", "fapi2-sp/*,nothing": "nothing matches",
		"fapi2-sp/consumerdataright_au+private_key_jwt+dpop+plain_oauth": "au-cdr binds access tokens to certificates only",
		"fapi1-adv/consumerdataright_au*by_value*":                       "au-cdr wants requests pushed",
		"fapi1-adv/openbanking_ksa*jarm":                                 "the suite does not make fapi1-adv/openbanking_ksa",
	} {
		if _, err := selectPlans(selector); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", selector, err)
		}
	}
}
