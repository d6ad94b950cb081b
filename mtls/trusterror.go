package mtls

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// TrustError is a certificate that is not trusted, with the reason. It wraps [ErrUntrusted] and what x509 said.
type TrustError struct {
	// Reason says what is wrong with the certificate in words that its holder may read, such as "it expired at ...".
	Reason string

	cause error
}

// Error implements error.
func (e *TrustError) Error() string {
	if e.cause == nil {
		return ErrUntrusted.Error() + ": " + e.Reason
	}
	return fmt.Sprintf("%s: %s (%s)", ErrUntrusted, e.Reason, e.cause)
}

// Unwrap gives [ErrUntrusted] and what x509 said.
func (e *TrustError) Unwrap() []error {
	if e.cause == nil {
		return []error{ErrUntrusted}
	}
	return []error{ErrUntrusted, e.cause}
}

// Reason gives the words of an error of this package that the holder of the certificate may read, or "". They name nothing
// that was registered.
func Reason(err error) string {
	if refused, ok := errors.AsType[*TrustError](err); ok {
		return refused.Reason
	}
	if refused, ok := errors.AsType[*CertificateError](err); ok {
		return refused.Cause
	}
	if refused, ok := errors.AsType[*selfSignedError](err); ok {
		return refused.reason
	}
	switch {
	case errors.Is(err, ErrUnknownKey):
		return "its key is not among those that are registered"
	case errors.Is(err, ErrReversed):
		return "it is registered most significant part first; RFC 4514 wants the opposite order"
	}
	return ""
}

// selfSignedError is what is wrong with a certificate for self_signed_tls_client_auth. It wraps [ErrMismatch].
type selfSignedError struct{ reason string }

// Error implements error.
func (e *selfSignedError) Error() string { return ErrMismatch.Error() + ": " + e.reason }

// Unwrap gives [ErrMismatch].
func (e *selfSignedError) Unwrap() error { return ErrMismatch }

func untrusted(format string, arguments ...any) error {
	return &TrustError{Reason: fmt.Sprintf(format, arguments...)}
}

// reasonOf puts into words why x509 refused a certificate.
func reasonOf(leaf *x509.Certificate, err error) string {
	if _, ok := errors.AsType[x509.UnhandledCriticalExtension](err); ok {
		return "it has a critical extension that is not understood here: " + extensionNames(leaf.UnhandledCriticalExtensions)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		if !strongSignature(leaf.SignatureAlgorithm) {
			return "it is signed with " + leaf.SignatureAlgorithm.String()
		}
		return fmt.Sprintf("its issuer %q is none of the authorities that are trusted here, by name and key, "+
			"and the certificates between them were not sent or are not valid",
			subjectText(leaf.RawIssuer))
	}
	invalid, ok := errors.AsType[x509.CertificateInvalidError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "x509: ")
	}
	switch invalid.Reason {
	case x509.Expired:
		return fmt.Sprintf("it is valid from %s to %s", stamp(leaf.NotBefore), stamp(leaf.NotAfter))
	case x509.IncompatibleUsage:
		return "its authority may not issue certificates for client authentication (extended key usage)"
	case x509.CANotAuthorizedForThisName:
		return "its authority may not issue certificates for these names (name constraints)"
	case x509.TooManyIntermediates:
		return "there are more authorities between it and the trusted one than those allow (path length)"
	case x509.NotAuthorizedToSign:
		return "its issuer is no authority (basic constraints)"
	}
	return strings.TrimPrefix(err.Error(), "x509: ")
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func extensionNames(ids []asn1.ObjectIdentifier) string {
	var names []string
	for _, id := range ids {
		names = append(names, id.String())
	}
	return strings.Join(names, ", ")
}

// understood is the certificate without the critical extensions that x509 does not know and this package does. The one
// given is not changed: others may be reading it.
func understood(certificate *x509.Certificate) *x509.Certificate {
	if !slices.ContainsFunc(certificate.UnhandledCriticalExtensions, oidQCStatements.Equal) || !readableStatements(certificate) {
		return certificate
	}
	copied := *certificate
	copied.UnhandledCriticalExtensions = slices.DeleteFunc(slices.Clone(certificate.UnhandledCriticalExtensions), oidQCStatements.Equal)
	return &copied
}

var oidQCStatements = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 3}

// readableStatements reports whether qcStatements are well formed (RFC 3739 §3.2.6).
func readableStatements(certificate *x509.Certificate) bool {
	for _, extension := range certificate.Extensions {
		if !extension.Id.Equal(oidQCStatements) {
			continue
		}
		var statements []struct {
			ID   asn1.ObjectIdentifier
			Info asn1.RawValue `asn1:"optional"`
		}
		if rest, err := asn1.Unmarshal(extension.Value, &statements); err != nil || len(rest) > 0 {
			return false
		}
	}
	return true
}
