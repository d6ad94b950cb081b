package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// command runs a command of an installation, and returns what it printed and its exit code.
func (i *installation) command(arguments ...string) (stdout, stderr string, code int) {
	i.t.Helper()
	command := exec.Command("countersign", append(arguments, "--config", i.config())...)
	var out, problems strings.Builder
	command.Stdout, command.Stderr = &out, &problems
	_ = command.Run() // the exit code says it
	return out.String(), problems.String(), command.ProcessState.ExitCode()
}

// edited changes the configuration for the time of a test.
func (i *installation) edited(t *testing.T, pattern, replacement string) {
	t.Helper()
	before, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	after := regexp.MustCompile("(?m)"+pattern).ReplaceAllString(string(before), replacement)
	if after == string(before) {
		t.Fatalf("%s is not in the configuration", pattern)
	}
	if err := os.WriteFile(i.config(), []byte(after), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(i.config(), before, 0o600); err != nil {
			t.Fatal(err)
		}
	})
}

// Covers: FD-130. TestFD130OneValidation: what serve refuses, doctor and config print refuse, and with the same words.
func TestFD130OneValidation(t *testing.T) {
	i := newInstallation(t)
	file := func(name, content string) string {
		if err := os.WriteFile(filepath.Join(i.folder, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	t.Run("accepts what init has made", func(t *testing.T) {
		if out, problems, code := i.command("config", "print"); code != 0 || problems != "" {
			t.Errorf("print: %d, %s %s", code, out, problems)
		}
		if out, problems, code := i.command("doctor"); code != 0 || strings.Contains(out, "FAIL") {
			t.Errorf("doctor: %d, %s %s", code, out, problems)
		}
	})
	for name, test := range map[string]struct{ from, to, want string }{
		"refuses profiles that do not exist":         {`^profiles = .*`, `profiles = "fapi2 oidc"`, "there is no profile fapi2; known are"},
		"refuses a profile without its listener":     {`(?s)^\[listen_mtls\].*?^\[store\]`, "[listen_mtls]\n[store]", "fapi1-advanced binds access tokens to certificates only"},
		"refuses a schema that is none":              {`^schema_file = "authorization-details/payment_initiation.json"`, `schema_file = "` + file("none.json", "{}") + `"`, "its schema must be an object"},
		"refuses a schema that is not JSON":          {`^schema_file = "authorization-details/payment_initiation.json"`, `schema_file = "` + file("text.json", "text") + `"`, "its schema is not JSON"},
		"refuses ping keys that are none":            {`^ping_keys_file = .*`, `ping_keys_file = "` + file("other.keys", "none") + `"`, "ciba.ping_keys_file: "},
		"refuses authorities without a certificate":  {`^client_ca_file = .*`, `client_ca_file = "` + file("ca.pem", "none") + `"`, "holds no certificate in PEM form"},
		"refuses outbound authorities that are none": {`^ca_file = .*`, `ca_file = "` + file("out.pem", "none") + `"`, "outbound.ca_file: "},
		"refuses another certificate's key":          {`^key_file = .*`, `key_file = "tls/client-ca.key"`, "listen.certificate_file and listen.key_file: "},
		"refuses preload on localhost":               {`^# strict_transport_security = .*`, `strict_transport_security = "preload"`, "not for an issuer on this machine"},
		"refuses headers that are none":              {`^# otlp_endpoint = .*`, "otlp_endpoint = \"https://localhost:4318\"\notlp_headers_file = \"" + file("h.headers", "none") + `"`, "telemetry.otlp_headers_file: "},
	} {
		t.Run(name, func(t *testing.T) {
			i.edited(t, test.from, test.to)
			if out, problems, code := i.command("config", "print"); code != exitUsage || !strings.Contains(problems, test.want) {
				t.Errorf("print: %d, %s (%d bytes on standard output)", code, problems, len(out))
			}
			if out, problems, code := i.command("doctor"); code == 0 || !strings.Contains(out+problems, test.want) {
				t.Errorf("doctor: %d, %s %s", code, out, problems)
			}
			if _, problems, code := i.command("serve"); code != exitUsage || !strings.Contains(problems, test.want) {
				t.Errorf("serve: %d, %s", code, problems)
			}
		})
	}
}

// Covers: FD-132. TestFD132JSON: what lists prints an object a line, what shows prints one, with times by RFC 3339.
func TestFD132JSON(t *testing.T) {
	i := newInstallation(t)
	if _, problems, code := i.command("clients", "tokens", "add", "Bank", "--clients", "3", "--for", "1h"); code != 0 {
		t.Fatal(problems)
	}
	kid := regexp.MustCompile(`(?m)^(\S+) +PS256`).FindStringSubmatch(first(i.command("keys", "list")))[1]
	moment := regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$`)
	for _, arguments := range []string{
		"clients list", "clients tokens list", "users list", "keys list", "keys verify", "migrate status", "doctor",
		"grants list", "grants consents", "devices list alice", "clients show demo-dpop", "keys show --kid=" + kid, "keys attest --kid=" + kid, "version",
	} {
		t.Run("accepts --json with "+strings.Fields(arguments)[0]+" "+strings.Fields(arguments + " -")[1], func(t *testing.T) {
			out, problems, code := i.command(append(strings.Fields(arguments), "--json")...)
			if code != 0 {
				t.Fatalf("%d, %s", code, problems)
			}
			objects := 0
			for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); objects++ {
				var object map[string]any
				if err := decoder.Decode(&object); err != nil {
					t.Fatalf("%v in %s", err, out)
				}
				for name, value := range object {
					if text, is := value.(string); is && strings.HasSuffix(name, "_at") && !moment.MatchString(text) {
						t.Errorf("%s is %q", name, text)
					}
				}
			}
			if empty := strings.HasPrefix(arguments, "grants") || strings.HasPrefix(arguments, "devices"); objects == 0 && !empty {
				t.Error("nothing is listed")
			}
			if lists := !strings.Contains(arguments, "show") && !strings.Contains(arguments, "attest") && arguments != "version"; lists {
				lines := bufio.NewScanner(strings.NewReader(out))
				for lines.Scan() {
					if !json.Valid(lines.Bytes()) {
						t.Errorf("the line %q is no object", lines.Text())
					}
				}
			}
		})
	}
	t.Run("accepts tables with the same times", func(t *testing.T) {
		for _, arguments := range []string{"users list", "keys list", "clients tokens list", "migrate status"} {
			if out := first(i.command(strings.Fields(arguments)...)); !regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`).MatchString(out) {
				t.Errorf("%s: %s", arguments, out)
			}
		}
	})
	for code, commands := range map[int][]string{
		0:         {"keys list", "doctor", "clients show demo-dpop"},
		exitError: {"clients show nobody", "users disable nobody", "grants revoke nothing", "keys show --kid=nothing", "people export nobody", "devices list nobody"},
		exitUsage: {"keys lst", "keys list --jsn", "clients", "users add", "grants list --limit 0", "grants list --since yesterday", "audit verify --file " + i.config(), "audit export --drop-before 2026-01-01"},
	} {
		for _, arguments := range commands {
			kind := map[bool]string{true: "accepts ", false: "refuses "}[code == 0]
			t.Run(kind+arguments, func(t *testing.T) {
				if out, problems, got := i.command(strings.Fields(arguments)...); got != code {
					t.Errorf("%d, want %d: %s %s", got, code, out, problems)
				}
			})
		}
	}
}

// first is the first of what a command gives.
func first(stdout, _ string, _ int) string { return stdout }

// Covers: FD-133. TestFD133Restore: a restored database is served once nothing that was used since the backup can be used
// again, and the time is printed.
func TestFD133Restore(t *testing.T) {
	i := newInstallation(t)
	backup, database := filepath.Join(i.folder, "copy.db"), filepath.Join(i.folder, "countersign.db")
	if _, problems, code := i.command("backup", backup); code != 0 {
		t.Fatal(problems)
	}
	restore := func(t *testing.T) string {
		t.Helper()
		if err := os.RemoveAll(database + ".replaced"); err != nil {
			t.Fatal(err)
		}
		out, problems, code := i.command("restore", backup)
		if code != 0 {
			t.Fatal(problems)
		}
		return out
	}
	t.Run("refuses to serve at once", func(t *testing.T) {
		out := restore(t)
		printed := regexp.MustCompile(`the server starts from (\S+) on`).FindStringSubmatch(out)
		if printed == nil {
			t.Fatalf("restore does not say until when: %s", out)
		}
		until, err := time.Parse(time.RFC3339, printed[1])
		if left := time.Until(until); err != nil || left < 55*time.Minute || left > 61*time.Minute { // there is CIBA
			t.Errorf("until %s, %v", printed[1], err)
		}
		if _, problems, code := i.command("serve"); code != exitError || !strings.Contains(problems, "could be used again until "+printed[1]) {
			t.Errorf("serve ends with %d: %s", code, problems)
		}
		if out, problems, code := i.command("users", "list"); code != 0 { // whoever looks after it need not wait
			t.Errorf("users list: %s %s", out, problems)
		}
	})
	t.Run("accepts it when that is over", func(t *testing.T) {
		past := time.Now().Add(-time.Minute).UTC().Format(time.RFC3339)
		if err := os.WriteFile(database+".restored", []byte(past+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		server := i.serve()
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Errorf("%d: %s", code, server.logs)
		}
		if _, err := os.Stat(database + ".restored"); err == nil {
			t.Error("the note stays")
		}
	})
	t.Run("accepts it at once when the server was away for long", func(t *testing.T) {
		long := time.Now().Add(-2 * time.Hour)
		if err := os.Chtimes(database, long, long); err != nil {
			t.Fatal(err)
		}
		if out := restore(t); strings.Contains(out, "the server starts from") {
			t.Errorf("restore: %s", out)
		}
	})
	t.Run("refuses a backup that is none, and leaves no note", func(t *testing.T) {
		if _, _, code := i.command("restore", i.config()); code != exitError {
			t.Errorf("restore ends with %d", code)
		}
		if _, err := os.Stat(database + ".restored"); err == nil {
			t.Error("there is a note")
		}
	})
}

// Covers: FD-137. TestFD137Init: a set-up keeps its ports and says what it is not for; one for production belongs to its user.
func TestFD137Init(t *testing.T) {
	i := newInstallation(t)
	again := func(arguments ...string) (string, int) {
		output, _ := exec.Command("countersign", append([]string{"init", "--dev", "--dir", i.folder}, arguments...)...).CombinedOutput()
		return string(output), map[bool]int{true: 0, false: exitError}[!strings.HasPrefix(string(output), "countersign: ")]
	}
	redirect := func(port string) bool {
		return strings.Contains(first(i.command("clients", "show", "demo-dpop")), "https://localhost:"+port+"/callback")
	}
	t.Run("accepts the ports that it has", func(t *testing.T) {
		if output, code := again(); code != 0 || !strings.Contains(output, "everything was there already") || !redirect(i.demoPort) {
			t.Errorf("%d: %s", code, output)
		}
	})
	t.Run("accepts another port of the demo", func(t *testing.T) {
		if output, code := again("--demo-port", "9999"); code != 0 || !redirect("9999") {
			t.Errorf("%d: %s", code, output)
		}
		if output, code := again(); code != 0 || !redirect("9999") {
			t.Errorf("the next time: %d: %s", code, output)
		}
	})
	t.Run("refuses ports that the configuration does not have", func(t *testing.T) {
		if output, code := again("--port", "9443"); code == 0 || !strings.Contains(output, "change issuer and listen.address there") {
			t.Errorf("%d: %s", code, output)
		}
		if output, code := again("--mtls-port", "9444"); code == 0 || !strings.Contains(output, "change listen_mtls.url and listen_mtls.address there") {
			t.Errorf("%d: %s", code, output)
		}
	})
	t.Run("accepts that it is for trying, and says so", func(t *testing.T) {
		text, err := os.ReadFile(i.config())
		if err != nil || !strings.Contains(string(text), "Not for production as it is.") || !strings.Contains(string(text), "# This is laxer than the default, which is 5.\npending_per_person = 100") {
			t.Errorf("%v: %.400s", err, text)
		}
		if out := first(i.command("doctor")); !strings.Contains(out, "laxer than the defaults: ") {
			t.Errorf("doctor: %s", out)
		}
		server := i.serve()
		server.signal(syscall.SIGTERM)
		server.wait()
		if count := strings.Count(server.logs.String(), "configuration laxer than the defaults"); count != 1 {
			t.Errorf("said %d times: %s", count, server.logs)
		}
	})
	t.Run("refuses to be silent on a listener that was moved", func(t *testing.T) {
		i.edited(t, `^address = "127.0.0.1:`+strings.TrimPrefix(i.address, "localhost:")+`"`, `address = "127.0.0.1:1"`)
		if out := first(i.command("doctor")); !strings.Contains(out, "listen.address has the port 1 and the issuer "+strings.TrimPrefix(i.address, "localhost:")) {
			t.Errorf("doctor: %s", out)
		}
	})

	folder := filepath.Join(t.TempDir(), "etc")
	production := func(arguments ...string) (string, error) {
		output, err := exec.Command("countersign", append([]string{"init", "--dir", folder, "--issuer", "https://id.bank.example",
			"--module", "/usr/lib/vendor/libpkcs11.so", "--token", "countersign", "--pin-file", "/etc/countersign/pin"}, arguments...)...).CombinedOutput()
		return string(output), err
	}
	name := "nobody"
	if os.Geteuid() != 0 { // who is not root can give files to nobody else
		current, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		name = current.Username
	}
	known, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Run("accepts an owner", func(t *testing.T) {
		output, err := production("--owner", name, "--store-file", "/var/lib/countersign/countersign.db")
		if err != nil || strings.Contains(output, "chown") {
			t.Fatalf("%v: %s", err, output)
		}
		for _, file := range []string{folder, filepath.Join(folder, "countersign.toml")} {
			info, err := os.Stat(file)
			if err != nil {
				t.Fatal(err)
			}
			if is := info.Sys().(*syscall.Stat_t).Uid; known.Uid != strconv.FormatUint(uint64(is), 10) {
				t.Errorf("%s belongs to %d, not %s", file, is, known.Uid)
			}
		}
		text, err := os.ReadFile(filepath.Join(folder, "countersign.toml"))
		if err != nil || !strings.Contains(string(text), `file = "/var/lib/countersign/countersign.db"`) || strings.Contains(string(text), "laxer") {
			t.Errorf("%v: %s", err, text)
		}
	})
	folder = filepath.Join(t.TempDir(), "other")
	t.Run("refuses an owner that is none", func(t *testing.T) {
		if output, err := production("--owner", "no-such-user-here"); err == nil || !strings.Contains(output, "unknown user") {
			t.Errorf("%v: %s", err, output)
		}
	})
	folder = filepath.Join(t.TempDir(), "roots")
	t.Run("accepts no owner, and says who can read it", func(t *testing.T) {
		output, err := production()
		if told := strings.Contains(output, "chown -R"); err != nil || told != (os.Geteuid() == 0) {
			t.Errorf("%v: %s", err, output)
		}
	})
}
