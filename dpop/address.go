package dpop

import (
	"net/netip"
	"strings"
)

// maxAddress bounds htu, in bytes.
const maxAddress = 2048

// normalise brings an https address into the form in which two that mean the same are equal: without query and
// fragment (RFC 9449 §4.3), scheme and host in lower case, no default port, percent-encoding in its one form
// (RFC 3986 §6.2.2.1, §6.2.2.2, §6.2.3). Dot segments are not resolved: a path that has them is refused, as are user
// information and everything that is not ASCII.
func normalise(address string) (string, bool) {
	if len(address) > maxAddress {
		return "", false
	}
	if end := strings.IndexAny(address, "?#"); end >= 0 {
		address = address[:end]
	}
	const scheme = "https://"
	if len(address) < len(scheme) || !strings.EqualFold(address[:len(scheme)], scheme) {
		return "", false
	}
	rest := address[len(scheme):]
	authority, path := rest, "/"
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	host, ok := normaliseAuthority(authority)
	if !ok {
		return "", false
	}
	if path, ok = normalisePath(path); !ok {
		return "", false
	}
	return scheme + host + path, true
}

// normaliseAuthority accepts a host name, an IPv4 address or an IPv6 address in brackets, and a port.
func normaliseAuthority(authority string) (string, bool) {
	host, port := authority, ""
	if colon := strings.LastIndexByte(authority, ':'); colon > strings.LastIndexByte(authority, ']') {
		host, port = authority[:colon], authority[colon+1:]
	}
	if strings.HasPrefix(host, "[") {
		address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
		if err != nil || !strings.HasSuffix(host, "]") || !address.Is6() || address.Zone() != "" {
			return "", false
		}
		host = "[" + address.String() + "]"
	} else if host = strings.ToLower(host); host == "" || strings.Trim(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" {
		return "", false
	}
	if strings.Trim(port, "0123456789") != "" || len(port) > 5 || strings.HasPrefix(port, "0") {
		return "", false
	}
	if port == "" || port == "443" {
		return host, true
	}
	return host + ":" + port, true
}

// normalisePath gives percent-encoded octets one spelling: unreserved characters plain, others in upper case.
func normalisePath(path string) (string, bool) {
	var normal strings.Builder
	normal.Grow(len(path))
	for i := 0; i < len(path); i++ {
		b := path[i]
		switch {
		case b == '%':
			if len(path)-i < 3 {
				return "", false
			}
			high, okHigh := hexDigit(path[i+1])
			low, okLow := hexDigit(path[i+2])
			if !okHigh || !okLow {
				return "", false
			}
			i += 2
			if octet := high<<4 | low; unreserved(octet) {
				normal.WriteByte(octet)
			} else {
				const digits = "0123456789ABCDEF"
				normal.Write([]byte{'%', digits[high], digits[low]})
			}
		case unreserved(b) || strings.IndexByte("/:@!$&'()*+,;=", b) >= 0:
			normal.WriteByte(b)
		default:
			return "", false
		}
	}
	for segment := range strings.SplitSeq(normal.String(), "/") {
		if segment == "." || segment == ".." {
			return "", false
		}
	}
	return normal.String(), true
}

// unreserved characters mean the same whether percent-encoded or not (RFC 3986 §2.3).
func unreserved(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~", b) >= 0
}

func hexDigit(b byte) (byte, bool) {
	switch {
	case '0' <= b && b <= '9':
		return b - '0', true
	case 'a' <= b && b <= 'f':
		return b - 'a' + 10, true
	case 'A' <= b && b <= 'F':
		return b - 'A' + 10, true
	}
	return 0, false
}
