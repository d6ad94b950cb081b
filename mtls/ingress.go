package mtls

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// SecretHeader carries the secret that an ingress shares with this server.
const SecretHeader = "Countersign-Ingress-Secret"

// MinSecretSize is the size of the shortest secret, in bytes of text: 256 bits in hexadecimal are twice as long, in
// base64 43.
const MinSecretSize = 43

// Ingress tells the one sender whose certificate headers are believed from everybody else.
type Ingress interface {
	// Authenticate returns nil if the request came from the ingress. The error says what is missing, and no secret.
	Authenticate(r *http.Request) error
}

// IngressCertificate is an ingress that shows a certificate of its own when it connects.
type IngressCertificate struct {
	// Roots are the authorities that issue certificates to the ingress and, best, to nobody else.
	Roots *x509.CertPool
	// Names are the DNS names or URIs (subjectAltName) of which the certificate must have one, letter by letter.
	Names []string
	// Now is the clock.
	Now func() time.Time
}

// Authenticate implements [Ingress].
func (i IngressCertificate) Authenticate(r *http.Request) error {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return errors.New("the sender shows no certificate, as the ingress does")
	}
	leaf := r.TLS.PeerCertificates[0]
	trust := Trust{Roots: i.Roots, Now: i.Now}
	err := trust.Verify(&Presented{Leaf: leaf, Chain: r.TLS.PeerCertificates[1:]})
	// Its authority may well issue certificates for everything in that network: one has to say what it is for.
	if err != nil || !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return errors.New("the sender's certificate is not from the authority of the ingress, or not for clients")
	}
	if !HasName(leaf, i.Names) {
		return errors.New("the sender's certificate has not the name of the ingress")
	}
	return nil
}

// HasName reports whether a certificate has one of some DNS names or URIs (subjectAltName, RFC 5280 §4.2.1.6), letter by letter.
func HasName(certificate *x509.Certificate, names []string) bool {
	return slices.ContainsFunc(certificate.DNSNames, func(name string) bool { return slices.Contains(names, name) }) ||
		slices.ContainsFunc(certificate.URIs, func(name *url.URL) bool { return slices.Contains(names, name.String()) })
}

// IngressSocket is an ingress on this machine that connects over a unix socket, which only it may open. The mode of the
// socket's folder is what keeps others out.
type IngressSocket struct{}

// Authenticate implements [Ingress].
func (IngressSocket) Authenticate(r *http.Request) error {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.UnixAddr)
	if !ok || local == nil {
		return errors.New("the request did not come over the socket of the ingress")
	}
	return nil
}

// IngressSecret is an ingress in a known network that knows a secret. Neither is enough without the other: addresses can
// be taken over by a neighbour, and a header can be repeated by whoever has once seen it.
type IngressSecret struct {
	networks []netip.Prefix
	digests  [][sha256.Size]byte
}

// NewIngressSecret takes the networks and the secrets, of which there may be two while one takes the place of the other.
// Errors wrap [ErrMalformed].
func NewIngressSecret(networks []netip.Prefix, secrets ...[]byte) (IngressSecret, error) {
	if len(networks) == 0 || len(secrets) == 0 || len(secrets) > 2 {
		return IngressSecret{}, malformed("an ingress is known by its networks and by one secret, or two during a change")
	}
	made := IngressSecret{networks: slices.Clone(networks)}
	for _, secret := range secrets {
		if len(secret) < MinSecretSize {
			return IngressSecret{}, malformed("the secret of the ingress is shorter than %d characters; make one with openssl rand -base64 32", MinSecretSize)
		}
		made.digests = append(made.digests, sha256.Sum256(secret))
	}
	return made, nil
}

// Authenticate implements [Ingress].
func (i IngressSecret) Authenticate(r *http.Request) error {
	sender, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !slices.ContainsFunc(i.networks, func(n netip.Prefix) bool { return n.Contains(sender.Addr().Unmap()) }) {
		return errors.New("the sender's address is not in the networks of the ingress")
	}
	sent := r.Header.Values(SecretHeader)
	if len(sent) != 1 {
		return errors.New("the sender does not show the secret of the ingress once in " + SecretHeader)
	}
	digest := sha256.Sum256([]byte(sent[0]))
	equal := 0
	for _, known := range i.digests {
		equal |= subtle.ConstantTimeCompare(known[:], digest[:])
	}
	if equal != 1 {
		return errors.New("the sender shows another secret than the ingress has")
	}
	return nil
}
