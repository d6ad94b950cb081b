package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// fingerprint is the SHA-256 of a certificate.
type fingerprint [sha256.Size]byte

// parseFingerprint reads one in hexadecimal, with or without colons.
func parseFingerprint(text string) (fingerprint, error) {
	var parsed fingerprint
	raw, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil || len(raw) != len(parsed) {
		return parsed, fmt.Errorf("%q is not the SHA-256 of a certificate: %d hexadecimal digits", text, 2*len(parsed))
	}
	return fingerprint(raw), nil
}

// connectSuite checks that the suite is there, trusted and ready.
func connectSuite(ctx context.Context, o options, say func(string, ...any)) (*suite, error) {
	address, err := url.Parse(o.suite)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("-suite: %q is not an https address", o.suite)
	}
	config, how, err := suiteTrust(ctx, o, address)
	if err != nil {
		return nil, err
	}
	s := &suite{
		base: o.suite, token: os.Getenv(o.tokenEnvironment), pause: o.pause,
		http: &http.Client{Timeout: o.answerTime, Transport: &http.Transport{TLSClientConfig: config, MaxIdleConnsPerHost: 16}},
	}
	if err := s.call(ctx, http.MethodGet, "/api/plan?length=1", nil, nil); err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return nil, fmt.Errorf("-suite: the certificate is not trusted (give -suite-ca or -suite-self-signed-fingerprint): %w", err)
		}
		return nil, fmt.Errorf("-suite: it is not ready (is it running, and does it want a token in $%s?): %w", o.tokenEnvironment, err)
	}
	say("suite   ready: %s (%s)", o.suite, how)
	return s, nil
}

// suiteTrust decides which certificate of the suite is trusted, and says how.
func suiteTrust(ctx context.Context, o options, address *url.URL) (*tls.Config, string, error) {
	switch {
	case o.suiteFingerprint != "":
		expected, err := parseFingerprint(o.suiteFingerprint)
		if err != nil {
			return nil, "", fmt.Errorf("-suite-self-signed-fingerprint: %w", err)
		}
		return pin(expected), "certificate as given by its fingerprint", nil
	case o.suiteCA != "":
		roots, err := readRoots(o.suiteCA)
		if err != nil {
			return nil, "", fmt.Errorf("-suite-ca: %w", err)
		}
		return &tls.Config{RootCAs: roots}, "certificate by " + o.suiteCA, nil
	}
	shown, found, err := shownOnLoopback(ctx, address)
	if err != nil {
		return nil, "", fmt.Errorf("-suite: %s cannot be reached: %w", o.suite, err)
	}
	if !found {
		return &tls.Config{}, "certificate by the system's authorities", nil
	}
	pinned := fingerprint(sha256.Sum256(shown.Raw))
	return pin(pinned), fmt.Sprintf("on loopback; certificate pinned to SHA-256 %x", pinned), nil
}

// shownOnLoopback fetches a certificate that no authority vouches for, if the suite is on this
// machine: such suites make their own certificate, often without a host name. Nothing is found elsewhere.
func shownOnLoopback(ctx context.Context, address *url.URL) (shown *x509.Certificate, found bool, err error) {
	port := address.Port()
	if port == "" {
		port = "443"
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(address.Hostname(), port))
	if err != nil {
		return nil, false, err
	}
	defer connection.Close()
	// What was reached counts, and not what a name server says.
	if peer, ok := connection.RemoteAddr().(*net.TCPAddr); !ok || !peer.IP.IsLoopback() {
		return nil, false, nil
	}
	err = tls.Client(connection, &tls.Config{ServerName: address.Hostname()}).HandshakeContext(ctx)
	if refused, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(refused.UnverifiedCertificates) > 0 {
		return refused.UnverifiedCertificates[0], true, nil
	}
	return nil, false, err
}

// trustSuite adds the certificate of a suite on loopback to what the server trusts when it notifies clients.
func trustSuite(ctx context.Context, o options, say func(string, ...any)) error {
	address, err := url.Parse(o.suite)
	if err != nil {
		return err
	}
	shown, found, err := shownOnLoopback(ctx, address)
	if err != nil || !found || o.outboundCA == "" {
		return err
	}
	trusted, err := os.ReadFile(o.outboundCA)
	if err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	for rest := trusted; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if bytes.Equal(block.Bytes, shown.Raw) {
			return nil
		}
	}
	trusted = append(trusted, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: shown.Raw})...)
	if err := os.WriteFile(o.outboundCA, trusted, 0o600); err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	say("suite   added to what the server trusts: %s (a server that runs already has to be started again)", o.outboundCA)
	return nil
}

// trustStandIn adds the authority of a stand-in to what the server trusts when it fetches keys, in the place of an earlier one.
func trustStandIn(o options, authority []byte) error {
	if o.outboundCA == "" {
		return nil
	}
	trusted, err := os.ReadFile(o.outboundCA)
	if err != nil {
		return fmt.Errorf("-outbound-ca: %w", err)
	}
	added, _ := pem.Decode(authority)
	parsed, err := x509.ParseCertificate(added.Bytes)
	if err != nil {
		return err
	}
	var kept []byte
	for rest := trusted; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if old, err := x509.ParseCertificate(block.Bytes); err == nil && old.Subject.String() == parsed.Subject.String() {
			continue
		}
		kept = append(kept, pem.EncodeToMemory(block)...)
	}
	return os.WriteFile(o.outboundCA, append(kept, authority...), 0o600)
}

// pin trusts one certificate, whatever name and authority it has.
func pin(expected fingerprint) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, // the pin below takes its place
		VerifyConnection: func(state tls.ConnectionState) error {
			if shown := fingerprint(sha256.Sum256(state.PeerCertificates[0].Raw)); shown != expected {
				return fmt.Errorf("the suite shows the certificate with SHA-256 %x, and not the pinned one", shown)
			}
			return nil
		},
	}
}

// readRoots reads certificates in PEM form.
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
