package mtls

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"sync"
)

// This is read by hand and not with a library for the reasons in docs/dependencies.md.

// What is read of PROXY protocol version 2 (https://www.haproxy.org/download/3.3/doc/proxy-protocol.txt §2.2).
const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	proxyFixed     = 16
	// maxProxyHeader leaves room for a certificate and everything else.
	maxProxyHeader = MaxCertificateSize + 4096

	tlvSSL               = 0x20 // PP2_TYPE_SSL
	tlvClientCertificate = 0x28 // PP2_SUBTYPE_SSL_CLIENT_CERT
	clientSSL            = 0x01 // PP2_CLIENT_SSL
	clientCertificate    = 0x02 // PP2_CLIENT_CERT_CONN
	clientSession        = 0x04 // PP2_CLIENT_CERT_SESS
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
	// unreadable is why the certificate in a well-formed header cannot be used: the request is refused, with an answer.
	unreadable error
	err        error
}

// Read implements [net.Conn].
func (c *proxyConn) Read(p []byte) (int, error) {
	c.once.Do(func() {
		var block []byte
		if block, c.err = readProxyHeader(c.reader); c.err == nil {
			c.presented, c.unreadable = parseProxyBlock(block)
		}
	})
	if c.err != nil {
		return 0, c.err
	}
	return c.reader.Read(p)
}

// readProxyHeader gives the whole header.
func readProxyHeader(r io.Reader) ([]byte, error) {
	block := make([]byte, proxyFixed)
	if _, err := io.ReadFull(r, block); err != nil {
		return nil, err
	}
	if string(block[:len(proxySignature)]) != proxySignature || block[12]>>4 != 2 {
		return nil, malformed("the connection does not begin with PROXY protocol version 2")
	}
	length := int(binary.BigEndian.Uint16(block[14:]))
	if length > maxProxyHeader {
		return nil, malformed("the PROXY header is longer than %d bytes", maxProxyHeader)
	}
	block = append(block, make([]byte, length)...)
	_, err := io.ReadFull(r, block[proxyFixed:])
	return block, err
}

// parseProxyBlock reads a header whose signature and length are right.
func parseProxyBlock(block []byte) (*Presented, error) {
	if len(block) < proxyFixed {
		return nil, malformed("the PROXY header is too short")
	}
	switch command := block[12] & 0x0f; command {
	case 0: // LOCAL: a health check of the ingress itself
		return nil, nil
	case 1:
	default:
		return nil, malformed("the PROXY header has the command %d", command)
	}
	addresses, known := map[byte]int{0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}[block[13]]
	if !known || len(block) < proxyFixed+addresses {
		return nil, malformed("the PROXY header has addresses of an unknown kind")
	}
	ssl, err := tlvs(block[proxyFixed+addresses:], tlvSSL)
	if err != nil || ssl == nil {
		return nil, err
	}
	const fixed = 5 // client, verify
	if len(ssl) < fixed {
		return nil, malformed("the TLS part of the PROXY header is too short")
	}
	der, err := tlvs(ssl[fixed:], tlvClientCertificate)
	if err != nil {
		return nil, err
	}
	shown := ssl[0]&(clientCertificate|clientSession) != 0
	switch {
	case ssl[0]&clientSSL == 0 && shown:
		return nil, malformed("the PROXY header tells of a certificate without TLS")
	case !shown && der != nil:
		return nil, malformed("a certificate, and the PROXY header says that there is none")
	case !shown:
		return nil, nil
	case binary.BigEndian.Uint32(ssl[1:fixed]) != 0:
		return nil, malformed("the ingress could not verify the certificate")
	case der == nil:
		return nil, malformed("the PROXY header tells of a certificate and does not hold it; have the ingress send PP2_SUBTYPE_SSL_CLIENT_CERT (0x28)")
	}
	leaf, err := parseDER(der)
	if err != nil {
		return nil, err
	}
	return presentedBy(SourceProxyProtocol, leaf, nil)
}

// tlvs reads all values and gives the one of a type, which may be there once; nil if it is not.
func tlvs(block []byte, wanted byte) ([]byte, error) {
	const head = 3
	var found []byte
	for len(block) > 0 {
		if len(block) < head {
			return nil, malformed("a value of the PROXY header is cut off")
		}
		length := int(binary.BigEndian.Uint16(block[1:]))
		if len(block) < head+length {
			return nil, malformed("a value of the PROXY header is longer than the header")
		}
		if block[0] == wanted {
			if found != nil {
				return nil, malformed("the PROXY header has a value twice")
			}
			found = append([]byte{}, block[head:head+length]...)
		}
		block = block[head+length:]
	}
	return found, nil
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
