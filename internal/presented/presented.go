// Package presented checks how an access token comes to a resource: in the Authorization header (RFC 6750 §2.1, RFC 9449 §7.1),
// from the holder of the key or the certificate that it is bound to (RFC 9449 §7.2, RFC 8705 §3). The server's own resources
// and package rs have it in common. It reads no token and verifies no proof: what is bound, and which proof is valid, its caller
// says.
package presented

import (
	"crypto/x509"
	"strings"

	"countersign/mtls"
)

// The authentication schemes of access tokens.
const (
	DPoP   = "DPoP"
	Bearer = "Bearer"
)

// Reason is what is wrong with how a token was presented.
type Reason int

// The reasons.
const (
	// Missing: there is no Authorization header.
	Missing Reason = iota + 1
	// Malformed: there are several, or it has not the form "scheme token".
	Malformed
	// UnknownScheme: the scheme is neither DPoP nor Bearer.
	UnknownScheme
	// Unbound: the token is bound to nothing.
	Unbound
	// WantsDPoP: the token is bound by DPoP and came as Bearer (RFC 9449 §7.2).
	WantsDPoP
	// WantsBearer: the token is bound to a certificate alone and came as DPoP.
	WantsBearer
	// OtherKey: the proof is by another key than the token's.
	OtherKey
	// NoCertificate: the connection has no client certificate.
	NoCertificate
	// OtherCertificate: it is another one than the token's.
	OtherCertificate
)

// texts are for the sender.
func (r Reason) text() string {
	switch r {
	case Missing:
		return "an access token is needed"
	case Malformed:
		return "there must be one Authorization header, of the form: DPoP <token>, or Bearer <token>"
	case UnknownScheme:
		return "the authentication scheme must be DPoP or Bearer"
	case Unbound:
		return "the access token is bound to no key and no certificate"
	case WantsDPoP:
		return "the access token is bound by DPoP and must not be sent as Bearer"
	case WantsBearer:
		return "the access token is bound to a certificate; send it as Bearer over mutual TLS"
	case OtherKey:
		return "the DPoP proof is signed with another key than the one that the access token is bound to"
	case NoCertificate:
		return "the access token is bound to a certificate; use the address with mutual TLS and show it"
	}
	return "the access token is bound to another certificate than that of the connection"
}

// Error is a token that was presented wrongly. Its text is for the sender.
type Error struct {
	Reason Reason

	cause error
}

// Error says what is wrong and what would be right.
func (e *Error) Error() string { return e.Reason.text() }

// Unwrap is why a certificate could not be used, or nil.
func (e *Error) Unwrap() error { return e.cause }

func refuse(reason Reason) error { return &Error{Reason: reason} }

// Credentials takes the token out of the fields of the Authorization header. The scheme, which is case-insensitive (RFC 9110
// §11.1), comes back as [DPoP] or [Bearer]. maxSize bounds the token, in bytes. Errors are [*Error].
func Credentials(fields []string, maxSize int) (scheme, token string, err error) {
	if len(fields) == 0 {
		return "", "", refuse(Missing)
	}
	name, token, found := strings.Cut(fields[0], " ")
	if len(fields) > 1 || !found || token == "" || len(token) > maxSize {
		return "", "", refuse(Malformed)
	}
	switch {
	case strings.EqualFold(name, DPoP):
		return DPoP, token, nil
	case strings.EqualFold(name, Bearer):
		return Bearer, token, nil
	}
	return "", "", refuse(UnknownScheme)
}

// Binding is what an access token is bound to: members of its cnf (RFC 9449 §6.1, RFC 8705 §3.1).
type Binding struct {
	// JKT is the thumbprint of a key, X5T that of a certificate; "" where there is none.
	JKT, X5T string
}

// Sender is who presents the token.
type Sender struct {
	// Scheme is [DPoP] or [Bearer].
	Scheme string
	// Proof verifies the DPoP proof of the request for the token, and returns the thumbprint of its key.
	Proof func() (jkt string, err error)
	// Certificate returns the certificate whose key the sender proved to hold, or nil.
	Certificate func() (*x509.Certificate, error)
}

// Check holds the sender to the binding: to each part of it, where there are two. Errors are [*Error], or those of Proof.
func (b Binding) Check(s Sender) error {
	if b == (Binding{}) {
		return refuse(Unbound)
	}
	if b.JKT != "" {
		if s.Scheme != DPoP {
			return refuse(WantsDPoP)
		}
		jkt, err := s.Proof()
		if err != nil {
			return err
		}
		if jkt != b.JKT {
			return refuse(OtherKey)
		}
	}
	if b.X5T == "" {
		return nil
	}
	if b.JKT == "" && s.Scheme != Bearer {
		return refuse(WantsBearer)
	}
	certificate, err := s.Certificate()
	switch {
	case err != nil:
		return &Error{Reason: OtherCertificate, cause: err}
	case certificate == nil:
		return refuse(NoCertificate)
	case mtls.Thumbprint(certificate) != b.X5T:
		return refuse(OtherCertificate)
	}
	return nil
}
