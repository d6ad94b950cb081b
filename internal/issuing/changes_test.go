package issuing_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/flowclient"
	"countersign/internal/issuers"
	"countersign/internal/serve"
)

// ready asks for the readiness of a host.
func (w *world) ready(t *testing.T, host string) int {
	t.Helper()
	connection := host
	if host == w.Main.Listen.Address {
		connection = ""
	}
	return w.ask(t, connection, host, "/health/ready", false).Status
}

// told has the server read everything again at once.
func (w *world) told() { w.reload <- syscall.SIGHUP }

// until waits for something to be so.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for range 1000 {
		if is() {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("never: %s", what)
}

// TestChanges: issuers are added, changed and removed while the others are served; what is wrong anywhere changes nothing.
//
// Covers: NM-78.
func TestChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, "b")
	w.Make("c")
	k := newKeys(t)
	w.register("b", "shared", k, nil)
	w.register("c", "shared", k, nil)
	w.serve()
	b := w.client("b", "shared", k)
	tokens, err := b.Flow(t.Context(), w.browser("b"))
	must(t, err)
	good := func(t *testing.T) { // b goes on, in all of this
		t.Helper()
		reply, err := b.Get(t.Context(), b.Endpoints.UserInfo, tokens.AccessToken)
		if err != nil || reply.Status != http.StatusOK {
			t.Errorf("b: %v, %d %s", err, reply.Status, reply.Body)
		}
	}
	const discovery = "/.well-known/openid-configuration"
	main, err := os.ReadFile(w.File)
	must(t, err)

	t.Run("refuses a wrong list, and goes on", func(t *testing.T) {
		must(t, os.WriteFile(w.File, append(main, "\n[[issuers]]\nname = \"main\"\nfile = \"absent.toml\"\n"...), 0o600))
		w.told()
		w.logs("issuers not changed; keeping previous", 1)
		if !strings.Contains(w.log.String(), "issuers[1].name") {
			t.Errorf("the key is not named:\n%s", w.log)
		}
		good(t)
	})
	t.Run("refuses a new issuer with a wrong file, names it, and goes on", func(t *testing.T) {
		file := w.Issuers["c"].File
		text, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, []byte(strings.Replace(string(text), "profiles =", "profiless =", 1)), 0o600))
		must(t, os.WriteFile(w.File, append(main, "\n[[issuers]]\nname = \"c\"\nfile = \""+file+"\"\n"...), 0o600))
		w.told()
		w.logs("issuers not changed; keeping previous", 2)
		if logged := w.log.String(); !strings.Contains(logged, "issuers[1].file: "+file+":") || !strings.Contains(logged, "unknown key; did you mean profiles?") {
			t.Errorf("what is wrong is not named:\n%s", logged)
		}
		good(t)
		if reply := w.ask(t, "main.localhost", "c.localhost", discovery, false); reply.Status != http.StatusMisdirectedRequest {
			t.Errorf("c: %d", reply.Status)
		}
		must(t, os.WriteFile(file, text, 0o600))
	})
	t.Run("accepts a new issuer", func(t *testing.T) {
		w.told()
		w.logs("issuer_name=c version=test", 1)
		c := w.client("c", "shared", k)
		if _, err := c.Flow(t.Context(), w.browser("c")); err != nil {
			t.Error(err)
		}
		good(t)
	})
	t.Run("accepts a changed issuer, beside requests in flight", func(t *testing.T) {
		file := w.Issuers["b"].File
		text, err := os.ReadFile(file)
		must(t, err)
		// A request whose body does not end yet.
		body, more := io.Pipe()
		answered := make(chan flowclient.Reply, 1)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.Endpoints.PAR, body)
		must(t, err)
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		go func() {
			response, err := b.HTTP.Do(request)
			if err != nil {
				answered <- flowclient.Reply{Body: []byte(err.Error())}
				return
			}
			answered <- read(t, response)
		}()
		_, err = io.WriteString(more, "client_id=sha")
		must(t, err)
		must(t, os.WriteFile(file, []byte(strings.Replace(string(text), "# access_token_lifetime = \"5m\"", "access_token_lifetime = \"4m\"", 1)), 0o600))
		w.told()
		w.logs("issuer_name=b version=test", 2)
		changed, err := b.Flow(t.Context(), w.browser("b"))
		if err != nil || changed.ExpiresIn != 240 {
			t.Errorf("%v, %d seconds", err, changed.ExpiresIn)
		}
		good(t)
		_, err = io.WriteString(more, "red")
		must(t, err)
		must(t, more.Close())
		if reply := <-answered; reply.Status != http.StatusUnauthorized { // there is no client authentication in it
			t.Errorf("the request in flight: %d %s", reply.Status, reply.Body)
		}
		w.logs(`msg="issuer closed" issuer_name=b`, 1)
		good(t)
	})
	t.Run("refuses what is of an issuer that was removed", func(t *testing.T) {
		must(t, os.WriteFile(w.File, main, 0o600))
		w.told()
		w.logs(`msg="issuer closed" issuer_name=c`, 1)
		if reply := w.ask(t, "", "c.localhost", discovery, false); reply.Status != http.StatusMisdirectedRequest {
			t.Errorf("c: %d", reply.Status)
		}
		good(t)
	})
	t.Run("accepts it again", func(t *testing.T) {
		w.Write("b", "c")
		w.told()
		w.logs("issuer_name=c version=test", 2)
		if w.ready(t, "c.localhost") != http.StatusOK {
			t.Error("c is not ready")
		}
		good(t)
	})
}

// TestOneAway: an issuer whose database is away makes only itself not ready, at the start and later.
//
// Covers: NM-79.
func TestOneAway(t *testing.T) {
	t.Parallel()
	var hidden string
	w := newWorld(t, func(name string, c *config.Config) {
		if name == "b" {
			hidden = c.Store.File.Path()
			must(t, os.Rename(hidden, hidden+".hidden"))
		}
	}, "b", "c")
	w.serve()
	t.Run("refuses what is for an issuer that cannot be opened, with 503", func(t *testing.T) {
		w.logs(`msg="issuer not opened; will be retried" issuer_name=b`, 1)
		reply := w.ask(t, "b.localhost", "b.localhost", "/authorize", false)
		if reply.Status != http.StatusServiceUnavailable || reply.OAuthError().Code != "temporarily_unavailable" || reply.Header.Get("Retry-After") != "5" {
			t.Errorf("%d %s %v", reply.Status, reply.Body, reply.Header)
		}
		if status := w.ready(t, "b.localhost"); status != http.StatusServiceUnavailable {
			t.Errorf("b is ready: %d", status)
		}
	})
	t.Run("accepts what is for the others, and the process is ready", func(t *testing.T) {
		for _, host := range []string{"main.localhost", "c.localhost", w.Main.Listen.Address} {
			if status := w.ready(t, host); status != http.StatusOK {
				t.Errorf("%s: %d", host, status)
			}
		}
	})
	t.Run("accepts the issuer when it can be opened", func(t *testing.T) {
		must(t, os.Rename(hidden+".hidden", hidden))
		w.logs("issuer_name=b version=test", 1)
		until(t, "b is ready", func() bool { return w.ready(t, "b.localhost") == http.StatusOK })
	})
}

// TestNothingShared: issuers that would share a host, a store or keys are refused by name, in the configuration, and where only what is
// in a store shows it, when they are opened.
//
// Covers: NM-80.
func TestNothingShared(t *testing.T) {
	t.Parallel()
	w := made.NewUnread(t, nil, "b")
	main := w.Issuers[issuers.Main].Config
	share := func(change func(b *config.Config)) error {
		w.Rewrite("b", change)
		c, err := config.Load(w.File)
		must(t, err)
		return serve.Check(t.Context(), c, time.Now)
	}
	for name, test := range map[string]struct {
		change func(b *config.Config)
		want   string
	}{
		"the host of another": {func(b *config.Config) { b.Issuer = main.Issuer + "/b" }, "issuer b has the host main.localhost of issuer main"},
		"the host for certificates of another": {func(b *config.Config) { b.ListenMTLS.URL = "https://MAIN.localhost:1/mtls" },
			"listen_mtls.url"},
		"the store of another": {func(b *config.Config) { b.Store.File = main.Store.File }, "issuer b has the store of issuer main"},
		"the keys of another": {func(b *config.Config) { b.Signer.DevelopmentKeyFile = main.Signer.DevelopmentKeyFile },
			"issuer b has the token of keys of issuer main"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			if err := share(test.change); err == nil || !strings.Contains(err.Error(), "issuers[0].file: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	t.Run("accepts issuers that share nothing", func(t *testing.T) {
		if err := share(func(*config.Config) {}); err != nil {
			t.Error(err)
		}
	})
	t.Run("refuses a copy of another's store, and serves the others", func(t *testing.T) {
		w := newWorld(t, nil, "b")
		w.serve() // which gives the store of main its identity
		w.stop()
		text, err := os.ReadFile(w.Main.Store.File.Path())
		must(t, err)
		must(t, os.WriteFile(w.Issuers["b"].Config.Store.File.Path(), text, 0o600))
		w.serve()
		w.logs("its store is that of the issuer main, or a copy of it", 1)
		if w.ready(t, "main.localhost") != http.StatusOK || w.ready(t, "b.localhost") != http.StatusServiceUnavailable {
			t.Error("main is not ready, or b is")
		}
	})
}

// TestProcessKeys: what belongs to the process is refused in the file of an issuer, by name, and is what the main file says.
//
// Covers: NM-81.
func TestProcessKeys(t *testing.T) {
	t.Parallel()
	w := made.NewUnread(t, nil, "b")
	file := w.Issuers["b"].File
	text, err := os.ReadFile(file)
	must(t, err)
	main, err := config.Load(w.File)
	must(t, err)
	for _, test := range []struct{ table, line, key string }{
		{"[telemetry]", `log_level = "debug"`, "telemetry.log_level"},
		{"[metrics]", `listen = "127.0.0.1:1"`, "metrics.listen"},
		{"[listen]", `address = "127.0.0.1:1"`, "listen.address"},
		{"[listen]", `ingress_networks = "10.0.0.0/8"`, "listen.ingress_networks"},
		{"[listen_mtls]", `source = "nginx"`, "listen_mtls.source"},
		{"[limits]", `connections = 7`, "limits.connections"},
		{"[limits]", `drain_time = "1s"`, "limits.drain_time"},
		{"[audit]", `node = "another"`, "audit.node"},
		{"[admin]", `listen = "127.0.0.1:1"`, "admin.listen"},
	} {
		t.Run("refuses "+test.key, func(t *testing.T) {
			changed := strings.Replace(string(text), "\n"+test.table+"\n", "\n"+test.table+"\n"+test.line+"\n", 1)
			if changed == string(text) {
				t.Fatalf("there is no %s in the file", test.table)
			}
			must(t, os.WriteFile(file, []byte(changed), 0o600))
			_, err := issuers.Load(main)
			if err == nil || !strings.Contains(err.Error(), ": "+test.key+": belongs to the process; set it in the main file, "+w.File) {
				t.Errorf("%v", err)
			}
		})
	}
	t.Run("refuses issuers of an issuer", func(t *testing.T) {
		must(t, os.WriteFile(file, []byte(string(text)+"\n[[issuers]]\nname = \"d\"\nfile = \"d.toml\"\n"), 0o600))
		if _, err := issuers.Load(main); err == nil || !strings.Contains(err.Error(), "issuers: belongs to the process") {
			t.Errorf("%v", err)
		}
	})
	must(t, os.WriteFile(file, text, 0o600))
	t.Run("accepts what is an issuer's, beside what the main file says", func(t *testing.T) {
		all, err := issuers.Load(main)
		must(t, err)
		b := all[1].Config
		if b.Listen.Address != main.Listen.Address || b.ListenMTLS.Address != main.ListenMTLS.Address || b.Telemetry != main.Telemetry ||
			b.Limits.DrainTime != main.Limits.DrainTime || b.Listen.CertificateFile == main.Listen.CertificateFile || b.Issuer == main.Issuer {
			t.Errorf("b has %+v, %+v, %+v", b.Listen, b.ListenMTLS, b.Limits)
		}
	})
	t.Run("accepts the certificate of the main file", func(t *testing.T) {
		w.Rewrite("b", func(c *config.Config) { c.Listen.CertificateFile, c.Listen.KeyFile = "", "" })
		changed, err := os.ReadFile(file)
		must(t, err)
		must(t, os.WriteFile(file, []byte(strings.NewReplacer("\ncertificate_file = \"\"\n", "\n", "\nkey_file = \"\"\n", "\n").Replace(string(changed))), 0o600))
		all, err := issuers.Load(main)
		must(t, err)
		if b := all[1].Config; b.Listen.CertificateFile != main.Listen.CertificateFile || b.Listen.KeyFile != main.Listen.KeyFile {
			t.Errorf("b has %+v", b.Listen)
		}
	})
}
