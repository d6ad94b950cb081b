// Package address says of the network address of a sender ([http.Request.RemoteAddr]) what is logged and counted: the host, the
// network that its holder has, and the part that names nobody.
package address

import (
	"net"
	"net/netip"
)

// Host is an address without its port. What is no IP address, such as the name of a socket, is returned as it is.
func Host(remote string) string {
	if parsed, ok := parse(remote); ok {
		return parsed.String()
	}
	return bare(remote)
}

// Network is what senders are told apart by: an IPv4 address, or the /64 of an IPv6 one, whose holder has all of it.
func Network(remote string) string {
	parsed, ok := parse(remote)
	if !ok {
		return bare(remote)
	}
	return prefix(parsed, 32, 64)
}

// Truncated is the part of an address that names a network and not its holder: the /24 of an IPv4 address, the /48 of an IPv6
// one. Of what is no IP address there is nothing.
func Truncated(remote string) string {
	parsed, ok := parse(remote)
	if !ok {
		return ""
	}
	return prefix(parsed, 24, 48)
}

func parse(remote string) (netip.Addr, bool) {
	parsed, err := netip.ParseAddr(bare(remote))
	return parsed.Unmap().WithZone(""), err == nil
}

func bare(remote string) string {
	if host, _, err := net.SplitHostPort(remote); err == nil {
		return host
	}
	return remote
}

// prefix is an address cut to a number of bits; an address that is whole is written without them.
func prefix(parsed netip.Addr, bits4, bits6 int) string {
	bits := bits6
	if parsed.Is4() {
		bits = bits4
	}
	if bits == parsed.BitLen() {
		return parsed.String()
	}
	return netip.PrefixFrom(parsed, bits).Masked().String()
}
