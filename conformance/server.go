package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"countersign/conformance/bank"
	"countersign/conformance/suite"
)

const discoveryPath = "/.well-known/openid-configuration"

// server is the authorization server under test, as its discovery document shows it.
type server struct {
	issuer string
	// resource is a protected resource, and mtlsResource the same on the listener that asks for certificates.
	resource, mtlsResource string
	username, password     string
	// login is a login of the operator's own, which the user signs in and decides at; empty for the server itself.
	login string
	// approval is the address with which a user allows or denies a backchannel request, acr the class in which they are
	// authenticated then, the best of the server, and initialToken what registers clients; for the plans that want them.
	approval, acr, initialToken string
	// bank stands in for the APIs that the plans of ecosystems call, and bankOrganisation identifies it in a directory. Consents
	// are below the address consents, or where that is empty the bank's. The user has the number cpf (Brazil).
	bank                            *bank.Bank
	bankOrganisation, consents, cpf string
}

// discovered is the part of the discovery document that is needed.
type discovered struct {
	Issuer  string            `json:"issuer"`
	Aliases map[string]string `json:"mtls_endpoint_aliases"`
	ACRs    []string          `json:"acr_values_supported"`
}

// findServer reads the server's discovery document, starting the server first if nothing answers and a command was
// given. The function that is returned stops what was started.
func findServer(ctx context.Context, o options, say func(string, ...any)) (server, func(), error) {
	config, how, err := serverTrust(o)
	if err != nil {
		return server{}, nil, err
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	stop := func() {}
	document, err := discover(ctx, client, o.server)
	if errors.Is(err, syscall.ECONNREFUSED) && o.start != "" {
		log := filepath.Join(o.out, "server.log")
		say("server  starting (its log: %s): %s", log, o.start)
		var started *process
		if started, err = start(o.start, log); err != nil {
			return server{}, nil, fmt.Errorf("-start: %w", err)
		}
		stop = started.stop
		document, err = awaitServer(ctx, client, o.server, started)
	}
	if err == nil && document.Issuer != o.server {
		err = fmt.Errorf("it says that its issuer is %q", document.Issuer)
	}
	if err != nil {
		stop()
		return server{}, nil, fmt.Errorf("-server: the discovery document of %s cannot be read: %w", o.server, err)
	}
	found, err := document.server(o)
	if err != nil {
		stop()
		return server{}, nil, err
	}
	say("server  answers: %s (certificate by %s)", o.server, how)
	return found, stop, nil
}

// serverTrust says which authorities may vouch for the server.
func serverTrust(o options) (*tls.Config, string, error) {
	if o.ca == "" {
		return &tls.Config{}, "the system's authorities", nil
	}
	roots, err := suite.ReadRoots(o.ca)
	if err != nil {
		return nil, "", fmt.Errorf("-ca: %w", err)
	}
	return &tls.Config{RootCAs: roots}, o.ca, nil
}

// server completes what the document says with the options.
func (d discovered) server(o options) (server, error) {
	found := server{issuer: o.server, resource: o.resource, mtlsResource: o.mtlsResource, login: o.login, approval: o.approval}
	switch {
	case o.deviceACR != "":
		found.acr = o.deviceACR
	case len(d.ACRs) > 0:
		found.acr = d.ACRs[0] // the best comes first
	}
	if alias := d.Aliases["token_endpoint"]; o.ingress != "" && !strings.HasPrefix(alias, o.ingress+"/") {
		return server{}, fmt.Errorf("-ingress: clients with certificates are led to %q, not to %s: end the server that runs, so that one behind the ingress is started", alias, o.ingress)
	}
	if found.resource == "" {
		found.resource = o.server + "/accounts"
	}
	if o.consents == "server" {
		found.consents = strings.TrimSuffix(cmp.Or(d.Aliases["token_endpoint"], o.server+"/token"), "/token")
	}
	if found.mtlsResource != "" {
		return found, nil
	}
	// The same path where the mTLS aliases are; without aliases, everything asks for certificates.
	found.mtlsResource = found.resource
	if alias := d.Aliases["token_endpoint"]; alias != "" {
		resource, err := url.Parse(found.resource)
		if err != nil {
			return server{}, fmt.Errorf("-resource: %w", err)
		}
		listener, err := url.Parse(alias)
		if err != nil {
			return server{}, fmt.Errorf("-server: mtls_endpoint_aliases: %w", err)
		}
		resource.Scheme, resource.Host = listener.Scheme, listener.Host
		found.mtlsResource = resource.String()
	}
	return found, nil
}

// awaitServer waits for a server that was just started.
func awaitServer(ctx context.Context, client *http.Client, issuer string, started *process) (discovered, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		document, err := discover(ctx, client, issuer)
		if !errors.Is(err, syscall.ECONNREFUSED) {
			return document, err
		}
		select {
		case <-started.ended:
			return document, errors.New("the server that was started has ended; its log says why")
		case <-ctx.Done():
			return document, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func discover(ctx context.Context, client *http.Client, issuer string) (discovered, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+discoveryPath, nil)
	if err != nil {
		return discovered{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return discovered{}, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return discovered{}, fmt.Errorf("status %d", response.StatusCode)
	}
	var document discovered
	err = json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&document)
	return document, err
}

// process is a command in the background.
type process struct {
	command *exec.Cmd
	ended   chan struct{}
}

// start runs a command in the background; what it says goes to a file.
func start(command, logFile string) (*process, error) {
	arguments := strings.Fields(command)
	if len(arguments) == 0 {
		return nil, errors.New("there is no command")
	}
	if err := os.MkdirAll(filepath.Dir(logFile), 0o700); err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	p := &process{command: exec.Command(arguments[0], arguments[1:]...), ended: make(chan struct{})}
	p.command.Stdout, p.command.Stderr = log, log
	if err := p.command.Start(); err != nil {
		log.Close()
		return nil, err
	}
	go func() {
		_ = p.command.Wait() // its log says how it went
		log.Close()
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process: with a request, and by force when that takes too long.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM) // it may have ended on its own
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.command.Process.Kill() // the same
		<-p.ended
	}
}
