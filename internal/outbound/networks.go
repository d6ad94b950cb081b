package outbound

import (
	"net/netip"
	"slices"
)

// forbidden is [forbidden] for a policy.
func (p Policy) forbidden(address netip.Addr) string {
	reason := forbidden(address, p.AllowLoopback)
	if reason == "" || neverReached(address) {
		return reason
	}
	for _, network := range p.Networks {
		if network.Contains(address.Unmap()) {
			return ""
		}
	}
	return reason
}

// neverReached are the addresses that no network of an operator makes any better: those at which clouds hand out credentials
// and those of one link, groups, and forms that hide an address in another.
func neverReached(address netip.Addr) bool {
	address = address.Unmap()
	if !address.IsValid() || address.Zone() != "" || address.IsUnspecified() || address.IsMulticast() || address.IsLinkLocalUnicast() {
		return true
	}
	in := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(text string) bool { return netip.MustParsePrefix(text).Contains(address) })
	}
	return in("168.63.129.16/32", "100.100.100.200/32", "192.0.0.192/32", "0.0.0.0/8", "240.0.0.0/4") ||
		in("fd00:ec2::/32", "fd20:ce::254/128", "fec0::/10", "64:ff9b::/96", "::/96", "2001::/32", "2002::/16") && !address.IsLoopback()
}

// CheckNetwork reports why a network cannot be one of [Policy].Networks; nil for one that can.
func CheckNetwork(network netip.Prefix) error {
	switch {
	case !network.IsValid() || network != network.Masked():
		return refusalf("not a network, such as 10.1.2.0/28")
	case network.Addr().Is4() && network.Bits() < 8, network.Addr().Is6() && network.Bits() < 32:
		return refusalf("larger than any network of one API; name the addresses that it has")
	case neverReached(network.Addr()):
		return refusalf("the addresses of links and of clouds' metadata are never reached")
	}
	return nil
}

// forbidden says what kind of address an address is if nothing of ours may connect to it, or "". Public addresses
// remain: those that the IANA special-purpose registries (RFC 6890) leave for public use, less those at which clouds
// hand out credentials.
func forbidden(address netip.Addr, allowLoopback bool) string {
	if address.Zone() != "" {
		return "an address with a zone"
	}
	address = address.Unmap() // ::ffff:10.0.0.1 connects to 10.0.0.1
	if !address.IsValid() {
		return "not an address"
	}
	if address.IsLoopback() {
		if allowLoopback {
			return ""
		}
		return "an address of this machine (loopback)"
	}
	if address.Is4() {
		return forbiddenIPv4(address)
	}
	return forbiddenIPv6(address)
}

func forbiddenIPv4(address netip.Addr) string {
	octets := address.As4()
	in := func(text string) bool { return netip.MustParsePrefix(text).Contains(address) }
	switch {
	case octets == [4]byte{168, 63, 129, 16}:
		return "a cloud's metadata address" // Azure's, alone among public addresses
	case in("169.254.0.0/16"):
		return "a link-local or metadata address"
	case in("10.0.0.0/8"), in("172.16.0.0/12"), in("192.168.0.0/16"):
		return "a private address (RFC 1918)"
	case in("100.64.0.0/10"):
		return "a carrier's shared address (RFC 6598)"
	case in("0.0.0.0/8"):
		return "an unspecified address"
	case in("192.0.2.0/24"), in("198.51.100.0/24"), in("203.0.113.0/24"):
		return "a documentation address (RFC 5737)"
	case in("198.18.0.0/15"):
		return "a benchmarking address (RFC 2544)"
	case in("224.0.0.0/4"):
		return "a multicast address"
	case in("192.0.0.0/24"), in("192.88.99.0/24"), in("240.0.0.0/4"):
		return "a reserved or broadcast address"
	}
	return ""
}

// forbiddenIPv6 accepts global unicast addresses (2000::/3) only, and the translation of public IPv4 addresses that
// DNS64 makes. What else carries an IPv4 address inside is obsolete, and always refused.
func forbiddenIPv6(address netip.Addr) string {
	octets := address.As16()
	in := func(text string) bool { return netip.MustParsePrefix(text).Contains(address) }
	switch {
	case in("64:ff9b::/96"): // NAT64, RFC 6052 §2.1
		inner := netip.AddrFrom4([4]byte(octets[12:]))
		if inner.IsLoopback() {
			return "the NAT64 form of a loopback address"
		}
		if reason := forbiddenIPv4(inner); reason != "" {
			return "the NAT64 form of " + reason
		}
		return ""
	case in("fc00::/7"):
		return "a private address (RFC 4193)" // with the metadata addresses fd00:ec2::254 and fd20:ce::254
	case in("fe80::/10"), in("fec0::/10"):
		return "a link-local or site-local address"
	case in("ff00::/8"):
		return "a multicast address"
	case in("::/96"):
		return "an unspecified or IPv4-compatible address"
	case !in("2000::/3"):
		return "not a global unicast address"
	case in("2001::/32"):
		return "a Teredo address"
	case in("2002::/16"):
		return "a 6to4 address"
	case in("2001:2::/48"):
		return "a benchmarking address (RFC 5180)"
	case in("2001:db8::/32"), in("3fff::/20"):
		return "a documentation address (RFC 3849, RFC 9637)"
	case in("2001::/23"):
		return "an address of a protocol, not of a host (RFC 2928)"
	}
	return ""
}
