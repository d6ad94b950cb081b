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
	// clients are by their addresses: each has one connection from it.
	clients sync.Map
}

// client is what one has shown so far: the name that it came for, and its certificate or nil.
type client struct {
	server string
	leaf   *x509.Certificate
}

// Watch has a listener tell the certificates of its clients.
func (h *Seen) Watch(server *http.Server) {
	config := server.TLSConfig
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		remote := hello.Conn.RemoteAddr().String()
		h.clients.Store(remote, client{server: hello.ServerName})
		watched := config.Clone()
		watched.GetConfigForClient = nil
		watched.VerifyConnection = func(state tls.ConnectionState) error { // the signature comes after it
			if len(state.PeerCertificates) > 0 {
				h.clients.Store(remote, client{state.ServerName, state.PeerCertificates[0]})
			}
			return nil // it refuses none: that is for the handlers
		}
		return watched, nil
	}
	server.ConnState = func(connection net.Conn, state http.ConnState) {
		if state != http.StateNew { // the handshake is over
			h.clients.Delete(connection.RemoteAddr().String())
		}
	}
}

// Subject is that of the certificate which a client has shown, or empty.
func (h *Seen) Subject(remote string) string {
	known, _ := h.clients.Load(remote)
	if shown, ok := known.(client); ok && shown.leaf != nil {
		return mtls.SubjectText(shown.leaf)
	}
	return ""
}

// Server is the name that a client came for, or empty.
func (h *Seen) Server(remote string) string {
	known, _ := h.clients.Load(remote)
	shown, _ := known.(client)
	return shown.server
}

// Open is how many handshakes are not over.
func (h *Seen) Open() int {
	open := 0
	h.clients.Range(func(_, _ any) bool {
		open++
		return true
	})
	return open
}
