package ingress

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is a real ingress, started with its configuration from this folder.
type proxy struct {
	// source is what listen_mtls.source has to be.
	source string
	// program is looked for in the PATH and where `make packages-ingress` puts it.
	program string
	file    string
	// arguments start it in the foreground, given its configuration.
	arguments func(config, folder string) []string
}

// everyRun are the ingresses that every test run starts; build tag ingress adds the others.
func everyRun() []proxy {
	return []proxy{
		{"nginx", "nginx", "nginx.conf", func(config, folder string) []string {
			return []string{"-c", config, "-p", folder, "-e", "stderr", "-g", "daemon off; pid " + folder + "/pid; error_log stderr;"}
		}},
		{"haproxy", "haproxy", "haproxy.cfg", func(config, _ string) []string { return []string{"-db", "-f", config} }},
		{"envoy", "envoy", "envoy.yaml", func(config, _ string) []string {
			return []string{"-c", config, "--use-dynamic-base-id", "--concurrency", "1", "--log-level", "warning"}
		}},
	}
}

// find tells where a program is. One that is missing fails the test: an ingress that was not tried is not known to be safe.
func find(t *testing.T, program string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	ours := filepath.Join(cache, "countersign-ingress")
	for _, name := range []string{program, "/usr/sbin/" + program, filepath.Join(ours, "bin", program), filepath.Join(ours, "envoy", "envoy", "_bin", program)} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing; make packages-ingress installs it", program)
	return ""
}

// start runs the ingress before a backend and gives its address. From the configuration as it stands only the folder and
// the two ports are replaced.
func (p proxy) start(t *testing.T, folder, backend string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(p.file)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	_, backendPort, err := net.SplitHostPort(backend)
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"/etc/countersign/ingress", "8445", "8444"} {
		if !bytes.Contains(text, []byte(place)) {
			t.Fatalf("%s does not have %s", p.file, place)
		}
	}
	for i := 0; i < len(replace); i += 2 {
		spoilt := strings.ReplaceAll(string(text), replace[i], replace[i+1])
		if spoilt == string(text) {
			t.Fatalf("%s does not have %q", p.file, replace[i])
		}
		text = []byte(spoilt)
	}
	config := filepath.Join(folder, p.file)
	replaced := strings.NewReplacer("/etc/countersign/ingress", folder, "8445", port, "8444", backendPort).Replace(string(text))
	if err := os.WriteFile(config, []byte(replaced), 0o600); err != nil {
		t.Fatal(err)
	}
	output := new(safeBuffer)
	command := exec.Command(find(t, p.program), p.arguments(config, folder)...)
	command.Env = append(os.Environ(), "HOME="+folder, "ENVOY_UID=0")
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt) // it may have ended by itself
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = command.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", p.program, output)
		}
	})
	address := net.JoinHostPort("127.0.0.1", port)
	for range 300 {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("%s ended: %v", p.program, err)
		case <-time.After(50 * time.Millisecond):
		}
		if connection, err := net.Dial("tcp", address); err == nil {
			_ = connection.Close()
			return address
		}
	}
	t.Fatalf("%s does not listen", p.program)
	return ""
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}

type safeBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
