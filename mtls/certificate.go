package mtls

import (
	"bytes"
	"countersign/mtls/internal/keykind"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/cryptobyte"
	tags "golang.org/x/crypto/cryptobyte/asn1"
)

// CertificateError is a certificate that cannot be used, with what could be read of it. It wraps [ErrMalformed].
type CertificateError struct {
	// Subject is its subject (RFC 4514), or "" if that cannot be read.
	Subject string
	// Cause says what is wrong with it, in words that its holder may read.
	Cause string
}

// Error implements error.
func (e *CertificateError) Error() string {
	return fmt.Sprintf("%s: the certificate of %q cannot be used: %s", ErrMalformed, e.Subject, e.Cause)
}

// Unwrap gives [ErrMalformed].
func (e *CertificateError) Unwrap() error { return ErrMalformed }

// ParseCertificate reads a certificate as crypto/x509 does, and some that it refuses although nothing depends on what
// is wrong with them, and that OpenSSL accepts:
//
//   - negative serial numbers, which are only ever compared;
//   - names with characters that their string type does not have, such as an underscore in a PrintableString, or of
//     string types that x509 does not know: they are compared by [DN.Equal], which reads the DER itself;
//   - subject alternative names that cannot be read: none of them matches a [Subject], and [Trust] refuses the
//     certificate where an authority's name constraints would have to be applied to them;
//   - key identifiers and authority information marked as critical, which are understood all the same.
//
// Raw and all other parts are those of the certificate as it was signed, so that x509 verifies the signature over every
// byte. Errors are [*CertificateError] for a certificate, and wrap [ErrMalformed] for everything else.
func ParseCertificate(der []byte) (*x509.Certificate, error) {
	certificate, err := x509.ParseCertificate(der)
	if err == nil {
		return certificate, nil
	}
	original, ok := readOutline(bytes.Clone(der))
	if !ok {
		return nil, fmt.Errorf("%w: not a certificate: %w", ErrMalformed, err)
	}
	for _, hideAlternativeNames := range []bool{false, true} {
		if certificate, ok := original.parseRepaired(hideAlternativeNames); ok {
			return certificate, nil
		}
	}
	return nil, &CertificateError{Subject: subjectText(original.subject), Cause: original.cause(err)}
}

// outline is the structure of a certificate (RFC 5280 §4.1), as views into its DER.
type outline struct {
	raw, tbs, serial, issuer, subject, key []byte
	extensions                             []outlineExtension
}

// outlineExtension is an extension; critical is the one byte of the mark, or empty where there is none.
type outlineExtension struct{ id, critical, value []byte }

// readOutline reads the structure and nothing in it. It reports whether this is one certificate at all.
func readOutline(der []byte) (outline, bool) {
	o := outline{raw: der}
	input := cryptobyte.String(der)
	var certificate, tbs, serial, issuer, subject, key, list, extensions cryptobyte.String
	var extended bool
	if !input.ReadASN1(&certificate, tags.SEQUENCE) || !input.Empty() || !certificate.ReadASN1Element(&tbs, tags.SEQUENCE) {
		return o, false
	}
	o.tbs = tbs
	if !tbs.ReadASN1(&tbs, tags.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tags.Tag(0).Constructed().ContextSpecific()) || // version
		!tbs.ReadASN1(&serial, tags.INTEGER) ||
		!tbs.SkipASN1(tags.SEQUENCE) || // signature
		!tbs.ReadASN1Element(&issuer, tags.SEQUENCE) ||
		!tbs.SkipASN1(tags.SEQUENCE) || // validity
		!tbs.ReadASN1Element(&subject, tags.SEQUENCE) ||
		!tbs.ReadASN1Element(&key, tags.SEQUENCE) ||
		!tbs.SkipOptionalASN1(tags.Tag(1).ContextSpecific()) || !tbs.SkipOptionalASN1(tags.Tag(2).ContextSpecific()) ||
		!tbs.ReadOptionalASN1(&list, &extended, tags.Tag(3).Constructed().ContextSpecific()) {
		return o, false
	}
	o.serial, o.issuer, o.subject, o.key = serial, issuer, subject, key
	if !extended {
		return o, true
	}
	if !list.ReadASN1(&extensions, tags.SEQUENCE) {
		return o, false
	}
	for !extensions.Empty() {
		var extension, id, critical, value cryptobyte.String
		if !extensions.ReadASN1(&extension, tags.SEQUENCE) || !extension.ReadASN1(&id, tags.OBJECT_IDENTIFIER) ||
			!extension.ReadOptionalASN1(&critical, new(bool), tags.BOOLEAN) || !extension.ReadASN1(&value, tags.OCTET_STRING) {
			return o, false
		}
		o.extensions = append(o.extensions, outlineExtension{id, critical, value})
	}
	return o, true
}

// The contents of the object identifiers of extensions.
const (
	idSubjectKey   = "\x55\x1d\x0e"                     // 2.5.29.14
	idAlternative  = "\x55\x1d\x11"                     // 2.5.29.17
	idAuthorityKey = "\x55\x1d\x23"                     // 2.5.29.35
	idAuthorityURL = "\x2b\x06\x01\x05\x05\x07\x01\x01" // 1.3.6.1.5.5.7.1.1
	// idHidden is no extension. Its size is that of idAlternative, whose place it takes.
	idHidden = "\x55\x1d\x7f"
)

var (
	oidAlternative = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidHidden      = asn1.ObjectIdentifier{2, 5, 29, 127}
)

// parseRepaired has x509 read a copy in which bytes are other that it stumbles over, and then gives the certificate its
// own bytes back. No length changes, so that everything stays where it was.
func (o outline) parseRepaired(hideAlternativeNames bool) (*x509.Certificate, bool) {
	repaired, ok := readOutline(bytes.Clone(o.raw))
	if !ok {
		return nil, false
	}
	if len(repaired.serial) > 0 && repaired.serial[0]&0x80 != 0 {
		repaired.serial[0] = 1
	}
	retypeStrings(repaired.issuer)
	retypeStrings(repaired.subject)
	for _, extension := range repaired.extensions {
		switch string(extension.id) {
		case idSubjectKey, idAuthorityKey, idAuthorityURL:
			clear(extension.critical)
		case idAlternative:
			if hideAlternativeNames {
				copy(extension.id, idHidden)
			}
		}
	}
	certificate, err := x509.ParseCertificate(repaired.raw)
	if err != nil || len(certificate.Extensions) != len(o.extensions) {
		return nil, false
	}
	certificate.Raw, certificate.RawTBSCertificate = o.raw, o.tbs
	certificate.RawIssuer, certificate.RawSubject = o.issuer, o.subject
	certificate.SerialNumber = signed(o.serial)
	for i, extension := range o.extensions {
		made := &certificate.Extensions[i]
		if made.Id.Equal(oidHidden) && string(extension.id) == idAlternative {
			made.Id = oidAlternative
		}
		made.Critical = string(extension.critical) == "\xff"
	}
	if hideAlternativeNames {
		certificate.UnhandledCriticalExtensions = slices.DeleteFunc(certificate.UnhandledCriticalExtensions, oidHidden.Equal)
	}
	return certificate, true
}

// signed is a number in two's complement.
func signed(content []byte) *big.Int {
	number := new(big.Int).SetBytes(content)
	if len(content) > 0 && content[0]&0x80 != 0 {
		number.Sub(number, new(big.Int).Lsh(big.NewInt(1), uint(8*len(content))))
	}
	return number
}

// retypeStrings gives the values in a Name that x509 may not read a type of which they are valid.
func retypeStrings(name []byte) {
	var relatives cryptobyte.String
	input := cryptobyte.String(name)
	if !input.ReadASN1(&relatives, tags.SEQUENCE) {
		return
	}
	for !relatives.Empty() {
		var set cryptobyte.String
		if !relatives.ReadASN1(&set, tags.SET) {
			return
		}
		for !set.Empty() {
			var pair, element, content cryptobyte.String
			var tag tags.Tag
			if !set.ReadASN1(&pair, tags.SEQUENCE) || !pair.SkipASN1(tags.OBJECT_IDENTIFIER) || !pair.ReadAnyASN1Element(&element, &tag) {
				return
			}
			value := element
			if !value.ReadAnyASN1(&content, &tag) {
				return
			}
			// T61String takes any bytes; x509 reads them as Latin-1.
			element[0] = byte(tags.T61String)
			if utf8.Valid(content) && (tag == tags.UTF8String || tag == tags.PrintableString) {
				element[0] = byte(tags.UTF8String)
			}
		}
	}
}

// cause says why x509 refused the certificate.
func (o outline) cause(err error) string {
	text := strings.TrimPrefix(err.Error(), "x509: ")
	if strings.Contains(text, "elliptic curve") || strings.Contains(text, "ECDSA parameters") {
		return "its key is " + keykind.Of(o.key) + "; " + acceptedKeys
	}
	return shown(text)
}

// hiddenNames reports whether a certificate has alternative names that x509 has not read, so that it would apply no
// name constraints to them.
func hiddenNames(certificate *x509.Certificate) bool {
	if len(certificate.DNSNames)+len(certificate.EmailAddresses)+len(certificate.IPAddresses)+len(certificate.URIs) > 0 {
		return false // x509 reads all or none
	}
	names, err := readAlternativeNames(certificate)
	return err != nil || slices.ContainsFunc(names, func(n alternativeName) bool {
		return n.tag == tagEmail || n.tag == tagDNS || n.tag == tagURI || n.tag == tagIP
	})
}

// constrainsNames reports whether an authority has name constraints (RFC 5280 §4.2.1.10).
func constrainsNames(authority *x509.Certificate) bool {
	return slices.ContainsFunc(authority.Extensions, func(e pkix.Extension) bool { return e.Id.Equal(asn1.ObjectIdentifier{2, 5, 29, 30}) })
}

// rsaPSSKey reads a key of the kind id-RSASSA-PSS (RFC 4055 §1.2), which x509 knows no key of. It is nil for others.
func rsaPSSKey(subjectPublicKeyInfo []byte) *rsa.PublicKey {
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		PublicKey asn1.BitString
	}
	var key struct {
		N *big.Int
		E int
	}
	if rest, err := asn1.Unmarshal(subjectPublicKeyInfo, &info); err != nil || len(rest) > 0 || info.Algorithm.Algorithm.String() != keykind.RSAPSS {
		return nil
	}
	if rest, err := asn1.Unmarshal(info.PublicKey.RightAlign(), &key); err != nil || len(rest) > 0 || key.N.Sign() <= 0 || key.E < 3 {
		return nil
	}
	return &rsa.PublicKey{N: key.N, E: key.E}
}
