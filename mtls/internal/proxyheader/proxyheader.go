// Package proxyheader reads the header of PROXY protocol version 2, with which an ingress begins a connection, and the
// client certificate in it.
package proxyheader

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
)

// It is read by hand and not with a library for the reasons in docs/dependencies.md.

// What is read of PROXY protocol version 2 (https://www.haproxy.org/download/3.3/doc/proxy-protocol.txt, section 2.2).
const (
	// Signature is what a header begins with.
	Signature = "\r\n\r\n\x00\r\nQUIT\n"
	fixedSize = 16
	// MaxSize bounds a header without its fixed part, in bytes: room for a certificate and everything else.
	MaxSize = 16<<10 + 4096

	// TypeSSL is PP2_TYPE_SSL.
	TypeSSL = 0x20
	// TypeClientCertificate is PP2_SUBTYPE_SSL_CLIENT_CERT.
	TypeClientCertificate = 0x28

	clientSSL         = 0x01 // PP2_CLIENT_SSL
	clientCertificate = 0x02 // PP2_CLIENT_CERT_CONN
	clientSession     = 0x04 // PP2_CLIENT_CERT_SESS
)

// Error says what is wrong with a header.
type Error string

// Error implements error.
func (e Error) Error() string { return string(e) }

func errorf(format string, arguments ...any) error { return Error(fmt.Sprintf(format, arguments...)) }

// Read reads a whole header, and nothing after it. An error is an [Error], or that of r.
func Read(r io.Reader) ([]byte, error) {
	block := make([]byte, fixedSize)
	if _, err := io.ReadFull(r, block); err != nil {
		return nil, err
	}
	if string(block[:len(Signature)]) != Signature || block[12]>>4 != 2 {
		return nil, errorf("the connection does not begin with PROXY protocol version 2")
	}
	length := int(binary.BigEndian.Uint16(block[14:]))
	if length > MaxSize {
		return nil, errorf("the PROXY header is longer than %d bytes", MaxSize)
	}
	block = append(block, make([]byte, length)...)
	_, err := io.ReadFull(r, block[fixedSize:])
	return block, err
}

// Client is the address of the client in a header that [Read] has given. It is not valid when there is none, as in that of a
// health check, or when it is no IP address.
func Client(block []byte) netip.AddrPort {
	if len(block) < fixedSize || block[12]&0x0f != 1 {
		return netip.AddrPort{}
	}
	// The addresses of both sides, then their ports.
	size := map[byte]int{0x11: 4, 0x21: 16}[block[13]]
	if size == 0 || len(block) < fixedSize+2*size+4 {
		return netip.AddrPort{}
	}
	source, _ := netip.AddrFromSlice(block[fixedSize : fixedSize+size])
	return netip.AddrPortFrom(source.Unmap(), binary.BigEndian.Uint16(block[fixedSize+2*size:]))
}

// Certificate is the DER of the client certificate in a header that [Read] has given, or nil if the client has shown none.
// Errors are an [Error].
func Certificate(block []byte) ([]byte, error) {
	if len(block) < fixedSize {
		return nil, errorf("the PROXY header is too short")
	}
	switch command := block[12] & 0x0f; command {
	case 0: // LOCAL: a health check of the ingress itself
		return nil, nil
	case 1:
	default:
		return nil, errorf("the PROXY header has the command %d", command)
	}
	addresses, known := map[byte]int{0x00: 0, 0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}[block[13]]
	if !known || len(block) < fixedSize+addresses {
		return nil, errorf("the PROXY header has addresses of an unknown kind")
	}
	ssl, err := tlvs(block[fixedSize+addresses:], TypeSSL)
	if err != nil || ssl == nil {
		return nil, err
	}
	const fixed = 5 // client, verify
	if len(ssl) < fixed {
		return nil, errorf("the TLS part of the PROXY header is too short")
	}
	der, err := tlvs(ssl[fixed:], TypeClientCertificate)
	if err != nil {
		return nil, err
	}
	shown := ssl[0]&(clientCertificate|clientSession) != 0
	switch {
	case ssl[0]&clientSSL == 0 && shown:
		return nil, errorf("the PROXY header tells of a certificate without TLS")
	case !shown && der != nil:
		return nil, errorf("a certificate, and the PROXY header says that there is none")
	case !shown:
		return nil, nil
	case binary.BigEndian.Uint32(ssl[1:fixed]) != 0:
		return nil, errorf("the ingress could not verify the certificate")
	case der == nil:
		return nil, errorf("the PROXY header tells of a certificate and does not hold it; have the ingress send PP2_SUBTYPE_SSL_CLIENT_CERT (0x28)")
	}
	return der, nil
}

// tlvs reads all values and gives the one of a type, which may be there once; nil if it is not.
func tlvs(block []byte, wanted byte) ([]byte, error) {
	const head = 3
	var found []byte
	for len(block) > 0 {
		if len(block) < head {
			return nil, errorf("a value of the PROXY header is cut off")
		}
		length := int(binary.BigEndian.Uint16(block[1:]))
		if len(block) < head+length {
			return nil, errorf("a value of the PROXY header is longer than the header")
		}
		if block[0] == wanted {
			if found != nil {
				return nil, errorf("the PROXY header has a value twice")
			}
			found = append([]byte{}, block[head:head+length]...)
		}
		block = block[head+length:]
	}
	return found, nil
}
