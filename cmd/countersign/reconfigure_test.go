package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// rewrite changes the configuration file.
func (i *installation) rewrite(change func(string) string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	if err := os.WriteFile(i.config(), []byte(change(string(text))), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// with puts lines into a table of the configuration, which is made where it is not there.
func with(table, lines string) func(string) string {
	return func(text string) string {
		header := "\n[" + table + "]\n"
		for line := range strings.SplitSeq(lines, "\n") {
			name, _, _ := strings.Cut(line, " = ")
			text = regexp.MustCompile(`(?m)(\n\[`+regexp.QuoteMeta(table)+`\]\n(?:[^\[\n].*\n|\n)*?)`+name+` = .*\n`).ReplaceAllString(text, "$1")
		}
		if strings.Contains(text, header) {
			return strings.Replace(text, header, header+lines+"\n", 1)
		}
		return text + header + lines + "\n"
	}
}

// get reads an address of the server.
func (i *installation) get(path string) (int, string) {
	i.t.Helper()
	response, err := i.client.Get("https://" + i.address + path)
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		i.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

// scopes are those of the discovery document.
func (i *installation) scopes() string {
	i.t.Helper()
	var document struct {
		Scopes []string `json:"scopes_supported"`
	}
	_, body := i.get("/.well-known/openid-configuration")
	if err := json.Unmarshal([]byte(body), &document); err != nil {
		i.t.Fatal(err)
	}
	return " " + strings.Join(document.Scopes, " ") + " "
}

// times waits until a text is in the log so often.
func (r *running) times(want string, count int) {
	r.t.Helper()
	for range 600 {
		if strings.Count(r.logs.String(), want) >= count {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	r.t.Fatalf("%q is not in the log %d times:\n%s", want, count, r.logs)
}

// load sends requests on connections that stay and on new ones until stop, and counts those that are not answered as they should be.
func (i *installation) load() (stop func() (sent, lost int64, last string)) {
	var ended atomic.Bool
	var sent, lost atomic.Int64
	var last atomic.Pointer[string]
	var all sync.WaitGroup
	for worker := range 6 {
		transport := i.client.Transport.(*http.Transport).Clone()
		transport.DisableKeepAlives = worker%3 == 0
		transport.ForceAttemptHTTP2 = worker%3 == 1
		client := &http.Client{Transport: transport, Timeout: 10 * time.Second}
		all.Go(func() {
			defer transport.CloseIdleConnections()
			for n := 0; !ended.Load(); n++ {
				problem := ""
				var response *http.Response
				var err error
				want := http.StatusOK
				switch n % 3 {
				case 0:
					response, err = client.Get("https://" + i.address + "/.well-known/openid-configuration")
				case 1:
					response, err = client.Get("https://" + i.address + "/health/ready")
				default:
					want = http.StatusUnauthorized
					response, err = client.Post("https://"+i.address+"/token", "application/x-www-form-urlencoded", strings.NewReader("grant_type=client_credentials"))
				}
				if err != nil {
					problem = err.Error()
				} else {
					if _, err := io.Copy(io.Discard, response.Body); err != nil {
						problem = err.Error()
					}
					response.Body.Close()
					// Failed authentications of one address are limited.
					if response.StatusCode != want && (want == http.StatusOK || response.StatusCode != http.StatusTooManyRequests) {
						problem = response.Status
					}
				}
				if sent.Add(1); problem != "" {
					lost.Add(1)
					last.Store(&problem)
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return func() (int64, int64, string) {
		ended.Store(true)
		all.Wait()
		if problem := last.Load(); problem != nil {
			return sent.Load(), lost.Load(), *problem
		}
		return sent.Load(), lost.Load(), ""
	}
}

// Covers: NM-86, NM-87, NM-89, NM-90. A server takes a new configuration by SIGHUP under load without losing a request; a wrong one is
// refused as a whole and named, one that needs a restart is named, and config check says so before.
func TestNM86Reload(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	stop := i.load()
	hangup := func(want string, times int) {
		t.Helper()
		server.signal(syscall.SIGHUP)
		server.times(want, times)
	}
	check := func() (string, int) {
		command := exec.Command("countersign", "config", "check", "--config", i.config())
		output, _ := command.CombinedOutput() // the exit code says it
		return string(output), command.ProcessState.ExitCode()
	}
	const taken, refused = "event=configuration_reloaded", "configuration reload refused; keeping previous"
	t.Run("accepts a file that is as it was, and check says that nothing differs", func(t *testing.T) {
		if output, code := check(); code != 0 || !strings.Contains(output, "No key differs.") {
			t.Errorf("%d %s", code, output)
		}
	})
	t.Run("accepts a name, a scope, limits and the level of the log", func(t *testing.T) {
		if _, page := i.get("/nowhere-page"); strings.Contains(page, "Reloaded Bank") {
			t.Fatal(page)
		}
		i.rewrite(with("brand", "name = \"Reloaded Bank\""))
		i.rewrite(with("telemetry", "log_level = \"debug\""))
		i.rewrite(with("limits", "client_per_second = 49\nclient_burst = 199"))
		i.rewrite(func(text string) string {
			return text + "\n[[scopes]]\nname = \"reloaded\"\ndescription = \"Read again\"\n"
		})
		output, code := check()
		for _, want := range []string{"brand.name: differs; taken by a reload", "telemetry.log_level: differs; taken by a reload", "limits.client_burst: differs; taken by a reload"} {
			if code != 0 || !strings.Contains(output, want) {
				t.Errorf("%d, no %s in\n%s", code, want, output)
			}
		}
		if strings.Contains(i.scopes(), " reloaded ") {
			t.Error("check has changed the server")
		}
		hangup(taken, 1)
		if !strings.Contains(i.scopes(), " reloaded ") {
			t.Error("the scope is not offered")
		}
		server.times("level=DEBUG", 1)
		if output, code := check(); code != 0 || !strings.Contains(output, "No key differs.") {
			t.Errorf("%d %s", code, output)
		}
	})
	t.Run("refuses a wrong value, and all else of that file, with its place", func(t *testing.T) {
		before, err := os.ReadFile(i.config())
		if err != nil {
			t.Fatal(err)
		}
		i.rewrite(with("tokens", "access_token_lifetime = \"2h\""))
		i.rewrite(func(text string) string { return strings.Replace(text, `name = "reloaded"`, `name = "never"`, 1) })
		hangup(refused, 1)
		server.logged("tokens.access_token_lifetime")
		if !regexp.MustCompile(regexp.QuoteMeta(i.config()) + `:\d+: tokens\.access_token_lifetime`).MatchString(server.logs.String()) {
			t.Errorf("no line is named:\n%s", server.logs)
		}
		if strings.Contains(i.scopes(), " never ") || !strings.Contains(i.scopes(), " reloaded ") {
			t.Error(i.scopes())
		}
		if status, body := i.get("/health/ready"); status != 200 || !strings.Contains(body, "was changed and refused") {
			t.Errorf("%d %s", status, body)
		}
		if output, code := check(); code != 2 || !strings.Contains(output, "tokens.access_token_lifetime") {
			t.Errorf("%d %s", code, output)
		}
		if err := os.WriteFile(i.config(), before, 0o600); err != nil {
			t.Fatal(err)
		}
		hangup("configuration files are those in use again", 1)
		if _, body := i.get("/health/ready"); strings.Contains(body, "was changed and refused") {
			t.Error(body)
		}
	})
	t.Run("refuses a file that a key names and that cannot be used, and takes it when it can", func(t *testing.T) {
		logo := filepath.Join(i.folder, "logo.svg")
		if err := os.WriteFile(logo, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><script/></svg>`), 0o600); err != nil {
			t.Fatal(err)
		}
		i.rewrite(with("brand", "logo_file = \"logo.svg\""))
		hangup(refused, 2)
		server.logged("brand.logo_file")
		if err := os.WriteFile(logo, []byte(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>`), 0o600); err != nil {
			t.Fatal(err)
		}
		hangup(taken, 2)
	})
	t.Run("refuses what needs a restart, names it, and takes the rest", func(t *testing.T) {
		i.rewrite(with("audit", "checkpoint_entries = 999"))
		i.rewrite(func(text string) string { return strings.Replace(text, `name = "reloaded"`, `name = "third"`, 1) })
		if output, code := check(); code != 0 || !strings.Contains(output, "audit.checkpoint_entries: differs; taken by a restart only: the chain of this node has one writer") {
			t.Errorf("%d %s", code, output)
		}
		hangup(taken, 3)
		server.logged(`msg="configuration changes not taken; restart to take them" keys=audit.checkpoint_entries`)
		if !strings.Contains(i.scopes(), " third ") {
			t.Error("the rest was not taken")
		}
		if output, _ := check(); !strings.Contains(output, "audit.checkpoint_entries: differs; taken by a restart only: the chain of this node has one writer") || strings.Contains(output, "by a reload") {
			t.Errorf("it is taken for taken:\n%s", output)
		}
	})
	t.Run("accepts one configuration after another", func(t *testing.T) {
		for n := range 5 {
			i.rewrite(with("sessions", "lifetime = \""+[]string{"31m", "32m", "33m", "34m", "35m"}[n]+"\""))
			hangup(taken, 4+n)
		}
	})
	t.Run("accepts every request meanwhile", func(t *testing.T) {
		sent, lost, last := stop()
		t.Logf("%d requests, %d lost", sent, lost)
		if sent < 100 || lost > 0 {
			t.Errorf("%d requests, %d lost: %s", sent, lost, last)
		}
	})
	t.Run("accepts a change that nobody tells of", func(t *testing.T) {
		i.rewrite(with("sessions", "lifetime = \"36m\""))
		for until := time.Now().Add(30 * time.Second); strings.Count(server.logs.String(), taken) < 9; time.Sleep(100 * time.Millisecond) {
			if time.Now().After(until) {
				t.Fatalf("not taken:\n%s", server.logs)
			}
		}
	})
	server.signal(syscall.SIGTERM)
	if code := server.wait(); code != 0 {
		t.Errorf("the server ended with %d:\n%s", code, server.logs)
	}
	t.Run("accepts that no server runs", func(t *testing.T) {
		if output, code := check(); code != 0 || !strings.Contains(output, "No server runs with it") {
			t.Errorf("%d %s", code, output)
		}
	})
}
