package mtls

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"countersign/mtls/dn"
)

// Subject is how a client registered the subject of its certificate for tls_client_auth (RFC 8705 §2.1.2). Exactly one
// field is set.
type Subject struct {
	// DN is tls_client_auth_subject_dn, an RFC 4514 string.
	DN string
	// SANDNS is tls_client_auth_san_dns.
	SANDNS string
	// SANURI is tls_client_auth_san_uri.
	SANURI string
	// SANIP is tls_client_auth_san_ip: IPv4 in dotted decimal or IPv6 by RFC 5952.
	SANIP string
	// SANEmail is tls_client_auth_san_email.
	SANEmail string
}

// maxSubject bounds a registered value, in bytes.
const maxSubject = dn.MaxSize

// Validate checks that exactly one field is set and well formed. Errors wrap [ErrMalformed].
func (s Subject) Validate() error {
	set := 0
	for _, value := range []string{s.DN, s.SANDNS, s.SANURI, s.SANIP, s.SANEmail} {
		if value != "" {
			set++
		}
		if len(value) > maxSubject {
			return fmt.Errorf("%w: a subject parameter may have %d bytes", ErrMalformed, maxSubject)
		}
	}
	if set != 1 {
		return fmt.Errorf("%w: tls_client_auth needs exactly one of tls_client_auth_subject_dn, _san_dns, _san_uri, _san_ip, _san_email (RFC 8705 §2.1.2); %d are set", ErrMalformed, set)
	}
	switch {
	case s.DN != "":
		_, err := dn.Parse(s.DN)
		return err
	case s.SANDNS != "" && !isHostName(s.SANDNS):
		return fmt.Errorf("%w: tls_client_auth_san_dns is not a host name (wildcards are not accepted)", ErrMalformed)
	case s.SANURI != "":
		if parsed, err := url.Parse(s.SANURI); err != nil || !parsed.IsAbs() || !isVisibleASCII(s.SANURI) {
			return fmt.Errorf("%w: tls_client_auth_san_uri is not an absolute URI", ErrMalformed)
		}
	case s.SANIP != "":
		if address, err := netip.ParseAddr(s.SANIP); err != nil || address.Zone() != "" {
			return fmt.Errorf("%w: tls_client_auth_san_ip is not an IP address", ErrMalformed)
		}
	case s.SANEmail != "":
		local, host, _ := strings.Cut(s.SANEmail, "@")
		if local == "" || !isVisibleASCII(local) || !isHostName(host) {
			return fmt.Errorf("%w: tls_client_auth_san_email is not a mail address", ErrMalformed)
		}
	}
	return nil
}

// Match checks that the certificate has the registered subject. Distinguished names are compared as such
// ([dn.Name.Equal]); DNS names without regard to case; URIs byte for byte; IP addresses as numbers; mail addresses byte
// for byte before the @ and without regard to case after it. A certificate whose names hold a NUL is refused. Errors
// wrap [ErrMismatch] or [ErrMalformed].
func (s Subject) Match(certificate *x509.Certificate) error {
	if err := s.Validate(); err != nil {
		return err
	}
	if s.DN != "" {
		return s.matchDN(certificate)
	}
	names, err := readAlternativeNames(certificate)
	if err != nil {
		return err
	}
	for _, name := range names {
		if s.matchesName(name) {
			return nil
		}
	}
	return fmt.Errorf("%w: it has no such subject alternative name", ErrMismatch)
}

func (s Subject) matchDN(certificate *x509.Certificate) error {
	registered, err := dn.Parse(s.DN)
	if err != nil {
		return err
	}
	presented, err := dn.OfSubject(certificate)
	if err != nil {
		return err
	}
	if registered.Equal(presented) {
		return nil
	}
	if registered.Reversed().Equal(presented) {
		return fmt.Errorf("%w: register it as %s", ErrReversed, presented)
	}
	return fmt.Errorf("%w: its subject is %s, and the registered one is %s", ErrMismatch, presented, registered)
}

// Hint says what seems wrong with a registered subject that is well formed, or "".
func (s Subject) Hint() string {
	name, err := dn.Parse(s.DN)
	if s.DN == "" || err != nil || !name.SeemsReversed() {
		return ""
	}
	return fmt.Sprintf("tls_client_auth_subject_dn seems to be written most significant part first; RFC 4514 wants %s. "+
		"Compare it with: openssl x509 -noout -subject -nameopt RFC2253", name.Reversed())
}

// alternativeName is one GeneralName (RFC 5280 §4.2.1.6).
type alternativeName struct {
	tag   int
	value []byte
}

// Tags of GeneralName.
const (
	tagEmail = 1
	tagDNS   = 2
	tagURI   = 6
	tagIP    = 7
)

func (s Subject) matchesName(name alternativeName) bool {
	value := string(name.value)
	switch {
	case s.SANDNS != "":
		return name.tag == tagDNS && isVisibleASCII(value) && strings.EqualFold(value, s.SANDNS)
	case s.SANURI != "":
		return name.tag == tagURI && value == s.SANURI
	case s.SANIP != "":
		registered, err := netip.ParseAddr(s.SANIP)
		presented, ok := netip.AddrFromSlice(name.value)
		return name.tag == tagIP && err == nil && ok && registered.Unmap() == presented.Unmap()
	case s.SANEmail != "":
		local, host, _ := strings.Cut(s.SANEmail, "@")
		presentedLocal, presentedHost, found := strings.Cut(value, "@")
		return name.tag == tagEmail && isVisibleASCII(value) && found && presentedLocal == local && strings.EqualFold(presentedHost, host)
	}
	return false
}

// readAlternativeNames reads the names as they are in the certificate; x509 keeps URIs only in parsed form.
func readAlternativeNames(certificate *x509.Certificate) ([]alternativeName, error) {
	extension := asn1.ObjectIdentifier{2, 5, 29, 17}
	var names []alternativeName
	for _, candidate := range certificate.Extensions {
		if !candidate.Id.Equal(extension) {
			continue
		}
		var values []asn1.RawValue
		if rest, err := asn1.Unmarshal(candidate.Value, &values); err != nil || len(rest) > 0 {
			return nil, fmt.Errorf("%w: the subject alternative names cannot be read", ErrMalformed)
		}
		for _, value := range values {
			if value.Class != asn1.ClassContextSpecific {
				return nil, fmt.Errorf("%w: the subject alternative names cannot be read", ErrMalformed)
			}
			if value.Tag != tagIP && !value.IsCompound && bytes.IndexByte(value.Bytes, 0) >= 0 {
				return nil, fmt.Errorf("%w: a subject alternative name holds a NUL", ErrMalformed)
			}
			names = append(names, alternativeName{value.Tag, value.Bytes})
		}
	}
	return names, nil
}

// isHostName accepts letters, digits, hyphens and underscores in labels of 1 to 63 bytes.
func isHostName(name string) bool {
	if len(name) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.ToLower(name), ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return true
}

func isVisibleASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= 0x20 || r >= 0x7f })
}
