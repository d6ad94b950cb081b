package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// listing is one of a page: in which language, and what.
type listing struct{ language, text string }

func listings(t *testing.T, page string) (all []listing) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllStringSubmatch(string(text), -1) {
		all = append(all, listing{found[1], found[2]})
	}
	return all
}

// shellLines are the command lines of a listing, each whole.
func (l listing) shellLines() (lines []string) {
	for line := range strings.Lines(strings.ReplaceAll(l.text, "\\\n", " ")) {
		if found, ok := strings.CutPrefix(strings.TrimSpace(line), "$ "); ok {
			lines = append(lines, found)
		}
	}
	return lines
}

// reader follows docs/own-login.md in a folder of its own.
type reader struct {
	t *testing.T
	*installation
	folder string
	// replaced are the ports of the page, and what it leaves to the reader, with what they are here.
	replaced []string
}

// run runs a line as it is written, but for the ports, and gives what it prints.
func (r *reader) run(line string) string {
	r.t.Helper()
	command := exec.Command("bash", "-c", "set -o pipefail; "+strings.NewReplacer(r.replaced...).Replace(line))
	command.Dir = r.folder
	output, err := command.CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", line, err, output)
	}
	return string(output)
}

// newReader has the clone, and made what "make build" makes.
func newReader(t *testing.T) *reader {
	t.Helper()
	ports, err := freePorts(4)
	if err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, folder: t.TempDir(), replaced: []string{"8443", ports[0], "8444", ports[1], "8445", ports[2], "8446", ports[3]}}
	r.installation = &installation{
		t: t, folder: filepath.Join(r.folder, "local"), address: "localhost:" + ports[0], mtls: "localhost:" + ports[1], demoPort: ports[2],
		roots: x509.NewCertPool(),
	}
	program, err := exec.LookPath("countersign")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(r.folder, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(r.folder, "bin", "countersign")); err != nil {
		t.Fatal(err)
	}
	return r
}

// follow does what a line says.
func (r *reader) follow(line string) {
	t := r.t
	t.Helper()
	switch {
	case line == "make build":
	case strings.HasPrefix(line, "bin/countersign init"):
		r.run(line + " --port 8443 --mtls-port 8444 --demo-port 8445")
		authority, err := os.ReadFile(filepath.Join(r.installation.folder, "tls", "ca.crt"))
		if err != nil || !r.roots.AppendCertsFromPEM(authority) {
			t.Fatal(err)
		}
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}}
		t.Cleanup(transport.CloseIdleConnections)
		r.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	case strings.HasPrefix(line, "go build -o bin/own-login "):
		buildGoLogin(t, filepath.Join(r.folder, "bin"))
	case strings.HasPrefix(line, "cd examples/own-login && npm ci"):
		build := filepath.Join(r.folder, "examples", "own-login", "build")
		if err := os.MkdirAll(build, 0o700); err != nil {
			t.Fatal(err)
		}
		buildNodeLogin(t, build)
	case strings.HasPrefix(line, "bin/own-login --users"):
		line += " --issuer https://localhost:8443 --api https://localhost:8444 --listen localhost:8446"
		command := exec.Command("bash", "-c", "exec "+strings.NewReplacer(r.replaced...).Replace(line))
		command.Dir = r.folder
		serveLogin(t, command, "localhost:"+r.replaced[7])
	case strings.HasPrefix(line, "bin/countersign serve"):
		r.serve()
	case strings.HasPrefix(line, "bin/countersign demo"):
		d := r.demo()
		b := r.browser()
		b.Visit(d.address())
		if title := b.Title(); title != "Sign in to Northfold Bank – Northfold Bank" {
			t.Errorf("the login's page is %q", title)
		}
		b.SignIn("sam", customerPassword)
		b.Click("#allow")
		b.Done()
		if output, code := d.ended(); code != 0 || !strings.Contains(output, `"sub": "customer-4711"`) {
			t.Errorf("the demo ended with %d:\n%s", code, output)
		}
	default:
		r.run(line)
	}
}

// Covers: KE-47. TestKE47OwnLoginDocs: who follows docs/own-login.md comes to a login of their own, by hand too.
func TestKE47OwnLoginDocs(t *testing.T) {
	r := newReader(t)
	all := listings(t, "../../docs/own-login.md")
	byHand := slices.IndexFunc(all, func(l listing) bool { return strings.Contains(l.text, "HANDLE") })
	if byHand < 6 {
		t.Fatalf("the API is listing %d", byHand)
	}
	for _, l := range all[:byHand] {
		switch l.language {
		case "console":
			for _, line := range l.shellLines() {
				t.Run("accepts "+line, func(*testing.T) { r.follow(line) })
			}
		case "toml":
			r.edited(t, `^\[login\]\n`, strings.NewReplacer(r.replaced...).Replace(l.text))
		}
	}
	if t.Failed() {
		t.FailNow()
	}

	a := r.application(t, "orchid", "Orchid Budget")
	_, address := a.begin()
	at := r.visitor(t).open(address)
	handle := at.address.Query().Get("handle")
	r.replaced = append(r.replaced, "HANDLE", handle)
	var asked struct {
		Ask    []string `json:"ask"`
		Digest string   `json:"request_digest"`
	}
	lines := append(all[byHand].shellLines(), all[byHand+1].shellLines()...)
	t.Run("accepts to be asked by hand", func(t *testing.T) {
		if err := json.Unmarshal([]byte(answerOf(r.run(lines[0]))), &asked); err != nil || !slices.Equal(asked.Ask, []string{"login", "consent"}) {
			t.Errorf("%v: %+v", err, asked)
		}
	})
	t.Run("refuses an answer of another digest", func(t *testing.T) {
		if output := r.run(lines[1]); !strings.Contains(output, "request_digest is not that of this request") {
			t.Error(output)
		}
	})
	r.replaced = append(r.replaced, "DIGEST", asked.Digest)
	t.Run("accepts an answer by hand", func(t *testing.T) {
		if output := r.run(lines[1]); !strings.Contains(output, `"return_to":"https://`+r.address+"/interaction/") {
			t.Error(output)
		}
	})
	t.Run("accepts the answer that allows", func(t *testing.T) {
		example := slices.IndexFunc(all, func(l listing) bool { return l.language == "json" })
		a.Scope = "openid accounts offline_access"
		_, address := a.begin()
		at := r.visitor(t).open(address)
		answer := regexp.MustCompile(`"auth_time": \d+`).ReplaceAllString(all[example].text, fmt.Sprintf(`"auth_time": %d`, time.Now().Unix()))
		page := &visitor{r.withCertificate(t), t}
		target := page.open("https://" + r.mtls + "/login/v1/interactions/" + url.PathEscape(at.address.Query().Get("handle")))
		if err := json.Unmarshal([]byte(target.body), &asked); err != nil {
			t.Fatal(err)
		}
		response, err := page.Post(target.address.String(), "application/json", strings.NewReader(strings.Replace(answer, "DIGEST", asked.Digest, 1)))
		if answered := page.read(response, err); answered.status != http.StatusOK {
			t.Errorf("%d %s", answered.status, answered.body)
		}
	})
}

// answerOf is what curl prints beside its progress.
func answerOf(output string) string { return output[max(0, strings.Index(output, "{")):] }

// withCertificate is a client that shows the certificate that the page has made.
func (r *reader) withCertificate(t *testing.T) *http.Client {
	t.Helper()
	of := func(name string) string { return filepath.Join(r.installation.folder, "own-login", name) }
	pair, err := tls.LoadX509KeyPair(of("login.crt"), of("login.key"))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots, Certificates: []tls.Certificate{pair}}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}
