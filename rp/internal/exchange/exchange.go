// Package exchange does a relying party's HTTP: one request and its whole answer, bounded in size and time, by https only. It follows
// no redirects: whoever answers with one would choose where a secret is sent.
package exchange

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"countersign/internal/random"
)

// MaxBody is the size of the largest answer that is read, in bytes, unpacked.
const MaxBody = 1 << 20

// maxHeader is the size of the largest header, in bytes.
const maxHeader = 64 << 10

// Errors of [NewTransport].
var (
	errInsecure = errors.New("its TLSClientConfig has InsecureSkipVerify; name the authority in Roots instead")
	errDials    = errors.New("its DialTLS or DialTLSContext would make connections that nobody checks; use DialContext")
)

// Error is an exchange that failed, or an answer that is of no use. Its text repeats nothing of the answer.
type Error struct {
	Reason string
	cause  error
}

// Error says what happened.
func (e *Error) Error() string { return e.Reason }

// Unwrap is the error of net/http, or nil.
func (e *Error) Unwrap() error { return e.cause }

// NewTransport clones a transport, nil for one like that of net/http, and gives the clone TLS 1.2 or later with the suites of RFC 9325 §4.2
// (FAPI 2.0 Security Profile §5.2.2), the authorities, nil for those that it has, the certificate to show, nil for none, and the clock.
func NewTransport(base *http.Transport, roots *x509.CertPool, certificate *tls.Certificate, now func() time.Time) (*http.Transport, error) {
	if base == nil {
		base = &http.Transport{
			Proxy:       http.ProxyFromEnvironment,
			DialContext: (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		}
	}
	//lint:ignore SA1019 it is deprecated, and works
	if base.DialTLSContext != nil || base.DialTLS != nil {
		return nil, errDials
	}
	made := base.Clone()
	if made.TLSClientConfig == nil {
		made.TLSClientConfig = &tls.Config{}
	}
	config := made.TLSClientConfig
	if config.InsecureSkipVerify {
		return nil, errInsecure
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS12)
	config.CipherSuites = []uint16{
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	}
	config.Time = now
	if roots != nil {
		config.RootCAs = roots
	}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	made.ForceAttemptHTTP2 = true // a TLS configuration of one's own turns it off
	if made.TLSHandshakeTimeout == 0 {
		made.TLSHandshakeTimeout = 10 * time.Second
	}
	if made.IdleConnTimeout == 0 {
		made.IdleConnTimeout = 90 * time.Second
	}
	if made.MaxIdleConnsPerHost == 0 {
		made.MaxIdleConnsPerHost = 16
	}
	if made.MaxResponseHeaderBytes == 0 {
		made.MaxResponseHeaderBytes = maxHeader
	}
	return made, nil
}

// Client makes exchanges.
type Client struct {
	transport http.RoundTripper
	timeout   time.Duration
	agent     string
}

// New makes one. The timeout bounds an exchange from the connection to the last byte.
func New(transport http.RoundTripper, timeout time.Duration, agent string) *Client {
	return &Client{transport, timeout, agent}
}

// Request is what is sent.
type Request struct {
	Method, Address string
	Header          http.Header
	// Form is the body, or nil.
	Form url.Values
}

// Reply is an answer that was read to its end.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// IsJSON reports whether the answer says that it is JSON (RFC 8259 §11, or a type with +json).
func (r Reply) IsJSON() bool {
	media := r.MediaType()
	return media == "application/json" || strings.HasPrefix(media, "application/") && strings.HasSuffix(media, "+json")
}

// MediaType is the media type in lower case, without parameters.
func (r Reply) MediaType() string {
	media, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(media))
}

// Do makes an exchange. Errors are an [*Error], a redirect's too.
func (c *Client) Do(ctx context.Context, what Request) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var body io.Reader
	if what.Form != nil {
		body = strings.NewReader(what.Form.Encode())
	}
	request, err := http.NewRequestWithContext(ctx, what.Method, what.Address, body)
	if err != nil {
		return Reply{}, &Error{"the address cannot be used", err}
	}
	if request.URL.Scheme != "https" {
		return Reply{}, &Error{"the address is not https", nil}
	}
	if what.Header != nil {
		request.Header = what.Header.Clone()
	}
	request.Header.Set("User-Agent", c.agent)
	request.Header.Set("X-Fapi-Interaction-Id", random.UUID()) // by which a request is found in the logs of both sides
	if what.Form != nil {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := c.transport.RoundTrip(request)
	if err != nil {
		return Reply{}, failure(ctx, err)
	}
	defer response.Body.Close()
	if response.StatusCode >= 300 && response.StatusCode < 400 {
		return Reply{}, &Error{fmt.Sprintf("it answered with a redirect (%d), which is not followed", response.StatusCode), nil}
	}
	read, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return Reply{}, failure(ctx, err)
	}
	if len(read) > MaxBody {
		return Reply{}, &Error{fmt.Sprintf("its answer is larger than %d bytes", MaxBody), nil}
	}
	return Reply{response.StatusCode, response.Header, bytes.TrimPrefix(read, []byte("\xef\xbb\xbf"))}, nil
}

// failure puts an error of net/http into words that hold nothing of the answer.
func failure(ctx context.Context, err error) *Error {
	var reason string
	var unverified *tls.CertificateVerificationError
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		reason = "it did not answer in time"
	case ctx.Err() != nil:
		reason = "the exchange was given up"
	case errors.As(err, &unverified):
		reason = "its certificate cannot be verified"
	default:
		reason = "it could not be reached, or broke off"
	}
	return &Error{reason, err}
}

// WithQuery adds parameters to an address that may have some (RFC 6749 §3.1). Errors are an [*Error].
func WithQuery(address string, form url.Values) (string, error) {
	parsed, err := url.Parse(address)
	if err != nil {
		return "", &Error{"it is not an address", err}
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return "", &Error{"the query of its address cannot be read", err}
	}
	maps.Copy(query, form)
	parsed.RawQuery = query.Encode()
	return parsed.String(), nil
}
