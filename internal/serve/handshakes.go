package serve

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"

	"countersign/mtls/dn"
)

// handshakes knows the certificates that clients have shown in handshakes that are not over: the signature with which a client
// proves the key of its certificate comes after the certificate, and the error of a wrong one does not name it.
type handshakes struct {
	// subjects are by the address of the client, which has one connection from it.
	subjects sync.Map
}

// watch has a listener tell the certificates of its clients.
func (h *handshakes) watch(server *http.Server) {
	config := server.TLSConfig
	config.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		remote := hello.Conn.RemoteAddr().String()
		watched := config.Clone()
		watched.GetConfigForClient = nil
		watched.VerifyPeerCertificate = func(shown [][]byte, _ [][]*x509.Certificate) error {
			h.note(remote, shown)
			return nil
		}
		return watched, nil
	}
	server.ConnState = func(connection net.Conn, state http.ConnState) {
		if state != http.StateNew { // the handshake is over
			h.subjects.Delete(connection.RemoteAddr().String())
		}
	}
}

// note keeps the subject of a certificate. It refuses none: that is for the handlers.
func (h *handshakes) note(remote string, shown [][]byte) {
	if len(shown) == 0 {
		return
	}
	leaf, err := x509.ParseCertificate(shown[0])
	if err != nil {
		return
	}
	if name, err := dn.OfSubject(leaf); err == nil {
		h.subjects.Store(remote, name.String())
	}
}

// subject is that of the certificate which a client has shown, or empty.
func (h *handshakes) subject(remote string) string {
	known, _ := h.subjects.Load(remote)
	text, _ := known.(string)
	return text
}
