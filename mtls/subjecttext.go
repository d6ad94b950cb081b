package mtls

import (
	"crypto/x509"
	"strings"

	"countersign/mtls/dn"
)

// maxShown bounds a name, or what is wrong with a certificate, in a message, in bytes.
const maxShown = 512

// SubjectText is the subject of a certificate for logs and messages (RFC 4514), shortened if it is long, or "" if it cannot
// be read.
func SubjectText(certificate *x509.Certificate) string { return subjectText(certificate.RawSubject) }

// subjectText is the subject of a certificate for logs and messages (RFC 4514), or "" if it cannot be read.
func subjectText(der []byte) string {
	name, err := dn.Read(der)
	if err != nil {
		return ""
	}
	return shown(name.String())
}

// shown shortens what an attacker may have made long.
func shown(text string) string {
	if len(text) <= maxShown {
		return text
	}
	return strings.ToValidUTF8(text[:maxShown], "") + "..."
}
