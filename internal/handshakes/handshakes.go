// Package handshakes knows the certificates that clients show, for the log of handshakes that fail.
package handshakes

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"

	"countersign/mtls"
)

// Seen knows the certificates that clients have shown in handshakes that are not over: the signature with which a client
// proves the key of its certificate comes after the certificate, and the error of a wrong one does not name it.
type Seen struct {
	// leaves are by the address of the client, which has one connection from it.
	leaves sync.Map
}

// Watch has a listener tell the certificates of its clients.
func (h *Seen) Watch(server *http.Server) {
	config := server.TLSConfig
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		remote := hello.Conn.RemoteAddr().String()
		watched := config.Clone()
		watched.GetConfigForClient = nil
		watched.VerifyConnection = func(state tls.ConnectionState) error { // the signature comes after it
			if len(state.PeerCertificates) > 0 {
				h.leaves.Store(remote, state.PeerCertificates[0])
			}
			return nil // it refuses none: that is for the handlers
		}
		return watched, nil
	}
	server.ConnState = func(connection net.Conn, state http.ConnState) {
		if state != http.StateNew { // the handshake is over
			h.leaves.Delete(connection.RemoteAddr().String())
		}
	}
}

// Subject is that of the certificate which a client has shown, or empty.
func (h *Seen) Subject(remote string) string {
	known, _ := h.leaves.Load(remote)
	leaf, ok := known.(*x509.Certificate)
	if !ok {
		return ""
	}
	return mtls.SubjectText(leaf)
}

// Open is how many handshakes in which a certificate was shown are not over.
func (h *Seen) Open() int {
	open := 0
	h.leaves.Range(func(_, _ any) bool {
		open++
		return true
	})
	return open
}
