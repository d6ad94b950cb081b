// Package outbound is the one HTTP client through which this server reaches what others name: key sets (jwks_uri),
// lists of redirect addresses (sector_identifier_uri), notification endpoints (CIBA Core §10.2). Such an address is chosen by
// the developer of a client, so the client here assumes that it was chosen to make the server attack a third party, its own network first (SSRF,
// RFC 9700 §4.11, OpenID Connect Registration 1.0 §9.1). What the operator names, such as an API of the operator's own, goes
// through it too: networks that are not public are then reached if the operator names them as well.
//
//   - https only, and the certificate must be for the name (RFC 9525);
//   - the name is resolved here, every address it has must be a public one, and the socket is checked again just
//     before it connects: what DNS says later changes nothing;
//   - no redirects, proxies, cookies, credentials, kept connections; compression is not asked for, and gzip that comes all
//     the same is unpacked up to the size of a body;
//   - sizes, time and the number of exchanges at once are bounded, the latter by owner and by host too (see [For]).
package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Defaults of a zero [Policy], and limits that are always the same.
const (
	defaultTimeout = 5 * time.Second
	defaultMaxBody = 256 << 10
	// maxHeader is the size of the largest response header, in bytes.
	maxHeader = 16 << 10
	// maxAttempts is how many addresses of one name are tried.
	maxAttempts = 4
)

// Policy says what a [Client] may do.
type Policy struct {
	// AllowLoopback lets addresses of this machine pass. It is for a server whose own issuer is on loopback, so that
	// it can be tried out; nothing else becomes weaker.
	AllowLoopback bool
	// SignedDocuments lets http:// addresses pass beside https://, on port 80 too. It is for documents whose own
	// signature is checked, and which are published in no other way: revocation lists and OCSP (RFC 5280 §8).
	SignedDocuments bool
	// Networks may be reached though they are not public: those that an operator names for one target of the operator's own.
	// Link-local and metadata addresses are never reached.
	Networks []netip.Prefix
	// Roots are the authorities that may issue certificates; nil means the system's.
	Roots *x509.CertPool
	// Timeout bounds a whole exchange, from the wait for a slot to the last byte of the body; 0 means 5 s.
	Timeout time.Duration
	// MaxBody is the size of the largest body, in bytes, as sent and when it is unpacked; 0 means 256 KiB.
	MaxBody int64
	// Now is the clock by which certificates are judged.
	Now func() time.Time
	// Certificate is shown to servers that ask for one, and may change; nil shows none.
	Certificate *atomic.Pointer[tls.Certificate]
}

// Document is what was fetched.
type Document struct {
	// Body is the body, at most [Policy].MaxBody bytes, without the gzip that was its Content-Encoding.
	Body []byte
	// MaxAge is max-age of Cache-Control (RFC 9111 §5.2.2.1); 0 when it is absent, or with no-store.
	MaxAge time.Duration
	// Restricted reports that Cache-Control says how long the document may be kept, which may be not at all: MaxAge bounds it.
	Restricted bool
	// ContentType is Content-Type as it was sent, or empty.
	ContentType string
}

// Client fetches documents. It may be used by many at once.
type Client struct {
	policy Policy
	slots  *slots

	// lookup and connect are the system's resolver and dialer, except in tests.
	lookup  func(ctx context.Context, host string) ([]netip.Addr, error)
	connect func(ctx context.Context, network, address string) (net.Conn, error)
}

// New makes a client.
func New(policy Policy) *Client {
	if policy.Timeout <= 0 {
		policy.Timeout = defaultTimeout
	}
	if policy.MaxBody <= 0 {
		policy.MaxBody = defaultMaxBody
	}
	c := &Client{policy: policy, slots: newSlots()}
	c.lookup = systemLookup
	c.connect = (&net.Dialer{ControlContext: c.checkSocket}).DialContext
	return c
}

// Transport makes a transport for a client of another package, such as one of a provider: it connects as this one does, checks each address
// as this one does, and follows no proxy. Bounds of time, size and number, and redirects, are that client's own.
func (c *Client) Transport() *http.Transport {
	made := c.transport()
	made.DisableKeepAlives = false // a connection leads where it led
	return made
}

// transport makes a transport for one exchange. It is used instead of an http.Client, which would add redirects and
// cookies.
func (c *Client) transport() *http.Transport {
	return &http.Transport{
		// No Proxy: one from the environment would connect for us, unchecked.
		DialContext:            c.dial,
		TLSClientConfig:        tlsConfig(c.policy),
		TLSHandshakeTimeout:    c.policy.Timeout,
		MaxResponseHeaderBytes: maxHeader,
		DisableCompression:     true, // else net/http would ask for it, and unpack without a limit
		DisableKeepAlives:      true, // each exchange resolves, and is judged, again
	}
}

// tlsConfig has the versions and the suites that this server accepts itself (mtls.ServerConfig; RFC 9325 §3.1.1,
// §4.2). Go compares the certificate with the host name by RFC 9525. HTTP/1.1 does for one small document, and has
// far fewer ways to keep a client busy than HTTP/2.
func tlsConfig(policy Policy) *tls.Config {
	var own func(*tls.CertificateRequestInfo) (*tls.Certificate, error)
	if policy.Certificate != nil {
		own = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return policy.Certificate.Load(), nil }
	}
	return &tls.Config{
		GetClientCertificate: own,
		MinVersion:           tls.VersionTLS12,
		CipherSuites: []uint16{
			tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
			tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
			tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		},
		NextProtos: []string{"http/1.1"},
		RootCAs:    policy.Roots,
		Time:       policy.Now,
	}
}

// Get fetches a document. The address must pass [CheckAddress]; accept is the Accept header, or empty. Only an answer
// of 200 is a document; a redirect is an error. Errors are of type [*Error], and wrap the error of ctx when it ended.
func (c *Client) Get(ctx context.Context, address, accept string) (document Document, err error) {
	header := http.Header{}
	if accept != "" {
		header.Set("Accept", accept)
	}
	return c.GetWith(ctx, address, header)
}

// GetWith is [Client.Get] with a header.
func (c *Client) GetWith(ctx context.Context, address string, header http.Header) (document Document, err error) {
	err = c.limited(ctx, address, func(ctx context.Context, target *url.URL) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
		if err != nil {
			return err
		}
		maps.Copy(request.Header, header)
		document, err = c.exchange(ctx, request)
		return err
	})
	if err != nil {
		return Document{}, err
	}
	return document, nil
}

// Post sends a JSON body with an Authorization header; see [Client.Send].
func (c *Client) Post(ctx context.Context, address, authorization string, body []byte) (status int, err error) {
	return c.Send(ctx, address, http.Header{"Content-Type": {"application/json"}, "Authorization": {authorization}}, body)
}

// Send posts a body with a header, and returns the status of the response, also of a refusal: a redirect is an answer and not
// followed, and the body of the answer is not read. The address must pass [CheckAddress]. Errors are of type [*Error]:
// there was no response.
func (c *Client) Send(ctx context.Context, address string, header http.Header, body []byte) (status int, err error) {
	err = c.limited(ctx, address, func(ctx context.Context, target *url.URL) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header = header.Clone()
		request.Header.Set("User-Agent", "Countersign")
		request.GetBody = nil // net/http must not send it again by itself
		transport := c.transport()
		defer transport.CloseIdleConnections()
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		status = response.StatusCode
		return response.Body.Close()
	})
	return status, err
}

// Ask posts a body with a header, once, and reads the answer as [Client.Get] does.
func (c *Client) Ask(ctx context.Context, address string, header http.Header, body []byte) (document Document, err error) {
	err = c.limited(ctx, address, func(ctx context.Context, target *url.URL) error {
		request, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header = header.Clone()
		request.GetBody = nil // net/http must not send it again by itself
		document, err = c.exchange(ctx, request)
		return err
	})
	if err != nil {
		return Document{}, err
	}
	return document, nil
}

// limited checks an address and does an exchange with it once a slot is free.
func (c *Client) limited(ctx context.Context, address string, exchange func(context.Context, *url.URL) error) error {
	target, err := c.policy.parseAddress(address)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.policy.Timeout)
	defer cancel()
	of := shareOf(ctx, target.Hostname())
	if !c.slots.take(ctx, of) {
		return &Error{Host: target.Host, Reason: "too many fetches at once", NoSlot: true, cause: ctx.Err()}
	}
	defer c.slots.release(of)
	if err := exchange(ctx, target); err != nil {
		return explain(ctx, target.Host, err)
	}
	return nil
}

// exchange sends the request and reads the answer.
func (c *Client) exchange(ctx context.Context, request *http.Request) (Document, error) {
	request.Header.Set("User-Agent", "Countersign")
	request.Header.Set("Accept-Encoding", "identity")
	transport := c.transport()
	defer transport.CloseIdleConnections() // ends a dial or handshake that net/http would continue after ctx ended
	response, err := transport.RoundTrip(request)
	if err != nil {
		return Document{}, err
	}
	defer response.Body.Close()
	if err := checkResponse(response); err != nil {
		return Document{}, err
	}
	body, err := c.readAll(response.Body)
	if err != nil {
		return Document{}, err
	}
	if err := ctx.Err(); err != nil {
		// A server that sees the connection close may still end a body that it has not finished.
		return Document{}, err
	}
	if isGzip(response) {
		if body, err = c.unpack(body); err != nil {
			return Document{}, err
		}
	}
	return Document{
		Body:        body,
		MaxAge:      maxAge(response.Header),
		Restricted:  restricted(response.Header),
		ContentType: response.Header.Get("Content-Type"),
	}, nil
}

// readAll reads a body to its end, up to the limit.
func (c *Client) readAll(from io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(from, c.policy.MaxBody+1))
	if err != nil {
		return nil, err
	}
	if int64(len(body)) > c.policy.MaxBody {
		return nil, unusablef("the body is larger than %d bytes", c.policy.MaxBody)
	}
	return body, nil
}

// unpack decodes gzip. Packed and unpacked, a body is bounded in the same way, so that a small one costs no more than a
// large one.
func (c *Client) unpack(packed []byte) ([]byte, error) {
	unpacker, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, unusablef("the body is not the gzip that it is said to be")
	}
	body, err := c.readAll(unpacker)
	if _, known := errors.AsType[unusable](err); err != nil && !known {
		return nil, unusablef("the body is damaged gzip")
	}
	return body, err
}

func isGzip(response *http.Response) bool {
	coding := response.Header.Get("Content-Encoding")
	return strings.EqualFold(coding, "gzip") || strings.EqualFold(coding, "x-gzip") // RFC 9110 §8.4.1.3
}

// checkResponse refuses by the header what need not be read.
func checkResponse(response *http.Response) error {
	status := response.StatusCode
	switch {
	case status >= 300 && status < 400:
		return unusable{fmt.Sprintf("it answered with a redirect (%d), which is not followed", status), status}
	case status != http.StatusOK:
		return unusable{fmt.Sprintf("it answered with status %d, not 200", status), status}
	}
	coding := strings.Join(response.Header.Values("Content-Encoding"), ",")
	if coding != "" && !strings.EqualFold(coding, "identity") && !isGzip(response) || strings.Contains(coding, ",") {
		return unusablef("it sent a compressed body, which was not asked for; gzip alone is read")
	}
	return nil
}
