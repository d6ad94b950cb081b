// Package mtls finds the client certificate of a request and answers what RFC 8705 asks about it: is it trusted, does
// its subject match a registration, is its key a registered one, what is its thumbprint.
//
// A listener has one [Source] of certificates: [Direct], for clients that reach it themselves; [Header], for an ingress
// that terminates TLS and hands the certificate on in a header, each kind in its own way; or [ProxyProtocol]. Headers can
// be forged, so a [Gate] comes before every handler: it refuses certificate headers from anybody but the [Ingress] of the
// listener, and puts the certificate into the request's context, where [Admitted] finds it.
//
//	admitted, err := gate.Admit(r)                          // 400 if this fails
//	presented, err := mtls.Admitted().Certificate(admitted) // nil if the client has none
//	err = trust.VerifyContext(ctx, presented)               // tls_client_auth (RFC 8705 §2.1) ...
//	err = registered.Match(presented.Leaf)                  // ... with the registered [Subject]
//	err = mtls.SelfSigned(presented, keys, now)             // or self_signed_tls_client_auth (§2.2)
//	x5t := mtls.Thumbprint(presented.Leaf)                  // for cnf (§3.1)
//
// Nothing but the certificate itself is believed. Go's TLS asks for it and proves possession of its key ([ServerConfig]);
// whether it is trusted is decided by [Trust] for each request, because one certificate may be good for one client and not
// for another. [Stores] are authorities in files that may change while the server runs, with [Revocation] by lists and by
// OCSP (RFC 5280 §6.3, RFC 6960).
//
// The caller provides the trust anchors (the system's are never used), what clients registered, a clock, and for
// revocation a [Fetch] that keeps to its network rules. Errors wrap [ErrMalformed], [ErrUntrusted], [ErrMismatch] or
// [ErrForged].
//
// The package keeps no registrations, opens no listeners and fetches nothing by itself; it does not act as a TLS client.
package mtls

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"

	"countersign/mtls/dn"
)

// Limits on what a client presents.
const (
	// MaxCertificateSize is the size of the largest certificate that is looked at, in bytes of DER.
	MaxCertificateSize = 16 << 10
	// MaxCertificates is the number of certificates that a client may present.
	MaxCertificates = 6
)

// The ways in which a certificate can fail. Errors of this package wrap one of them.
var (
	// ErrMalformed is a certificate, or a registered value, that is not well formed or exceeds a limit.
	ErrMalformed = dn.ErrMalformed
	// ErrUntrusted is a certificate that does not lead to a trust anchor or is not fit for client authentication.
	ErrUntrusted = errors.New("mtls: certificate not trusted")
	// ErrMismatch is a certificate that is not the registered one.
	ErrMismatch = errors.New("mtls: certificate does not match")
	// ErrReversed is a certificate whose subject is the registered name with its parts in the opposite order.
	ErrReversed = fmt.Errorf("%w: the registered subject is written most significant part first, and RFC 4514 wants the opposite order", ErrMismatch)
	// ErrUnknownKey is a certificate whose key is none of those that were registered.
	ErrUnknownKey = fmt.Errorf("%w: its key is not registered", ErrMismatch)
)

// Presented is the certificate that a client presented and whose key it proved to have. It is not verified: see
// [Trust.Verify] and [SelfSigned].
type Presented struct {
	// Leaf is the client's own certificate.
	Leaf *x509.Certificate
	// Chain are the certificates that came with it, without the leaf.
	Chain []*x509.Certificate
	// Source says where the certificate was found, for the log.
	Source string
}

// Source finds the client certificate of a request. A listener has exactly one source.
type Source interface {
	// Certificate returns nil and no error if the client presented none. An error means that there is something and
	// it cannot be used; the request must be refused then. Errors wrap [ErrMalformed].
	Certificate(r *http.Request) (*Presented, error)
}

// Direct is the source for clients that reach our own TLS listener.
func Direct() Source { return direct{} }

type direct struct{}

// Certificate reads the certificate of the TLS connection.
func (direct) Certificate(r *http.Request) (*Presented, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, nil
	}
	certificates := r.TLS.PeerCertificates
	if len(certificates) > MaxCertificates {
		return nil, fmt.Errorf("%w: more than %d certificates", ErrMalformed, MaxCertificates)
	}
	for _, certificate := range certificates {
		if len(certificate.Raw) > MaxCertificateSize {
			return nil, fmt.Errorf("%w: a certificate is larger than %d bytes", ErrMalformed, MaxCertificateSize)
		}
	}
	return &Presented{Leaf: certificates[0], Chain: certificates[1:], Source: "tls"}, nil
}

// Thumbprint is the x5t#S256 of a certificate (RFC 8705 §3.1): base64url of the SHA-256 of its DER.
func Thumbprint(certificate *x509.Certificate) string {
	digest := sha256.Sum256(certificate.Raw)
	return base64.RawURLEncoding.EncodeToString(digest[:])
}
