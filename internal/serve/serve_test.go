package serve_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"countersign/fapi/rar/ready"
	"countersign/internal/config"
	"countersign/internal/devsetup/setuptest"
	"countersign/internal/logbuffer"
	"countersign/internal/serve"
)

// running is a server in this process.
type running struct {
	t    *testing.T
	log  *logbuffer.Buffer
	stop context.CancelFunc
	end  chan error
	// hangups tell a server of [startReading] to read its files again.
	hangups chan os.Signal
}

// start serves a configuration and waits until the server is ready.
func start(t *testing.T, c *config.Config) *running {
	t.Helper()
	return startWith(t, serve.Options{Config: c})
}

// startReading is start for a server that reads its files again.
func startReading(t *testing.T, i *setuptest.Installation) *running {
	t.Helper()
	hangups := make(chan os.Signal, 1)
	r := startWith(t, serve.Options{Config: i.Config, File: i.File, Reload: hangups})
	r.hangups = hangups
	return r
}

func startWith(t *testing.T, o serve.Options) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, log: new(logbuffer.Buffer), stop: stop, end: make(chan error, 1)}
	o.Now, o.Log, o.Version = time.Now, r.log, "test"
	go func() { r.end <- serve.Run(ctx, o) }()
	t.Cleanup(stop)
	r.logs("msg=ready")
	return r
}

// hangup tells the server to read its files again, and waits until a text is so often in the log.
func (r *running) hangup(t *testing.T, want string, times int) {
	t.Helper()
	r.hangups <- syscall.SIGHUP
	for range 800 {
		if strings.Count(r.log.String(), want) >= times {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatalf("%s is not logged %d times:\n%s", want, times, r.log)
}

// logs waits for a text in the log.
func (r *running) logs(want string) {
	r.t.Helper()
	for range 400 {
		if strings.Contains(r.log.String(), want) {
			return
		}
		select {
		case err := <-r.end:
			r.t.Fatalf("the server ended without %q in the log: %v\n%s", want, err, r.log)
		case <-time.After(25 * time.Millisecond):
		}
	}
	r.t.Fatalf("no %q in the log:\n%s", want, r.log)
}

// ended waits for the end and returns its error.
func (r *running) ended() error {
	r.t.Helper()
	select {
	case err := <-r.end:
		return err
	case <-time.After(30 * time.Second):
		r.t.Fatalf("the server does not end:\n%s", r.log)
		return nil
	}
}

// TestRun serves discovery on both ports, warns of development keys, and ends in order.
func TestRun(t *testing.T) {
	i := setuptest.New(t)
	server := start(t, i.Config)
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: i.Roots}}}
	defer client.CloseIdleConnections()
	for address, want := range map[string]struct {
		status int
		text   string
	}{
		i.Config.Issuer + "/health/ready":      {http.StatusOK, "development key file"},
		i.Config.ListenMTLS.URL + "/authorize": {http.StatusNotFound, "there is nothing at this address"},
	} {
		response, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		report, err := io.ReadAll(response.Body)
		if err := errors.Join(err, response.Body.Close()); err != nil || response.StatusCode != want.status || !strings.Contains(string(report), want.text) {
			t.Errorf("%s: %s %s %v", address, response.Status, report, err)
		}
	}
	response, err := client.Get(i.Config.Issuer + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var document struct {
		Issuer  string            `json:"issuer"`
		Aliases map[string]string `json:"mtls_endpoint_aliases"`
	}
	if err := json.NewDecoder(response.Body).Decode(&document); err != nil || document.Issuer != i.Config.Issuer ||
		document.Aliases["token_endpoint"] != i.Config.ListenMTLS.URL+"/token" {
		t.Errorf("%+v, %v", document, err)
	}
	server.stop()
	if err := server.ended(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	for _, want := range []string{`msg="stopping; finishing requests in flight"`, "msg=stopped", "development key file"} {
		if !strings.Contains(server.log.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, server.log)
		}
	}
	again := start(t, i.Config) // the ports and the store are free again
	again.stop()
	if err := again.ended(); err != nil {
		t.Error(err)
	}
}

// TestDrain answers a request in flight when the server is to end, and accepts no more connections.
func TestDrain(t *testing.T) {
	i := setuptest.New(t)
	server := start(t, i.Config)
	trust := &tls.Config{RootCAs: i.Roots, ServerName: "localhost", NextProtos: []string{"http/1.1"}}
	connection, err := tls.Dial("tcp", i.Config.Listen.Address, trust)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	const header = "POST /token HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"
	if _, err := io.WriteString(connection, header); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(connection)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") { // the handler reads the body
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := answers.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	server.stop()
	server.logs("stopping; finishing requests in flight")
	refused := false
	for range 200 {
		late, err := tls.Dial("tcp", i.Config.Listen.Address, trust)
		if refused = err != nil; refused {
			break
		}
		late.Close()
		time.Sleep(10 * time.Millisecond)
	}
	if !refused {
		t.Error("new connections are accepted while the server stops")
	}
	if _, err := io.WriteString(connection, "a=b"); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(answers, nil)
	if err != nil {
		t.Fatalf("the request in flight was not answered: %v\n%s", err, server.log)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusUnauthorized { // there is no client authentication in it
		t.Errorf("the request in flight was answered with %s", response.Status)
	}
	if err := server.ended(); err != nil {
		t.Error(err)
	}
}

// TestRefusesToStart: what is wrong with an installation is an error, and nothing is left open.
func TestRefusesToStart(t *testing.T) {
	i := setuptest.New(t)
	good := *i.Config
	occupied, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer occupied.Close()
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	claimsFrom := func(address, networks, certificate string) func(*config.Config) {
		return func(c *config.Config) {
			c.ClaimsSource = config.ClaimsSource{
				Address: address, Networks: networks, Claims: "name", CertificateFile: c.Listen.CertificateFile, KeyFile: c.Listen.KeyFile,
				Timeout: config.Duration(time.Second), CacheEntries: 1, AtOnce: 1,
			}
			if certificate != "" {
				c.ClaimsSource.CertificateFile = config.File(filepath.Join(t.TempDir(), certificate))
			}
		}
	}
	for _, test := range []struct {
		name  string
		spoil func(*config.Config)
		want  string
	}{
		{"the port of another program", func(c *config.Config) { c.Listen.Address = occupied.Addr().String() }, "listen.address: another program uses"},
		{"the other port of another program", func(c *config.Config) { c.ListenMTLS.Address = occupied.Addr().String() }, "listen_mtls.address: another program uses"},
		{"an address of another machine", func(c *config.Config) { c.Listen.Address = "192.0.2.1:8443" }, "this machine does not have the address"},
		{"no schema", func(c *config.Config) { c.Store.File = config.File(filepath.Join(t.TempDir(), "new.db")) }, "countersign migrate up"},
		{"another passphrase", func(c *config.Config) { c.Signer.PINFile = config.Secret(file("pin", "something else\n")) }, "the passphrase does not open it"},
		{"a key of another certificate", func(c *config.Config) {
			c.Listen.KeyFile = config.Secret(filepath.Join(i.Folder, "tls", "client-ca.key"))
		},
			"listen.certificate_file and listen.key_file: "},
		{"no authority in the file", func(c *config.Config) { c.ListenMTLS.ClientCAFile = config.File(file("ca", "")) }, "holds no certificate in PEM form"},
		{"no outbound authority", func(c *config.Config) { c.Outbound.CAFile = config.File(file("out", "")) }, "outbound.ca_file: "},
		{"no key for pings", func(c *config.Config) { c.CIBA.PingKeys = config.Secret(file("ping", "hunter2\n")) }, "ciba.ping_keys_file: "},
		{"headers for traces", func(c *config.Config) { c.Telemetry.OTLPHeaders = config.Secret(file("otlp", "no header\n")) }, "telemetry.otlp_headers_file: "},
		{"a schema in which something is hidden", func(c *config.Config) {
			c.AuthorizationDetails[0].SchemaFile = config.File(file("hidden.json", `{"type":"object","additionalProperties":false,"properties":{"secret":{"type":"string"}}}`))
		}, `authorization_details[0].schema_file: the authorization_details type "account_information": its schema: /x-display is missing; add it`},
		{"a schema that is missing", func(c *config.Config) { c.AuthorizationDetails[0].SchemaFile = "absent.json" }, "authorization_details[0].schema_file: "},
		{"a claims source without a file", claimsFrom("https://claims.bank.example", "", "absent.crt"), "claims_source.certificate_file"},
		{"a claims source with another key", func(c *config.Config) {
			claimsFrom("https://claims.bank.example", "", "")(c)
			c.ClaimsSource.CertificateFile = config.File(filepath.Join(i.Folder, "tls", "client-ca.crt"))
		}, "claims_source.certificate_file and claims_source.key_file: "},
		{"a claims source without an authority", func(c *config.Config) {
			claimsFrom("https://claims.bank.example", "", "")(c)
			c.ClaimsSource.CAFile = config.File(file("bank-ca", ""))
		}, "claims_source.ca_file: "},
		{"a claims source over http", claimsFrom("http://claims.bank.example", "", ""), "claims_source.address: the address must begin with https://"},
		{"a claims source in a private network", claimsFrom("https://10.1.2.3/v1", "10.1.3.0/28", ""), "claims_source.address: the host is a private address (RFC 1918); name its network"},
		{"a network that is none", claimsFrom("https://10.1.2.3/v1", "10.1.2.3", ""), `claims_source.networks: "10.1.2.3" is not a network`},
		{"the network of clouds' metadata", claimsFrom("https://169.254.169.254/v1", "169.254.169.254/32", ""), "claims_source.networks: 169.254.169.254/32: "},
		{"an ingress without networks", func(c *config.Config) { c.ListenMTLS.Source = "rfc9440" }, "listen_mtls."},
	} {
		t.Run(test.name, func(t *testing.T) {
			spoiled := good
			spoiled.AuthorizationDetails = append([]config.AuthorizationDetail(nil), good.AuthorizationDetails...)
			test.spoil(&spoiled)
			err := serve.Run(t.Context(), serve.Options{Config: &spoiled, Now: time.Now, Log: io.Discard, Version: "test"})
			if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	for _, name := range ready.Names() {
		good.AuthorizationDetails = append(good.AuthorizationDetails, config.AuthorizationDetail{Type: "ready-" + name, Ready: name})
	}
	server := start(t, &good)
	server.stop()
	if err := server.ended(); err != nil {
		t.Error(err)
	}
}
