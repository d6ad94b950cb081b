package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// suiteClient checks that the suite is there and ready.
func suiteClient(ctx context.Context, o options, progress func(string, ...any)) (*suite, error) {
	address, err := url.Parse(o.suite)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("-suite: %q is not an https address", o.suite)
	}
	config := &tls.Config{}
	switch {
	case o.suiteCA != "":
		if config.RootCAs, err = readRoots(o.suiteCA); err != nil {
			return nil, fmt.Errorf("-suite-ca: %w", err)
		}
	case isLoopback(address.Hostname()):
		if config, err = pin(address, progress); err != nil {
			return nil, fmt.Errorf("-suite: %w", err)
		}
	}
	s := &suite{
		base: o.suite, token: os.Getenv(o.tokenEnvironment), pause: 2 * time.Second,
		http: &http.Client{Timeout: o.answerTime, Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 16}},
	}
	if err := s.call(ctx, http.MethodGet, "/api/plan?length=1", nil, nil); err != nil {
		return nil, fmt.Errorf("the suite is not ready (is it running, and does it want a token in $%s?): %w", o.tokenEnvironment, err)
	}
	return s, nil
}

func readRoots(file string) (*x509.CertPool, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, fmt.Errorf("%s holds no certificate in PEM form", file)
	}
	return roots, nil
}

func isLoopback(host string) bool {
	addresses, err := net.LookupIP(host)
	if err != nil || len(addresses) == 0 {
		return false
	}
	for _, address := range addresses {
		if !address.IsLoopback() {
			return false
		}
	}
	return true
}

// pin trusts the one certificate that a suite on this machine shows now: such suites make their own, and nobody else
// can answer on loopback.
func pin(address *url.URL, progress func(string, ...any)) (*tls.Config, error) {
	host := address.Host
	if address.Port() == "" {
		host += ":443"
	}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	connection, err := tls.DialWithDialer(dialer, "tcp", host, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	shown := sha256.Sum256(connection.ConnectionState().PeerCertificates[0].Raw)
	progress("the suite's certificate is pinned: SHA-256 %s", hex.EncodeToString(shown[:]))
	return &tls.Config{
		InsecureSkipVerify: true, // replaced by the pin below
		VerifyConnection: func(state tls.ConnectionState) error {
			if sha256.Sum256(state.PeerCertificates[0].Raw) != shown {
				return errors.New("the suite's certificate changed during the run")
			}
			return nil
		},
	}, nil
}

// discovered is the part of the discovery document that is needed.
type discovered struct {
	Issuer        string            `json:"issuer"`
	TokenEndpoint string            `json:"token_endpoint"`
	Aliases       map[string]string `json:"mtls_endpoint_aliases"`
}

// findServer reads the server's discovery document, starting the server first if it does not answer and a command
// was given.
func findServer(ctx context.Context, o options, progress func(string, ...any)) (server, func(), error) {
	config := &tls.Config{}
	if o.ca != "" {
		var err error
		if config.RootCAs, err = readRoots(o.ca); err != nil {
			return server{}, nil, fmt.Errorf("-ca: %w", err)
		}
	}
	client := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: config}}
	document, err := discover(ctx, client, o.server)
	stop := func() {}
	if err != nil && o.start != "" && errors.Is(err, syscall.ECONNREFUSED) {
		progress("starting the server (its log is %s/server.log): %s", o.out, o.start)
		if stop, err = startServer(o.start, filepath.Join(o.out, "server.log")); err != nil {
			return server{}, nil, fmt.Errorf("-start: %w", err)
		}
		for range 50 {
			if document, err = discover(ctx, client, o.server); err == nil || !errors.Is(err, syscall.ECONNREFUSED) {
				break
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	if err != nil {
		stop()
		return server{}, nil, fmt.Errorf("-server: the discovery document of %s cannot be read: %w", o.server, err)
	}
	if document.Issuer != o.server {
		stop()
		return server{}, nil, fmt.Errorf("-server: the server at %s says that its issuer is %q", o.server, document.Issuer)
	}
	found := server{issuer: o.server, resource: o.resource, mtlsResource: o.mtlsResource}
	if found.resource == "" {
		found.resource = o.server + "/accounts"
	}
	if found.mtlsResource == "" {
		found.mtlsResource = strings.TrimSuffix(document.Aliases["token_endpoint"], "/token") + "/accounts"
	}
	return found, stop, nil
}

func discover(ctx context.Context, client *http.Client, issuer string) (discovered, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+"/.well-known/openid-configuration", nil)
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

// startServer runs a command in the background; the function that is returned ends it.
func startServer(command, logFile string) (func(), error) {
	if err := os.MkdirAll(filepath.Dir(logFile), 0o755); err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	arguments := strings.Fields(command)
	child := exec.Command(arguments[0], arguments[1:]...)
	child.Stdout, child.Stderr = log, log
	if err := child.Start(); err != nil {
		log.Close()
		return nil, err
	}
	return func() {
		// It may have ended on its own; then there is nothing to do.
		_ = child.Process.Signal(syscall.SIGTERM)
		_ = child.Wait()
		log.Close()
	}, nil
}
