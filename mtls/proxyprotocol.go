package mtls

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"countersign/mtls/internal/proxyheader"
)

// ProxyListener reads PROXY protocol version 2 at the beginning of each connection, before TLS. A connection without it
// is closed. Use it with [ProxyContext] and the source [ProxyProtocol].
func ProxyListener(inner net.Listener) net.Listener { return proxyListener{inner} }

type proxyListener struct{ net.Listener }

// Accept does not read yet, so that a slow sender holds up nobody else.
func (l proxyListener) Accept() (net.Conn, error) {
	accepted, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &proxyConn{Conn: accepted, reader: bufio.NewReaderSize(accepted, 4096)}, nil
}

// proxyConn is a connection whose header is read with its first byte, within the time that the server gives the TLS
// handshake or, without TLS, the header of the first request.
type proxyConn struct {
	net.Conn
	reader    *bufio.Reader
	once      sync.Once
	presented *Presented
	// client is the address that the header tells; it is not valid where there is none.
	client netip.AddrPort
	// unreadable is why the certificate in a well-formed header cannot be used: the request is refused, with an answer.
	unreadable error
	err        error
}

// Read implements [net.Conn].
func (c *proxyConn) Read(p []byte) (int, error) {
	c.once.Do(func() {
		block, err := proxyheader.Read(c.reader)
		if err != nil {
			c.err = headerError(err)
			return
		}
		c.client = proxyheader.Client(block)
		c.presented, c.unreadable = presentedIn(block)
	})
	if c.err != nil {
		return 0, c.err
	}
	return c.reader.Read(p)
}

// NetConn is the connection below, as that of [tls.Conn] is.
func (c *proxyConn) NetConn() net.Conn { return c.Conn }

// presentedIn is the certificate in a whole header.
func presentedIn(block []byte) (*Presented, error) {
	der, err := proxyheader.Certificate(block)
	if err != nil || der == nil {
		return nil, headerError(err)
	}
	leaf, err := parseDER(der)
	if err != nil {
		return nil, err
	}
	return presentedBy(SourceProxyProtocol, leaf, nil)
}

// headerError has what is wrong with a header wrap [ErrMalformed]; errors of the connection stay as they are.
func headerError(err error) error {
	if problem, ok := errors.AsType[proxyheader.Error](err); ok {
		return malformed("%s", problem)
	}
	return err
}

type proxyKey struct{}

// ProxyContext is the ConnContext of the http.Server behind a [ProxyListener].
func ProxyContext(ctx context.Context, connection net.Conn) context.Context {
	if secure, ok := connection.(*tls.Conn); ok {
		connection = secure.NetConn()
	}
	if proxied, ok := connection.(*proxyConn); ok {
		return context.WithValue(ctx, proxyKey{}, proxied)
	}
	return ctx
}

// ProxyProtocol is the source for an ingress that passes the certificate with PROXY protocol version 2. Such an ingress
// sends no chain: configure the intermediates. Errors wrap [ErrMalformed].
func ProxyProtocol() Source { return proxyProtocol{} }

type proxyProtocol struct{}

// Certificate implements [Source].
func (proxyProtocol) Certificate(r *http.Request) (*Presented, error) {
	connection, ok := r.Context().Value(proxyKey{}).(*proxyConn)
	if !ok {
		return nil, malformed("the connection has no PROXY header")
	}
	return connection.presented, connection.unreadable
}
