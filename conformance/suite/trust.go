package suite

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
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

// Options are how a suite is reached. The flags of commands have the names that errors mention.
type Options struct {
	// URL is the suite's base URL.
	URL string
	// CA is a file with the authority of the suite's certificate, and Fingerprint the SHA-256 of the certificate in hexadecimal,
	// where no authority vouches for it. With neither, a suite on loopback is pinned to what it shows first.
	CA, Fingerprint string
	// TokenEnvironment names the environment variable with the suite's API token, if it wants one.
	TokenEnvironment string
	// AnswerTime is how long the suite may take over one answer, and Pause the first pause before a request is tried again.
	AnswerTime, Pause time.Duration
}

// Connect checks that the suite is there, trusted and ready.
func Connect(ctx context.Context, o Options, say func(string, ...any)) (*Client, error) {
	address, err := url.Parse(o.URL)
	if err != nil || address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("-suite: %q is not an https address", o.URL)
	}
	trusted, err := trust(ctx, o, address)
	if err != nil {
		return nil, err
	}
	s := &Client{
		base: o.URL, token: os.Getenv(o.TokenEnvironment), pause: o.Pause, roots: trusted.roots,
		http: &http.Client{Timeout: o.AnswerTime, Transport: &http.Transport{TLSClientConfig: trusted.config, MaxIdleConnsPerHost: 16}},
	}
	if err := s.call(ctx, http.MethodGet, "/api/plan?length=1", nil, nil); err != nil {
		if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
			return nil, fmt.Errorf("-suite: the certificate is not trusted (give -suite-ca or -suite-self-signed-fingerprint): %w", err)
		}
		return nil, fmt.Errorf("-suite: it is not ready (is it running, and does it want a token in $%s?): %w", o.TokenEnvironment, err)
	}
	say("suite   ready: %s (%s)", o.URL, trusted.how)
	return s, nil
}

// trusted is which certificate of a suite is trusted, and how it came to be.
type trusted struct {
	config *tls.Config
	roots  *x509.CertPool
	how    string
}

// trust decides which certificate of the suite is trusted.
func trust(ctx context.Context, o Options, address *url.URL) (trusted, error) {
	switch {
	case o.Fingerprint != "":
		expected, err := parseFingerprint(o.Fingerprint)
		if err != nil {
			return trusted{}, fmt.Errorf("-suite-self-signed-fingerprint: %w", err)
		}
		shown, err := shownWith(ctx, address, expected)
		if err != nil {
			return trusted{}, fmt.Errorf("-suite: %s cannot be reached: %w", o.URL, err)
		}
		return only(shown, "certificate as given by its fingerprint"), nil
	case o.CA != "":
		roots, err := ReadRoots(o.CA)
		if err != nil {
			return trusted{}, fmt.Errorf("-suite-ca: %w", err)
		}
		return trusted{&tls.Config{RootCAs: roots}, roots, "certificate by " + o.CA}, nil
	}
	shown, found, err := ShownOnLoopback(ctx, address)
	if err != nil {
		return trusted{}, fmt.Errorf("-suite: %s cannot be reached: %w", o.URL, err)
	}
	if found {
		return only(shown, fmt.Sprintf("on loopback; certificate pinned to SHA-256 %x", sha256.Sum256(shown.Raw))), nil
	}
	roots, err := x509.SystemCertPool()
	if err != nil {
		return trusted{}, err
	}
	return trusted{&tls.Config{RootCAs: roots}, roots, "certificate by the system's authorities"}, nil
}

// only trusts one certificate. Who verifies by authorities has it for one.
func only(shown *x509.Certificate, how string) trusted {
	roots := x509.NewCertPool()
	roots.AddCert(shown)
	return trusted{pin(sha256.Sum256(shown.Raw)), roots, how}
}

// shownWith fetches the certificate with a fingerprint. It is an error if the suite shows another one.
func shownWith(ctx context.Context, address *url.URL, expected fingerprint) (*x509.Certificate, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	connection, err := (&tls.Dialer{Config: pin(expected)}).DialContext(ctx, "tcp", hostPort(address))
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	return connection.(*tls.Conn).ConnectionState().PeerCertificates[0], nil
}

// connectTime is how long it may take to see the suite's certificate.
const connectTime = 10 * time.Second

// hostPort is the address to connect to.
func hostPort(address *url.URL) string {
	return net.JoinHostPort(address.Hostname(), cmp.Or(address.Port(), "443"))
}

// ShownOnLoopback fetches a certificate that no authority vouches for, if the suite is on this
// machine: such suites make their own certificate, often without a host name. Nothing is found elsewhere.
func ShownOnLoopback(ctx context.Context, address *url.URL) (shown *x509.Certificate, found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", hostPort(address))
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

// ReadRoots reads certificates in PEM form.
func ReadRoots(file string) (*x509.CertPool, error) {
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
