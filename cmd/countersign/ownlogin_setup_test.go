package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"countersign/internal/flowclient"
	"countersign/internal/jose"
)

// customerPassword is that of sam, the customer of the own logins.
const customerPassword = "a rainy day in spring"

// ownLogin is a program of examples/own-login that runs beside an installation.
type ownLogin struct {
	i       *installation
	address string
	command []string
	// folder has its certificate and its customers.
	folder string
}

// ownLoginKinds are the two programs, each with what builds it into a folder and gives its command.
func ownLoginKinds() map[string]func(t *testing.T, folder string) []string {
	return map[string]func(t *testing.T, folder string) []string{"Go": buildGoLogin, "TypeScript": buildNodeLogin}
}

func buildGoLogin(t *testing.T, folder string) []string {
	t.Helper()
	binary := filepath.Join(folder, "own-login")
	if output, err := exec.Command("go", "build", "-o", binary, "countersign/examples/own-login").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return []string{binary}
}

// buildNodeLogin checks the types and makes JavaScript, which Node.js before 22.18 needs.
func buildNodeLogin(t *testing.T, folder string) []string {
	t.Helper()
	const sources = "../../examples/own-login"
	wanted, err := os.ReadFile(filepath.Join(sources, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	// What was installed last is written down, so that the packages are fetched once and not for each run.
	installed := filepath.Join(sources, "node_modules", ".installed")
	if last, err := os.ReadFile(installed); err != nil || !bytes.Equal(last, wanted) {
		npm := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
		npm.Dir = sources
		if output, err := npm.CombinedOutput(); err != nil {
			t.Fatalf("npm ci: %v; the first time it needs the network\n%s", err, output)
		}
		if err := os.WriteFile(installed, wanted, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	compile := exec.Command("node", "node_modules/typescript/bin/tsc", "--outDir", folder)
	compile.Dir = sources
	if output, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("tsc: %v\n%s", err, output)
	}
	if err := os.WriteFile(filepath.Join(folder, "package.json"), []byte(`{"type":"module"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return []string{"node", filepath.Join(folder, "own-login.js")}
}

// ownLogin prepares one with a customer, and gives the server a [login] with these settings beside the address and the certificate.
func (i *installation) ownLogin(t *testing.T, kind, settings string) *ownLogin {
	t.Helper()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	l := &ownLogin{i: i, address: "localhost:" + ports[0], folder: t.TempDir()}
	l.command = ownLoginKinds()[kind](t, l.folder)
	newCertificate(t, filepath.Join(l.folder, "login"))
	l.addCustomer(t, "sam", "customer-4711")
	section := fmt.Sprintf("[login]\naddress = %q\ncertificate_file = %q\n%s\n", "https://"+l.address+"/", filepath.Join(l.folder, "login.crt"), settings)
	i.edited(t, `^\[login\]\n(?:[a-z].*\n)*`, section) // in place of another login's
	return l
}

// addCustomer adds one by the program's own command.
func (l *ownLogin) addCustomer(t *testing.T, username, subject string) {
	t.Helper()
	add := exec.Command(l.command[0], append(l.command[1:len(l.command):len(l.command)], "add", "--users", filepath.Join(l.folder, "users.json"), username, subject)...)
	add.Stdin = strings.NewReader(customerPassword + "\n")
	if output, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
}

// serve starts the login and waits until it listens.
func (l *ownLogin) serve(t *testing.T) *logBuffer {
	t.Helper()
	of := func(name string) string { return filepath.Join(l.i.folder, "tls", name) }
	return serveLogin(t, exec.Command(l.command[0], append(l.command[1:len(l.command):len(l.command)],
		"--issuer", "https://"+l.i.address, "--api", "https://"+l.i.mtls, "--ca", of("ca.crt"),
		"--client-certificate", filepath.Join(l.folder, "login.crt"), "--client-key", filepath.Join(l.folder, "login.key"),
		"--listen", l.address, "--certificate", of("server.crt"), "--key", of("server.key"), "--users", filepath.Join(l.folder, "users.json"))...), l.address)
}

// serveLogin starts a login and waits until it listens.
func serveLogin(t *testing.T, command *exec.Cmd, address string) *logBuffer {
	t.Helper()
	logs, ended := new(logBuffer), make(chan error, 1)
	command.Stdout, command.Stderr = logs, logs
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			_ = command.Process.Kill()
			t.Error("the login does not end when it is told to")
		}
	})
	for range 200 {
		if connection, err := net.Dial("tcp", address); err == nil {
			connection.Close()
			return logs
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("the login ended: %v\n%s", err, logs)
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("the login does not listen:\n%s", logs)
	return nil
}

// newCertificate makes one that nobody issued, and its key.
func newCertificate(t *testing.T, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "own login"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []struct {
		name, kind string
		der        []byte
	}{{name + ".crt", "CERTIFICATE", der}, {name + ".key", "PRIVATE KEY", private}} {
		if err := os.WriteFile(file.name, pem.EncodeToMemory(&pem.Block{Type: file.kind, Bytes: file.der}), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// application is a client whose redirect address real browsers reach.
type application struct {
	*flowclient.Client
	t       *testing.T
	name    string
	answers chan url.Values
}

// application registers one by the command line, and listens.
func (i *installation) application(t *testing.T, id, name string, changes ...func(metadata map[string]any)) *application {
	t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "server.crt"), filepath.Join(i.folder, "tls", "server.key"))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	a := &application{t: t, name: name, answers: make(chan url.Values, 10)}
	server := &http.Server{Handler: a, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // it ends with the test
	t.Cleanup(func() { _ = server.Close() })
	callback := fmt.Sprintf("https://localhost:%d/callback", listener.Addr().(*net.TCPAddr).Port)
	registered := map[string]any{
		"client_name": name, "redirect_uris": []string{callback}, "scope": "openid accounts offline_access",
		"grant_types": []string{"authorization_code", "refresh_token"}, "token_endpoint_auth_method": "private_key_jwt",
		"jwks": json.RawMessage(`{"keys":[` + string(key.PublicJWK()) + `]}`), "dpop_bound_access_tokens": true,
		"authorization_details_types": []string{"payment_initiation", "account_information"},
	}
	for _, change := range changes {
		change(registered)
	}
	metadata, err := json.Marshal(registered)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "application.json")
	if err := os.WriteFile(file, metadata, 0o600); err != nil {
		t.Fatal(err)
	}
	i.run("clients", "add", id, "--file", file)
	a.Client = flowclient.New(flowclient.Config{
		Issuer: "https://" + i.address, HTTP: flowclient.NewHTTP(&tls.Config{RootCAs: i.roots}), ID: id, RedirectURI: callback,
		Scope: "openid accounts", Key: key, ProofKey: key,
	})
	return a
}

// ServeHTTP is the application's own page, to which browsers come back.
func (a *application) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/callback" {
		http.NotFound(w, r)
		return
	}
	a.answers <- r.URL.Query()
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!DOCTYPE html><html lang="en"><title>%s</title><link rel="icon" href="data:,"><p>Back at %s</p></html>`, a.name, a.name)
}

// begin pushes a request, and gives the address for the browser.
func (a *application) begin(changes ...flowclient.Change) (flowclient.Transaction, string) {
	a.t.Helper()
	if a.Endpoints.PAR == "" {
		if err := a.Discover(a.t.Context()); err != nil {
			a.t.Fatal(err)
		}
	}
	transaction := a.NewTransaction()
	pushed, err := a.Push(a.t.Context(), transaction, changes...)
	if err != nil {
		a.t.Fatal(err)
	}
	requestURI, err := pushed.RequestURI()
	if err != nil {
		a.t.Fatal(err)
	}
	return transaction, a.AuthorizationURL(requestURI)
}

// returned gives the code with which the browser came back, or why there is none.
func (a *application) returned(transaction flowclient.Transaction) (code string, err error) {
	a.t.Helper()
	select {
	case values := <-a.answers:
		return a.Callback(transaction, values)
	case <-time.After(10 * time.Second):
		a.t.Fatal("no browser came back to the application")
		return "", nil
	}
}

// redeem gets the tokens, and the claims of the ID token.
func (a *application) redeem(transaction flowclient.Transaction, code string) (response, claims map[string]any) {
	a.t.Helper()
	reply, err := a.Redeem(a.t.Context(), transaction, code)
	if err != nil {
		a.t.Fatal(err)
	}
	tokens, err := reply.Tokens()
	if err != nil {
		a.t.Fatal(err)
	}
	if err := reply.Decode(&response); err != nil {
		a.t.Fatal(err)
	}
	_, payload, err := flowclient.DecodeJWT(tokens.IDToken)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		a.t.Fatal(err)
	}
	return response, claims
}

// visitor is a browser without pages, to send what no browser sends.
type visitor struct {
	*http.Client
	t *testing.T
}

func (i *installation) visitor(t *testing.T) *visitor {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.roots}}
	t.Cleanup(transport.CloseIdleConnections)
	return &visitor{&http.Client{Jar: jar, Transport: transport, Timeout: 20 * time.Second}, t}
}

// page is what a visitor is at.
type page struct {
	address *url.URL
	status  int
	header  http.Header
	body    string
}

// token is the page's form token.
func (p page) token(t *testing.T) string {
	t.Helper()
	found := regexp.MustCompile(`name="form_token" value="([^"]+)"`).FindStringSubmatch(p.body)
	if found == nil {
		t.Fatalf("no form token: %d %s", p.status, p.body)
	}
	return found[1]
}

// shown is the digest of what the page shows.
func (p page) shown() string {
	found := regexp.MustCompile(`name="shown" value="([^"]+)"`).FindStringSubmatch(p.body)
	if found == nil {
		return ""
	}
	return found[1]
}

func (v *visitor) read(response *http.Response, err error) page {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		v.t.Fatal(err)
	}
	return page{response.Request.URL, response.StatusCode, response.Header, string(body)}
}

// open follows redirects to a page.
func (v *visitor) open(address string) page {
	v.t.Helper()
	return v.read(v.Get(address))
}

// send sends a form to a page's address and follows nothing.
func (v *visitor) send(to page, header http.Header, form url.Values) page {
	v.t.Helper()
	request, err := http.NewRequestWithContext(v.t.Context(), http.MethodPost, to.address.String(), strings.NewReader(form.Encode()))
	if err != nil {
		v.t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for name, values := range header {
		request.Header[name] = values
	}
	direct := *v.Client
	direct.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return v.read(direct.Do(request))
}

// signIn signs in, and gives the page that follows.
func (v *visitor) signIn(at page) page {
	v.t.Helper()
	sent := v.send(at, nil, url.Values{"form_token": {at.token(v.t)}, "action": {"sign-in"}, "username": {"sam"}, "password": {customerPassword}})
	if sent.status != http.StatusSeeOther {
		v.t.Fatalf("the sign-in is answered with %d: %s", sent.status, sent.body)
	}
	return v.open(at.address.ResolveReference(&url.URL{RawQuery: strings.TrimPrefix(sent.header.Get("Location"), "?")}).String())
}
