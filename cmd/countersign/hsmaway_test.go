//go:build cgo && !nopkcs11

package main

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"countersign/internal/config"
	"countersign/internal/hsm"
	"countersign/signer"
	"countersign/signer/pkcs11"
)

const withoutHSM = "serving without the HSM"

// health is the status of one of the server's health endpoints.
func (i *installation) health(path string) int {
	i.t.Helper()
	response, err := i.client.Get("https://" + i.address + path)
	if err != nil {
		i.t.Fatal(err)
	}
	if err := response.Body.Close(); err != nil {
		i.t.Error(err)
	}
	return response.StatusCode
}

// becomesReady waits until the server is ready.
func (i *installation) becomesReady(server *running) {
	i.t.Helper()
	for began := time.Now(); i.health("/health/ready") != http.StatusOK; time.Sleep(100 * time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			i.t.Fatalf("it is not ready after 10 s:\n%s", server.logs)
		}
	}
}

// waits expects a server that lives and is not ready.
func (i *installation) waits(server *running) {
	i.t.Helper()
	if live, ready := i.health("/health/live"), i.health("/health/ready"); live != http.StatusOK || ready != http.StatusServiceUnavailable {
		i.t.Errorf("live %d, ready %d:\n%s", live, ready, server.logs)
	}
}

// ends ends a server in order.
func (r *running) ends() {
	r.t.Helper()
	r.signal(syscall.SIGTERM)
	if code := r.wait(); code != 0 {
		r.t.Errorf("it ended with %d:\n%s", code, r.logs)
	}
}

// TestServeBeforeItsHSM: a server whose HSM is away when it starts serves and is not ready; it is ready when the HSM comes.
//
// Covers: FD-95.
func TestServeBeforeItsHSM(t *testing.T) {
	i := newInstallation(t)
	here, away := filepath.Join(i.folder, "hsm", "tokens"), filepath.Join(i.folder, "hsm", "away")
	if err := errors.Join(os.Rename(here, away), os.Mkdir(here, 0o700)); err != nil {
		t.Fatal(err)
	}
	server := i.serveUntil(withoutHSM)
	i.waits(server)
	if strings.Contains(server.logs.String(), "msg=ready") || !strings.Contains(server.logs.String(), "HSM unreachable; tried again") {
		t.Errorf("it logs\n%s", server.logs)
	}
	if err := errors.Join(os.RemoveAll(here), os.Rename(away, here)); err != nil {
		t.Fatal(err)
	}
	i.becomesReady(server)
	for began := time.Now(); !strings.Contains(server.logs.String(), "HSM reached"); time.Sleep(50 * time.Millisecond) {
		if time.Since(began) > 5*time.Second {
			t.Fatalf("it does not log that the HSM is there:\n%s", server.logs)
		}
	}
	server.ends()
}

// TestServeWithAWrongPIN: a server whose PIN is wrong stays, is not ready, and says so in one line, however often it is started
// again; only the first sends the PIN. With the right one it is ready without a restart. Commands end with a code of their
// own.
//
// Covers: FD-91.
func TestServeWithAWrongPIN(t *testing.T) {
	i := newInstallation(t)
	file := filepath.Join(i.folder, "hsm", "pin")
	right, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("0000999900009999\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for n, want := range []string{"it was sent once", "so it is not sent again", "so it is not sent again"} {
		server := i.serveUntil(withoutHSM)
		i.waits(server)
		time.Sleep(1500 * time.Millisecond) // it tries again
		i.waits(server)
		if logs := server.logs.String(); strings.Count(logs, "HSM login needs an operator") != 1 || !strings.Contains(logs, want) || strings.Contains(logs, "00009999") {
			t.Errorf("start %d logs\n%s", n, logs)
		}
		server.signal(syscall.SIGKILL)
		server.wait()
		i.client.CloseIdleConnections()
	}
	command := exec.Command("countersign", "keys", "verify", "--config", i.config())
	if output, _ := command.CombinedOutput(); command.ProcessState.ExitCode() != exitPIN || !strings.Contains(string(output), "so it is not sent again") {
		t.Errorf("a command ends with %d: %s", command.ProcessState.ExitCode(), output)
	}
	server := i.serveUntil(withoutHSM)
	if err := os.WriteFile(file, right, 0o600); err != nil {
		t.Fatal(err)
	}
	i.becomesReady(server)
	server.ends()
}

// TestExitCodes: what a later start may mend has another exit code than what it does not.
//
// Covers: FD-91.
func TestExitCodes(t *testing.T) {
	i := newInstallation(t)
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	url := filepath.Join(i.folder, "url")
	if err := os.WriteFile(url, []byte("postgres://nobody@127.0.0.1:1/none?sslmode=disable\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var said []byte
	code := func(changed string, arguments ...string) int {
		t.Helper()
		if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		command := exec.Command("countersign", append(arguments, "--config", i.config())...)
		output, err := command.CombinedOutput()
		if err == nil {
			t.Errorf("%s succeeds: %s", arguments, output)
		}
		said = output
		return command.ProcessState.ExitCode()
	}
	away := regexp.MustCompile(`\[store\][^\[]*`).ReplaceAllString(string(text), "[store]\ndriver = \"postgres\"\nurl_file = \"url\"\n")
	if got := code(away, "serve"); got != exitUnavailable {
		t.Errorf("without the database: %d, want %d: %s", got, exitUnavailable, said)
	}
	if got := code(string(text)+"\nnothing = 1\n", "serve"); got != exitUsage {
		t.Errorf("with a wrong configuration: %d, want %d", got, exitUsage)
	}
	if err := os.WriteFile(i.config(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	here := filepath.Join(i.folder, "hsm", "tokens")
	if err := errors.Join(os.Rename(here, here+".away"), os.Mkdir(here, 0o700)); err != nil {
		t.Fatal(err)
	}
	if got := code(string(text), "keys", "generate", "--alg", "ES256"); got != exitUnavailable {
		t.Errorf("without the HSM: %d, want %d", got, exitUnavailable)
	}
}

// TestServersAtOnce: commands that open one token at the same time all succeed.
//
// Covers: FD-95.
func TestServersAtOnce(t *testing.T) {
	i := newInstallation(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			if output, err := exec.Command("countersign", "keys", "verify", "--config", i.config()).CombinedOutput(); err != nil {
				t.Errorf("%v: %s", err, output)
			}
		})
	}
	all.Wait()
}

// TestMoveWithoutAnAlgorithm: a server whose HSM has lost the last key of an algorithm, as after a move to one that does not
// have it, is not ready, and goes on sealing its audit log with another; when the key retires it is ready again, without a
// restart.
//
// Covers: FD-96.
func TestMoveWithoutAnAlgorithm(t *testing.T) {
	i := newInstallation(t)
	c, err := config.Load(i.config())
	if err != nil {
		t.Fatal(err)
	}
	token, err := hsm.OpenFirst(t.Context(), c.Signer, nil)
	if err != nil {
		t.Fatal(err)
	}
	held, err := token.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := slices.IndexFunc(held, func(k pkcs11.Key) bool { return k.Record.Algorithm == signer.EdDSA })
	lost := held[at].Record.ID
	if err := errors.Join(token.Destroy(t.Context(), lost), token.Close()); err != nil {
		t.Fatal(err)
	}
	server := i.serve()
	i.waits(server)
	command := exec.Command("countersign", "demo", "--auto", "--config", i.config(), "--port", i.demoPort)
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("the flow with another algorithm: %v\n%s", err, output)
	}
	if output, err := exec.Command("countersign", "keys", "retire", "--kid="+lost, "--last", "--config", i.config()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	i.becomesReady(server)
	server.ends() // which seals what is left
	if logs := server.logs.String(); !strings.Contains(logs, "audit checkpoint") || strings.Contains(logs, "audit log append failed") {
		t.Errorf("the audit log was not sealed:\n%s", logs)
	}
}
