package value

import "net"

// SocketPrefix is how the address of a listener begins that is a unix socket.
const SocketPrefix = "unix:"

// OnThisMachine reports whether a host is loopback.
func OnThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
