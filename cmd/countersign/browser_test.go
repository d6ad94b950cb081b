package main

import (
	"bytes"
	"crypto/tls"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/internal/browsertest"
)

// personsDemo is a demo that waits for a person's browser.
type personsDemo struct {
	t       *testing.T
	command *exec.Cmd
	output  *logBuffer
	// opened is the file into which the desktop "opened" the address.
	opened string
	end    chan error
}

// demo starts `countersign demo` with a desktop that writes down what it is asked to open.
func (i *installation) demo() *personsDemo {
	i.t.Helper()
	folder := i.t.TempDir()
	d := &personsDemo{t: i.t, output: new(logBuffer), opened: filepath.Join(folder, "opened"), end: make(chan error, 1)}
	script := "#!/bin/sh\nprintf %s \"$1\" > \"" + d.opened + ".part\" && mv \"" + d.opened + ".part\" \"" + d.opened + "\"\n"
	if err := os.WriteFile(filepath.Join(folder, "xdg-open"), []byte(script), 0o755); err != nil {
		i.t.Fatal(err)
	}
	d.command = exec.Command("countersign", "demo", "--config", i.config(), "--port", i.demoPort)
	d.command.Env = append(os.Environ(), "PATH="+folder+":"+os.Getenv("PATH"))
	d.command.Stdout, d.command.Stderr = d.output, d.output
	if err := d.command.Start(); err != nil {
		i.t.Fatal(err)
	}
	go func() { d.end <- d.command.Wait() }()
	i.t.Cleanup(func() { _ = d.command.Process.Kill() }) // it may have ended as it should
	return d
}

// address waits for what the person's browser is to open.
func (d *personsDemo) address() string {
	d.t.Helper()
	for range 200 {
		if content, err := os.ReadFile(d.opened); err == nil {
			return string(content)
		}
		time.Sleep(50 * time.Millisecond)
	}
	d.t.Fatalf("the demo opened no browser:\n%s", d.output)
	return ""
}

// ended gives what the demo said and its exit code.
func (d *personsDemo) ended() (string, int) {
	d.t.Helper()
	select {
	case <-d.end:
		return d.output.String(), d.command.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		d.t.Fatalf("the demo does not end:\n%s", d.output)
		return "", -1
	}
}

func (i *installation) browser() *browsertest.Browser {
	i.t.Helper()
	pair, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "tls", "server.crt"), filepath.Join(i.folder, "tls", "server.key"))
	if err != nil {
		i.t.Fatal(err)
	}
	return browsertest.Open(i.t, pair.Leaf)
}

func (i *installation) password() string {
	i.t.Helper()
	password, err := os.ReadFile(filepath.Join(i.folder, "demo", "password"))
	if err != nil {
		i.t.Fatal(err)
	}
	return string(bytes.TrimSpace(password))
}

// TestPersonAllows: a person signs in and allows in a real browser, with everything else real too. In between the
// server is killed; what it had acknowledged (the pushed request, the sign-in) is still there.
func TestPersonAllows(t *testing.T) {
	i := newInstallation(t)
	server := i.serve()
	demo := i.demo()
	b := i.browser()
	address := demo.address()
	server.signal(syscall.SIGKILL)
	server.wait()
	server = i.serve()

	b.Visit(address)
	b.CheckAccessibility()
	b.SignIn("alice", "not the password")
	if text := b.Text("[role=alert]"); !strings.Contains(text, "do not belong together") {
		t.Errorf("after a wrong password: %q", text)
	}
	b.SignIn("alice", i.password())
	if text := b.Text("main"); !strings.Contains(text, "Demo: an app with DPoP") || strings.Contains(text, "demo-dpop") || !strings.Contains(text, "See your accounts") {
		t.Errorf("the consent page does not name the client and the scope: %q", text)
	}
	b.CheckAccessibility()
	server.signal(syscall.SIGKILL)
	server.wait()
	i.serve()
	b.Click("#allow")
	if text := b.Text("body"); !strings.Contains(text, "Go back to the terminal") {
		t.Errorf("back at the client the person sees %q", text)
	}
	b.Done()
	output, code := demo.ended()
	if code != 0 || !strings.Contains(output, "Everyday account") || !strings.Contains(output, "Done: 7 steps") {
		t.Errorf("the demo ended with %d:\n%s", code, output)
	}
}

// TestPersonRefuses: the client learns of it by the error that the specification names.
func TestPersonRefuses(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	demo := i.demo()
	b := i.browser()
	b.Visit(demo.address())
	b.SignIn("bob", i.password())
	b.Click("#deny")
	b.Done()
	if output, code := demo.ended(); code != exitError || !strings.Contains(output, "access_denied") {
		t.Errorf("the demo ended with %d:\n%s", code, output)
	}
}

// TestErrorPage: what cannot be told to a client is told to the person.
func TestErrorPage(t *testing.T) {
	i := newInstallation(t)
	i.serve()
	b := i.browser()
	b.Visit("https://" + i.address + "/authorize?client_id=demo-dpop&request_uri=urn:ietf:params:oauth:request_uri:invented")
	b.Tap("details:last-of-type summary")
	if text := b.Text("main"); !strings.Contains(text, "invalid_request_uri") || !strings.Contains(text, "push a new request") {
		t.Errorf("the page says %q", text)
	}
	b.CheckAccessibility()
}
