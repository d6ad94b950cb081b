package value

import (
	"net"
	"net/netip"
)

// SameListener reports whether two addresses to listen on take the same port of the same network interface: a host that is left
// out, or is the unspecified address, is every interface.
func SameListener(a, b string) bool {
	if a == b {
		return a != ""
	}
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB {
		return false // a socket, or nothing
	}
	return all(hostA) || all(hostB) || here(hostA) && here(hostB)
}

func all(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "" || err == nil && address.IsUnspecified()
}

// here reports whether a host is the loopback address that localhost is.
func here(host string) bool { return host == "localhost" || host == "127.0.0.1" }
