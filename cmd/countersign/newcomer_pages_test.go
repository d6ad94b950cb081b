package main

import (
	"io"
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

	"countersign/internal/browsertest"
)

// shown draws a page for a telephone and for a desk, where COUNTERSIGN_SCREENSHOTS names a folder, and checks that people
// with assistive technology can use it.
func shown(t *testing.T, b *browsertest.Browser, name string) {
	t.Helper()
	b.CheckAccessibility()
	folder := os.Getenv("COUNTERSIGN_SCREENSHOTS")
	if folder == "" {
		return
	}
	for _, look := range []struct {
		name          string
		width, height int64
		dark          bool
	}{{"390", 390, 844, false}, {"1280-dark", 1280, 900, true}, {"1280", 1280, 900, false}} {
		b.Look(look.width, look.height, look.dark)
		if err := os.WriteFile(filepath.Join(folder, name+"-"+look.name+".png"), b.Screenshot(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// Covers: FD-134, FD-135, FD-139. TestFD139PagesInABrowser: a browser at any address gets a page; one button of a page stands out at
// most, and it is the best way; denying takes a click; the last passkey goes after a second page.
func TestFD139PagesInABrowser(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	b := i.browser()
	page := func(name string, primary []string, texts ...string) {
		t.Helper()
		shown(t, b, name)
		body := b.Text("body")
		for _, want := range texts {
			if !strings.Contains(body, want) {
				t.Errorf("%s does not say %q: %s", name, want, body)
			}
		}
		got := b.Primary()
		for range 50 { // the script that shows what needs it may still be on its way
			if slices.Equal(got, primary) {
				break
			}
			time.Sleep(100 * time.Millisecond)
			got = b.Primary()
		}
		if !slices.Equal(got, primary) {
			t.Errorf("on %s these stand out: %q, want %q", name, got, primary)
		}
	}
	base := "https://" + i.address
	b.Visit(base + "/")
	page("root", nil, "You sign in here for other applications", i.address)
	b.Click("#settings")
	page("device-sign-in", []string{"Sign in with a passkey"}, "Sign in with your password")
	b.Visit(base + "/nothing/here")
	page("not-found", nil, "There is no such page")
	b.Visit(base + "/token")
	page("not-for-people", nil, "This address is for applications")
	_ = b.Complaints() // the pages' own status

	demo := i.demo()
	b.Visit(demo.address())
	page("sign-in", []string{"Sign in with a passkey"}, "User name")
	b.Scripts(false)
	b.Visit(demo.address())
	page("sign-in-without-scripts", []string{"Sign in with your password"})
	b.SignIn("alice", i.password())
	page("consent", []string{"Allow"}, "Allow access for")
	b.Visit(base + "/device")
	b.Click("#sign-out")
	page("device-sign-in-without-scripts", []string{"Sign in with your password"})
	b.Scripts(true)

	shop := i.asker("Orchid Payments")
	i.addPasskey(b, "alice")
	page("settings", nil, "Passkeys")
	asked := shop.ask("alice", "MINT 1207", payment)
	b.Click("#all")
	b.AwaitText("#requests", "MINT 1207")
	b.Click(".requests a")
	page("request", nil, "Denying needs no more than this button")
	b.Click("#deny")
	page("denied", nil, "This was denied")
	if _, body := shop.fetch(asked); body["error"] != "access_denied" {
		t.Errorf("the client is told %v", body)
	}
	b.Done()

	bob := i.browser()
	i.addPasskey(bob, "bob")
	bob.Click("#sign-out")
	bob.Click("#passkey") // only who has used it may change anything
	bob.Click("button[value=remove-passkey]")
	b = bob
	page("remove-last", nil, "Remove your last passkey?", "Whoever knows your password can then sign in as you")
	bob.Click("#keep")
	if text := bob.Text("main"); !strings.Contains(text, "on one device only") && !strings.Contains(text, "synchronised") {
		t.Errorf("after keeping it: %s", text)
	}
	bob.Click("button[value=remove-passkey]")
	bob.Click("#remove-last")
	page("removed", nil, "The passkey is removed", "You have none yet")
	bob.Done()
}

// Covers: FD-135. TestFD135PagesByAccept: only who asks for a page gets one.
func TestFD135PagesByAccept(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	const browsers = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"
	get := func(method, address, accept string) (*http.Response, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, address, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		if accept != "" {
			request.Header.Set("Accept", accept)
		}
		response, err := i.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response, string(body)
	}
	base := "https://" + i.address
	for name, test := range map[string]struct {
		method, address, accept string
		status                  int
		page                    bool
	}{
		"accepts a browser at the issuer":       {"GET", base, browsers, 200, true},
		"accepts a browser at its root":         {"GET", base + "/", browsers, 200, true},
		"accepts HEAD":                          {"HEAD", base + "/", browsers, 200, true},
		"accepts a browser anywhere":            {"GET", base + "/nothing", browsers, 404, true},
		"accepts a browser at an endpoint":      {"GET", base + "/token", browsers, 405, true},
		"refuses a page to who names none":      {"GET", base + "/", "", 404, false},
		"refuses a page to who takes anything":  {"GET", base + "/", "*/*", 404, false},
		"refuses a page to who wants JSON":      {"GET", base + "/nothing", "application/json", 404, false},
		"refuses a page to who prefers JSON":    {"GET", base + "/nothing", "text/html;q=0.5, application/json", 404, false},
		"refuses a page to who rules it out":    {"GET", base + "/nothing", "text/html;q=0, */*", 404, false},
		"refuses a page to who posts":           {"POST", base + "/nothing", browsers, 404, false},
		"refuses a page at another listener":    {"GET", "https://" + i.mtls + "/nothing", "application/json", 404, false},
		"refuses a page to a method of nothing": {"PUT", base + "/token", browsers, 405, false},
	} {
		t.Run(name, func(t *testing.T) {
			response, body := get(test.method, test.address, test.accept)
			if is := strings.HasPrefix(response.Header.Get("Content-Type"), "text/html"); response.StatusCode != test.status || is != test.page {
				t.Errorf("%d, %s: %.200s", response.StatusCode, response.Header.Get("Content-Type"), body)
			}
			if !strings.Contains(strings.Join(response.Header.Values("Vary"), ", "), "Accept") {
				t.Error("a cache could give one for the other")
			}
			if !test.page && !strings.Contains(body, `"error"`) {
				t.Errorf("the answer is %s", body)
			}
		})
	}
	t.Run("accepts who looks for an icon", func(t *testing.T) {
		response, body := get("GET", base+"/favicon.ico", "image/avif,*/*;q=0.8")
		if response.StatusCode != http.StatusOK || response.Header.Get("Content-Type") != "image/png" || !strings.HasPrefix(body, "\x89PNG") {
			t.Errorf("%d, %s", response.StatusCode, response.Header.Get("Content-Type"))
		}
	})
}

// Covers: FD-139. TestFD139BehindAnIngress: an ingress may put another Host into a request: the form's origin is compared with the
// issuer. What comes from elsewhere is refused, with what would be right.
func TestFD139BehindAnIngress(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	base := "https://" + i.address
	var cookies []*http.Cookie // those of a browser, which sees the issuer's host
	client := *i.client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	send := func(method, host, origin string, form url.Values) (int, string) {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), method, base+"/device/settings", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Host = host
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if origin != "" {
			request.Header.Set("Origin", origin)
		}
		for _, cookie := range cookies {
			request.AddCookie(cookie)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if method == http.MethodGet {
			cookies = response.Cookies()
		}
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(body)
	}
	_, on := send("GET", "", "", nil)
	token := regexp.MustCompile(`name="form_token" value="([^"]*)"`).FindStringSubmatch(on)
	if token == nil {
		t.Fatal(on)
	}
	form := url.Values{"form_token": {token[1]}, "action": {"sign-in"}, "username": {"alice"}, "password": {i.password()}}
	for name, test := range map[string]struct {
		host, origin string
		status       int
		says         string
	}{
		"accepts the issuer's name":                    {"", base, http.StatusSeeOther, ""},
		"accepts another Host from an ingress":         {"backend.internal:8443", base, http.StatusSeeOther, ""},
		"refuses another site":                         {"", "https://evil.example", http.StatusForbidden, "its origin is https://evil.example, and the address of this server is " + base},
		"refuses another site behind an ingress":       {"backend.internal", "https://evil.example", http.StatusForbidden, "the address of this server is " + base},
		"refuses the issuer without TLS":               {"", "http://" + i.address, http.StatusForbidden, "another site"},
		"refuses a name that begins with the issuer's": {"", base + ".evil.example", http.StatusForbidden, "another site"},
	} {
		t.Run(name, func(t *testing.T) {
			if status, body := send("POST", test.host, test.origin, form); status != test.status || !strings.Contains(body, test.says) {
				t.Errorf("%d: %s", status, body)
			}
		})
	}
	t.Run("refuses who has no cookie, and says which host is right", func(t *testing.T) {
		cookies = nil
		status, body := send("POST", "127.0.0.1:1", "", form)
		if status != http.StatusBadRequest || !strings.Contains(body, "the request names the host 127.0.0.1:1, and the address of this server is "+base) {
			t.Errorf("%d: %s", status, body)
		}
		if _, body := send("POST", "", "", form); strings.Contains(body, "the request names the host") {
			t.Errorf("the right host is told: %s", body)
		}
	})
}

// Covers: FD-136. TestFD136StrictTransport: the header is as it is configured, in JSON and in pages.
func TestFD136StrictTransport(t *testing.T) {
	for value, want := range map[string]string{
		"": "max-age=63072000", "host": "max-age=63072000", "subdomains": "max-age=63072000; includeSubDomains",
		"preload": "max-age=63072000; includeSubDomains; preload",
	} {
		t.Run("accepts "+value, func(t *testing.T) {
			i := newInstallation(t, "--dev-keys", "--host", "id.bank.example")
			if value != "" {
				i.edited(t, `^# strict_transport_security = .*`, `strict_transport_security = "`+value+`"`)
			}
			if value == "subdomains" || value == "preload" { // not for localhost, and no development keys for others
				out, problems, code := i.command("config", "print", "--values-only")
				if code != exitUsage || !strings.Contains(problems, "not for an issuer on this machine") {
					t.Errorf("%d: %s %s", code, out, problems)
				}
				return
			}
			i.serve()
			for _, path := range []string{"/jwks", "/device/settings", "/nothing"} {
				response, err := i.client.Get("https://" + i.address + path)
				if err != nil {
					t.Fatal(err)
				}
				response.Body.Close()
				if got := response.Header.Values("Strict-Transport-Security"); !slices.Equal(got, []string{want}) {
					t.Errorf("%s: %q, want %q", path, got, want)
				}
			}
		})
	}
}

// Covers: FD-139. TestFD139DocsIngress: the whole flow through a real nginx as docs/ingress.md has it, with the Host passed on
// and without.
func TestFD139DocsIngress(t *testing.T) {
	page, err := os.ReadFile("../../docs/ingress.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindSubmatch(page)
	if block == nil {
		t.Fatal("docs/ingress.md shows no nginx")
	}
	for name, spoil := range map[string][]string{
		"accepts it as it is":                  nil,
		"accepts it without the issuer's Host": {"proxy_set_header Host $host;", "proxy_set_header Host backend.internal;"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newInstallation(t)
			ports, err := freePorts(1)
			if err != nil {
				t.Fatal(err)
			}
			_, port, _ := strings.Cut(i.address, ":") // the issuer's is nginx's now
			i.edited(t, `^address = "127.0.0.1:`+port+`"`, `address = "127.0.0.1:`+ports[0]+`"`)
			certificates := filepath.Join(i.folder, "tls")
			config := strings.NewReplacer(append(spoil,
				"/etc/countersign/ingress/login", filepath.Join(certificates, "server"), "/etc/countersign/ingress/upstream-ca.crt", filepath.Join(certificates, "ca.crt"),
				"443 ssl", port+" ssl", "127.0.0.1:8443", "127.0.0.1:"+ports[0], "login.example", "localhost",
			)...).Replace(string(block[1]))
			startNginx(t, t.TempDir(), port, "events {}\nhttp {\n"+config+"}\n")
			i.serve()
			output, err := exec.Command("countersign", "demo", "--auto", "--config", i.config()).CombinedOutput()
			if err != nil {
				t.Errorf("the demo: %v\n%s", err, output)
			}
			response, err := i.client.Get("https://" + i.address + "/device/settings")
			if err != nil {
				t.Fatal(err)
			}
			response.Body.Close()
			if response.StatusCode != http.StatusOK || !strings.HasPrefix(response.Header.Get("Server"), "nginx") {
				t.Errorf("%d by %q", response.StatusCode, response.Header.Get("Server"))
			}
		})
	}
}
