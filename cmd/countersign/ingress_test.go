package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/internal/proxies"
	"countersign/mtls"
)

// nginx runs with its configuration of deploy/ingress between clients and the server, which reads the certificates
// from it. It gives the address for clients.
func (i *installation) nginx(t *testing.T, spoil ...string) string {
	t.Helper()
	folder := t.TempDir()
	ports, err := freePorts(1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("../../deploy/ingress/nginx.conf")
	if err != nil {
		t.Fatal(err)
	}
	tls := filepath.Join(i.folder, "tls")
	_, port, _ := strings.Cut(i.mtls, ":")
	config := strings.NewReplacer(append(spoil,
		"/etc/countersign/ingress/server", filepath.Join(tls, "server"), "/etc/countersign/ingress/upstream-ca.crt", filepath.Join(tls, "ca.crt"),
		"/etc/countersign/ingress/ingress", filepath.Join(i.folder, "demo", "demo-mtls"), "8445", ports[0], "8444", port, "mtls.login.example", "localhost",
	)...).Replace(string(text))
	return startNginx(t, folder, ports[0], config)
}

// startNginx starts nginx with a configuration that listens at a port, and returns the address for clients.
func startNginx(t *testing.T, folder, port, config string) string {
	t.Helper()
	file := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(file, []byte(proxies.NginxWithoutRoot(config, folder)), 0o600); err != nil {
		t.Fatal(err)
	}
	output := new(logBuffer)
	command := exec.Command("/usr/sbin/nginx", "-c", file, "-p", folder, "-e", "stderr", "-g", "daemon off; error_log stderr; pid "+folder+"/pid;")
	command.Stdout, command.Stderr = output, output
	if err := command.Start(); err != nil {
		t.Fatalf("%v; make packages-test installs nginx", err)
	}
	t.Cleanup(func() {
		_ = command.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = command.Wait()
		if t.Failed() {
			t.Logf("nginx said:\n%s", output)
		}
	})
	address := "localhost:" + port
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		connection, err := net.DialTimeout("tcp", address, time.Second)
		if err == nil {
			_ = connection.Close()
			return "https://" + address
		}
		if time.Now().After(deadline) {
			t.Fatalf("nginx does not listen: %v", err)
		}
	}
}

// behind has the server read certificates from an ingress that shows demo-mtls's certificate, which has no name of an
// ingress in it: over a secret and its address then.
func (i *installation) behind(t *testing.T, keys string) {
	t.Helper()
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(text, []byte("[listen_mtls]\n"), []byte("[listen_mtls]\n"+keys), 1)
	if bytes.Equal(changed, text) {
		t.Fatal("the configuration has no [listen_mtls]")
	}
	if err := os.WriteFile(i.config(), changed, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Covers: ATTACK-16, NM-145. The whole server behind a real nginx: doctor finds it safe, and finds it unsafe when nginx hands on
// what clients claim.
func TestDoctorIngress(t *testing.T) {
	i := newInstallation(t)
	const secret = "0123456789abcdef0123456789abcdef0123456789abcdef"
	file := filepath.Join(i.folder, "ingress-secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	i.behind(t, "source = \"nginx\"\ningress_networks = \"127.0.0.0/8\"\ningress_secret_file = \""+file+"\"\n")
	server := i.serve()
	doctor := func(address string) (string, error) {
		output, err := exec.Command("countersign", "doctor", "ingress", address, "--client-id", "demo-mtls", "--ca", filepath.Join(i.folder, "tls", "ca.crt"),
			"--certificate", filepath.Join(i.folder, "demo", "demo-mtls.crt"), "--key", filepath.Join(i.folder, "demo", "demo-mtls.key")).CombinedOutput()
		return string(output), err
	}
	proves := []string{`Countersign-Ingress-Secret ""`, "Countersign-Ingress-Secret " + secret}
	t.Run("accepts the configuration as it stands", func(t *testing.T) {
		output, err := doctor(i.nginx(t, proves...))
		if err != nil || !strings.Contains(output, "nothing that was tried deceived it") || strings.Contains(output, "FAIL") {
			t.Errorf("%v\n%s", err, output)
		}
	})
	t.Run("refuses one that hands on what clients claim", func(t *testing.T) {
		output, err := doctor(i.nginx(t, append(proves, "X-SSL-Client-Cert $ssl_client_escaped_cert", "X-SSL-Client-Cert $my_cert",
			"X-SSL-Client-Verify $ssl_client_verify", "X-SSL-Client-Verify $my_verify", "    server {\n        listen", `
    map $ssl_client_escaped_cert $my_cert { "" $http_x_ssl_client_cert; default $ssl_client_escaped_cert; }
    map $ssl_client_escaped_cert $my_verify { "" $my_said; default $ssl_client_verify; }
    map $http_x_ssl_client_verify $my_said { "" NONE; default $http_x_ssl_client_verify; }
    server {
        listen`)...))
		if err == nil || !strings.Contains(output, "spoofed nginx: the client is let in by somebody WITHOUT ITS KEY") {
			t.Errorf("%v\n%s", err, output)
		}
	})
	t.Run("refuses an ingress without the secret", func(t *testing.T) {
		output, err := doctor(i.nginx(t))
		if err == nil || !strings.Contains(output, "FAIL  valid") {
			t.Errorf("%v\n%s", err, output)
		}
		server.signal(syscall.SIGTERM) // and all that it wrote has been read
		server.wait()
		if logs := server.logs.String(); !strings.Contains(logs, "client_certificate_forged") || strings.Contains(logs, secret) {
			t.Errorf("the log:\n%s", logs)
		}
	})
}

// Covers: ATTACK-16. A socket is for the ingress alone and needs no other proof; on the listeners that read no headers
// any certificate header is refused.
func TestIngressSocket(t *testing.T) {
	i := newInstallation(t)
	socket := filepath.Join(t.TempDir(), "mtls.sock")
	text, err := os.ReadFile(i.config())
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(i.mtls, ":")
	changed := strings.Replace(string(text), `address = "127.0.0.1:`+port+`"`, "address = \"unix:"+socket+"\"\nsource = \"rfc9440\"", 1)
	if changed == string(text) {
		t.Fatal("the address was not found")
	}
	if err := os.WriteFile(i.config(), []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	server := i.serve()
	pair, err := tls.LoadX509KeyPair(filepath.Join(i.folder, "demo", "demo-mtls.crt"), filepath.Join(i.folder, "demo", "demo-mtls.key"))
	if err != nil {
		t.Fatal(err)
	}
	own := mtls.Spell(mtls.SourceRFC9440, pair.Leaf)
	ask := func(client *http.Client, address string, lines ...mtls.HeaderLine) string {
		t.Helper()
		form := url.Values{"grant_type": {"none"}, "client_id": {"demo-mtls"}}
		request, err := http.NewRequest(http.MethodPost, address+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, line := range lines {
			request.Header.Add(line.Name, line.Value)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var refusal struct {
			Code string `json:"error"`
		}
		if err := json.NewDecoder(response.Body).Decode(&refusal); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(response.StatusCode, " ", refusal.Code)
	}
	over := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	for _, test := range []struct {
		name    string
		client  *http.Client
		address string
		lines   []mtls.HeaderLine
		want    string
	}{
		{"accepts the certificate over the socket", over, "http://localhost", own, "400 unsupported_grant_type"},
		{"refuses none over the socket", over, "http://localhost", nil, "401 invalid_client"},
		{"refuses an unreadable one over the socket", over, "http://localhost", []mtls.HeaderLine{{Name: "Client-Cert", Value: ":x:"}}, "400 invalid_request"},
		{"refuses the header on the other listener", i.client, "https://" + i.address, own, "400 invalid_request"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := ask(test.client, test.address, test.lines...); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
	const alarms = 10      // of a kind are in the audit log at once
	for range 3 * alarms { // a flood of forgeries
		ask(i.client, "https://"+i.address, own...)
	}
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket: %v, %v", info, err)
	}
	server.signal(syscall.SIGTERM) // and all that it wrote has been read
	server.wait()
	for _, event := range []string{"client_certificate_forged", "client_certificate_unreadable"} {
		if !strings.Contains(server.logs.String(), "event="+event) {
			t.Errorf("no %s in the log:\n%s", event, server.logs)
		}
	}
	output, err := exec.Command("countersign", "audit", "export", "--config", i.config()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	if got := strings.Count(string(output), `"event":"client_certificate_forged"`); got != alarms {
		t.Errorf("%d forgeries are in the audit log, want %d: the first ones, and then one a minute", got, alarms)
	}
	if !strings.Contains(string(output), `"event":"client_certificate_unreadable"`) {
		t.Errorf("the audit log: %s", output)
	}
}
