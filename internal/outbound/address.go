package outbound

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxAddress is the size of the longest address, in bytes.
const maxAddress = 2048

// CheckAddress reports whether an address can be fetched at all, without a DNS lookup; it is for registration. It
// must be an absolute https URL of at most 2048 bytes of printable ASCII with a host, without user information and
// fragment. The port is 443 or 1024 and above: those below belong to other protocols, whose servers should get nothing
// from here, and above them anybody may run a web server. A host that is an IP address must be a public one or, since
// only [Policy] knows whether that is right, a loopback one. Errors are of type [*Error], made from the address only.
func CheckAddress(address string) error {
	_, err := Policy{}.parseAddress(address)
	return err
}

// CheckAddress is [CheckAddress] for addresses that the policy lets pass.
func (p Policy) CheckAddress(address string) error {
	_, err := p.parseAddress(address)
	return err
}

func (p Policy) parseAddress(address string) (*url.URL, error) {
	if len(address) > maxAddress {
		return nil, &Error{Reason: "the address is longer than " + strconv.Itoa(maxAddress) + " bytes"}
	}
	for i := range len(address) {
		// RFC 3986 §2 has no others; the backslash is a slash to some parsers.
		if c := address[i]; c <= ' ' || c > '~' || c == '\\' {
			return nil, &Error{Reason: "the address has characters that no URL has; percent-encode them"}
		}
	}
	target, err := url.Parse(address)
	if err != nil {
		return nil, &Error{Reason: "the address is not a URL"}
	}
	switch {
	case target.Scheme != "https" && !(target.Scheme == "http" && p.SignedDocuments):
		return nil, &Error{Reason: "the address must begin with https://"}
	case target.Host == "" || target.Opaque != "":
		return nil, &Error{Reason: "the address has no host"}
	case target.User != nil:
		return nil, &Error{Reason: "the address has user information (before @), which is not accepted"}
	case strings.Contains(address, "#"):
		return nil, &Error{Reason: "the address has a fragment (#), which is not accepted"}
	}
	if err := p.checkHost(target.Hostname(), strings.HasPrefix(target.Host, "[")); err != nil {
		return nil, &Error{Reason: err.Error()}
	}
	if err := checkPort(target); err != nil {
		return nil, &Error{Host: target.Hostname(), Reason: err.Error()}
	}
	return target, nil
}

// checkPort refuses the ports of other protocols. A port that is there must be written as a number without zeros
// before it, so that it has one spelling.
func checkPort(target *url.URL) error {
	port := target.Port()
	if port == "" {
		if strings.HasSuffix(target.Host, ":") {
			return refusalf("the address has a colon without a port")
		}
		return nil
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || strconv.FormatUint(number, 10) != port || number != 443 && number < 1024 && !(number == 80 && target.Scheme == "http") {
		return refusalf("the port must be 443, or between 1024 and 65535")
	}
	return nil
}

// checkHost accepts an IP address or a name of letters, digits, hyphens and underscores.
func (p Policy) checkHost(host string, bracketed bool) error {
	if bracketed || looksNumeric(host) {
		literal, err := netip.ParseAddr(host)
		if err != nil || literal.Zone() != "" || literal.Is4() == bracketed {
			return refusalf("the host is neither a name nor an IP address in its usual spelling")
		}
		p.AllowLoopback = true // only the connection knows whether that is right
		if reason := p.forbidden(literal); reason != "" {
			return refusalf("the host is %s", reason)
		}
		return nil
	}
	if len(host) > 253 {
		return refusalf("the host name is longer than 253 bytes")
	}
	for label := range strings.SplitSeq(host, ".") {
		if !isLabel(label) {
			return refusalf("the host is not a name as DNS has it")
		}
	}
	return nil
}

// looksNumeric reports whether some parsers would read a host as an IPv4 address: its last label is a number, decimal
// or hexadecimal (0x7f000001, 127.1). All but the usual spelling are refused, so that no two parsers differ.
func looksNumeric(host string) bool {
	last := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	if digits, ok := strings.CutPrefix(last, "0x"); ok {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return last != "" && strings.Trim(last, "0123456789") == ""
}

func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	for i := range len(label) {
		c := label[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return true
}
