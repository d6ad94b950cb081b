package peers

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// installation is what `init --dev` makes, in a folder of its own and on free ports.
type installation struct {
	t      *testing.T
	binary string
	folder string
	// settings is the file that tells the scripts of it all.
	settings string
}

// newInstallation makes one whose server demands nonces in DPoP proofs, or does not.
func newInstallation(t *testing.T, binary string, nonces bool) *installation {
	t.Helper()
	main, mtls, demo := freePorts(t)
	i := &installation{t: t, binary: binary, folder: filepath.Join(t.TempDir(), "local")}
	output, err := exec.Command(binary, "init", "--dev", "--dir", i.folder,
		"--port", main, "--mtls-port", mtls, "--demo-port", demo).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	certificates := i.makeCertificates()
	// The scripts serve their clients' keys with the server's own certificate, on another port.
	i.set(`ca_file = "tls/outbound.crt"`, `ca_file = "tls/ca.crt"`)
	i.set(`profiles = "fapi2-security fapi2-message-signing fapi1-advanced"`, `profiles = "fapi2-security"`)
	i.configure("[dpop]\n", fmt.Sprintf("require_nonce = %v\n", nonces))
	i.add("[[resource_servers]]\nidentifier = \"https://payments.example/\"\nscopes = \"payments\"\n")
	i.add("[[scopes]]\nname = \"payments\"\ndescription = \"Make payments\"\n")
	i.settings = filepath.Join(t.TempDir(), "settings.json")
	settings, err := json.Marshal(map[string]any{
		"nonces": nonces,
		"issuer": "https://localhost:" + main, "mtls": "https://localhost:" + mtls,
		"binary": binary, "config": i.config(), "authority": i.authority(), "certificates": certificates,
		"password":    filepath.Join(i.folder, "demo", "password"),
		"certificate": filepath.Join(i.folder, "tls", "server.crt"), "key": filepath.Join(i.folder, "tls", "server.key"),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(i.settings, settings, 0o600); err != nil {
		t.Fatal(err)
	}
	return i
}

func (i *installation) config() string    { return filepath.Join(i.folder, "countersign.toml") }
func (i *installation) authority() string { return filepath.Join(i.folder, "tls", "ca.crt") }

// configure writes keys under the header of a section.
func (i *installation) configure(section, keys string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	if strings.Count(string(text), "\n"+section) != 1 {
		i.t.Fatalf("the configuration has no one %s", section)
	}
	i.write(strings.Replace(string(text), "\n"+section, "\n"+section+keys, 1))
}

// set replaces a line of the configuration.
func (i *installation) set(line, by string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	if strings.Count(string(text), "\n"+line+"\n") != 1 {
		i.t.Fatalf("the configuration has no one line %s", line)
	}
	i.write(strings.Replace(string(text), "\n"+line+"\n", "\n"+by+"\n", 1))
}

// add writes a section at the end.
func (i *installation) add(section string) {
	i.t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		i.t.Fatal(err)
	}
	i.write(string(text) + "\n" + section)
}

func (i *installation) write(config string) {
	i.t.Helper()
	if err := os.WriteFile(i.config(), []byte(config), 0o600); err != nil {
		i.t.Fatal(err)
	}
}

// freePorts finds three ports that nobody listens on.
func freePorts(t *testing.T) (first, second, third string) {
	t.Helper()
	var ports [3]string
	for n := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close() // all at once, so that no two are the same
		ports[n] = fmt.Sprint(listener.Addr().(*net.TCPAddr).Port)
	}
	return ports[0], ports[1], ports[2]
}

// running is a serving process.
type running struct {
	t       *testing.T
	command *exec.Cmd
	logs    *logBuffer
}

// serve starts the server and waits until it is ready.
func (i *installation) serve() *running {
	i.t.Helper()
	r := &running{t: i.t, logs: &logBuffer{ready: make(chan struct{})}}
	r.command = exec.Command(i.binary, "serve", "--config", i.config())
	r.command.Stdout, r.command.Stderr = r.logs, r.logs
	if err := r.command.Start(); err != nil {
		i.t.Fatal(err)
	}
	i.t.Cleanup(func() { _ = r.command.Process.Kill() }) // it may have ended as it should
	select {
	case <-r.logs.ready:
	case <-time.After(30 * time.Second):
		i.t.Fatalf("the server is not ready:\n%s", r.logs)
	}
	return r
}

// checkLogs ends the server: whatever the scripts did, nothing in it failed, and it logged no token.
func (r *running) checkLogs() {
	r.t.Helper()
	if err := r.command.Process.Signal(syscall.SIGTERM); err != nil {
		r.t.Fatal(err)
	}
	if err := r.command.Wait(); err != nil {
		r.t.Errorf("the server ended with %v", err)
	}
	for line := range strings.Lines(r.logs.String()) {
		if strings.Contains(line, "audit checkpoint") {
			continue // a signed statement that is to be read by everybody
		}
		for _, bad := range []string{"level=ERROR", "panic", "DATA RACE", "eyJ", "urn:ietf:params:oauth:request_uri:"} {
			if strings.Contains(line, bad) {
				r.t.Errorf("the log has a line with %s: %s", bad, line)
			}
		}
	}
}

// logBuffer keeps what the server writes and closes ready when it says that it is.
type logBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
	once   sync.Once
	ready  chan struct{}
}

// Write implements io.Writer.
func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n, err := b.buffer.Write(p)
	if bytes.Contains(b.buffer.Bytes(), []byte("msg=ready")) {
		b.once.Do(func() { close(b.ready) })
	}
	return n, err
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}
