package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
)

const (
	pemBegin = "-----BEGIN CERTIFICATE-----"
	pemEnd   = "-----END CERTIFICATE-----"
	// maxEncoded is the size of the longest header value that is looked at, in bytes: a whole chain, URL-encoded.
	maxEncoded = 128 << 10
	// maxChainSize is the size of all certificates of one client, in bytes of DER.
	maxChainSize = 64 << 10
)

func malformed(format string, arguments ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, arguments...))
}

// parseDER reads exactly one certificate, with nothing after it.
func parseDER(der []byte) (*x509.Certificate, error) {
	if len(der) > MaxCertificateSize {
		return nil, malformed("a certificate is larger than %d bytes", MaxCertificateSize)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a certificate: %w", ErrMalformed, err)
	}
	return certificate, nil
}

// parseDERs reads certificates that follow each other without a separator.
func parseDERs(der []byte) ([]*x509.Certificate, error) {
	if len(der) > maxChainSize {
		return nil, malformed("the chain is larger than %d bytes", maxChainSize)
	}
	certificates, err := x509.ParseCertificates(der)
	if err != nil {
		return nil, fmt.Errorf("%w: not a chain of certificates: %w", ErrMalformed, err)
	}
	for _, certificate := range certificates {
		if len(certificate.Raw) > MaxCertificateSize {
			return nil, malformed("a certificate is larger than %d bytes", MaxCertificateSize)
		}
	}
	return certificates, nil
}

// decodeBase64 reads standard base64 with padding (RFC 4648 §4). Line ends, which Go would skip, are refused: no
// ingress sends them and no two spellings shall mean the same.
func decodeBase64(text string) ([]byte, error) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, malformed("a line end within base64")
	}
	der, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, malformed("not base64 (RFC 4648 §4)")
	}
	return der, nil
}

// parseBase64 reads one certificate in base64.
func parseBase64(text string) (*x509.Certificate, error) {
	der, err := decodeBase64(text)
	if err != nil {
		return nil, err
	}
	return parseDER(der)
}

// parseByteSequence reads one certificate as RFC 9440 §2.1 has it: base64 between colons (RFC 8941 §3.3.5).
func parseByteSequence(text string) (*x509.Certificate, error) {
	if len(text) < 2 || text[0] != ':' || text[len(text)-1] != ':' {
		return nil, malformed("not base64 between colons (RFC 9440 §2.1)")
	}
	return parseBase64(text[1 : len(text)-1])
}

// parseEscapedPEM reads certificates in PEM, percent-encoded. A plus is a plus: it is part of base64 and never a space.
func parseEscapedPEM(text string) ([]*x509.Certificate, error) {
	plain, err := url.PathUnescape(text)
	if err != nil {
		return nil, malformed("not percent-encoded")
	}
	return parsePEM(plain, "\r\n")
}

// parsePEM reads one certificate or more in PEM (RFC 7468 §5), without text between them. breaks are the characters
// that may be between the lines; some ingresses put spaces there, and some nothing at all.
func parsePEM(text, breaks string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	rest := strings.Trim(text, breaks)
	for rest != "" {
		if len(all) == MaxCertificates {
			return nil, malformed("more than %d certificates", MaxCertificates)
		}
		body, ok := strings.CutPrefix(rest, pemBegin)
		if !ok {
			return nil, malformed("a certificate in PEM begins with %s", pemBegin)
		}
		body, rest, ok = strings.Cut(body, pemEnd)
		if !ok {
			return nil, malformed("a certificate in PEM ends with %s", pemEnd)
		}
		body = strings.Map(func(c rune) rune {
			if strings.ContainsRune(breaks, c) {
				return -1
			}
			return c
		}, body)
		certificate, err := parseBase64(body)
		if err != nil {
			return nil, err
		}
		all = append(all, certificate)
		rest = strings.TrimLeft(rest, breaks)
	}
	if len(all) == 0 {
		return nil, malformed("no certificate in PEM")
	}
	return all, nil
}

// presentedBy joins a leaf and its chain. Some ingresses repeat the leaf in the chain; it is dropped there.
func presentedBy(source string, leaf *x509.Certificate, chain []*x509.Certificate) (*Presented, error) {
	if len(chain) > 0 && bytes.Equal(chain[0].Raw, leaf.Raw) {
		chain = chain[1:]
	}
	if 1+len(chain) > MaxCertificates {
		return nil, malformed("more than %d certificates", MaxCertificates)
	}
	size := len(leaf.Raw)
	for _, certificate := range chain {
		size += len(certificate.Raw)
	}
	if size > maxChainSize {
		return nil, malformed("the certificates are larger than %d bytes together", maxChainSize)
	}
	return &Presented{Leaf: leaf, Chain: chain, Source: source}, nil
}
