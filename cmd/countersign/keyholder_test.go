package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"countersign/internal/hsm"
)

// TestCrypto11: the whole server runs with the module in its own process.
func TestCrypto11(t *testing.T) {
	i := newInstallation(t)
	usual := i.serve()
	if children(t, usual) == "" {
		t.Error("the usual server has no worker: the test would not see one")
	}
	usual.signal(syscall.SIGTERM)
	usual.wait()
	settings, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(settings), "\n[signer]\n", "\n[signer]\nbackend = \"crypto11\"\n", 1)
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	// The keys that init made include one for EdDSA, which crypto11 cannot sign with.
	if output, err := exec.Command("countersign", "doctor", "--config", i.config()).CombinedOutput(); err == nil || !strings.Contains(string(output), "crypto11 does not know Ed25519") {
		t.Errorf("doctor with an EdDSA key: %v\n%s", err, output)
	}
	if err := os.Remove(filepath.Join(i.folder, "countersign.db")); err != nil {
		t.Fatal(err)
	}
	if output, err := exec.Command("countersign", "init", "--dev", "--dir", i.folder, "--demo-port", i.demoPort).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	server := i.serve()
	i.works(server, hsm.InProcessWarning)
	if report := i.ready(); strings.Contains(report, "warning") {
		t.Errorf("readiness warns: %s", report)
	}
}

// TestDevelopmentKeys: the whole server runs with a development key file, and says so wherever it is asked.
func TestDevelopmentKeys(t *testing.T) {
	i := newInstallation(t, "--dev-keys")
	if _, err := os.Stat(filepath.Join(i.folder, "hsm", "pin")); err == nil {
		t.Error("a token was made all the same")
	}
	for range 2 { // at every start
		server := i.serve()
		i.works(server, hsm.DevelopmentWarning)
		if report := i.ready(); !strings.Contains(report, hsm.DevelopmentWarning) {
			t.Errorf("readiness does not warn: %s", report)
		}
		server.signal(syscall.SIGTERM)
		if code := server.wait(); code != 0 {
			t.Fatalf("the server ended with %d\n%s", code, server.logs)
		}
	}
}

// works has the demo use the server, which must have warned and must sign by itself.
func (i *installation) works(server *running, warning string) {
	i.t.Helper()
	if logs := server.logs.String(); !strings.Contains(logs, warning) {
		i.t.Errorf("the log does not warn:\n%s", logs)
	}
	// A worker may have been started to try the key that decrypts. It is stopped, so that nothing can be signed there.
	for _, worker := range strings.Fields(children(i.t, server)) {
		if warning != hsm.InProcessWarning {
			i.t.Errorf("the server has the child %s: it does not sign by itself", worker)
		}
		pid, err := strconv.Atoi(worker)
		if err != nil {
			i.t.Fatal(err)
		}
		if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil && !errors.Is(err, syscall.ESRCH) {
			i.t.Fatal(err)
		}
		defer func() { _ = syscall.Kill(pid, syscall.SIGCONT) }()
	}
	output, err := exec.Command("countersign", "demo", "--auto", "--config", i.config(), "--port", i.demoPort).CombinedOutput()
	if err != nil {
		i.t.Errorf("the demo: %v\n%s\n%s", err, output, server.logs)
	}
}

// children are the processes that any thread of the server has started.
func children(t *testing.T, server *running) string {
	t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", server.cmd.Process.Pid))
	if err != nil || len(lists) == 0 {
		t.Fatalf("%d has no threads: %v", server.cmd.Process.Pid, err)
	}
	var all strings.Builder
	for _, list := range lists {
		some, err := os.ReadFile(list)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // the thread has ended
			t.Fatal(err)
		}
		all.Write(some)
	}
	return all.String()
}

// ready is what the server says of its readiness.
func (i *installation) ready() string {
	i.t.Helper()
	response, err := i.client.Get(i.issuer() + "/health/ready")
	if err != nil {
		i.t.Fatal(err)
	}
	defer response.Body.Close()
	report, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		i.t.Errorf("not ready: %d %s %v", response.StatusCode, report, err)
	}
	return string(report)
}
