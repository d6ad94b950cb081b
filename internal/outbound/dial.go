package outbound

import (
	"context"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// systemLookup asks the system's resolver for every address of a name.
func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	return new(net.Resolver).LookupNetIP(ctx, "ip", host)
}

// dial resolves a name once and connects to what it got. A name that has any forbidden address is refused whole: no
// honest name has both kinds, and which one is used would be chance.
func (c *Client) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, c.policy.Timeout)
	defer cancel()
	host, port, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	addresses, err := c.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		if reason := c.policy.forbidden(address); reason != "" {
			return nil, refusalf("%s is %s", address, reason)
		}
	}
	addresses = addresses[:min(len(addresses), maxAttempts)]
	var connection net.Conn
	for _, address := range addresses {
		attempt, done := context.WithTimeout(ctx, c.policy.Timeout/time.Duration(len(addresses)))
		connection, err = c.connect(attempt, network, net.JoinHostPort(address.String(), port))
		done()
		if err == nil {
			return connection, nil
		}
	}
	return nil, err
}

// resolve returns at least one address.
func (c *Client) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	if literal, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{literal}, nil
	}
	addresses, err := c.lookup(ctx, host)
	if err != nil {
		return nil, err
	}
	if len(addresses) == 0 {
		return nil, refusalf("the name has no address")
	}
	return addresses, nil
}

// checkSocket is the last check: it sees the address that the socket is about to connect to, however it was chosen.
func (c *Client) checkSocket(_ context.Context, _, hostPort string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(hostPort)
	if err != nil {
		return refusalf("the socket has no IP address")
	}
	if reason := c.policy.forbidden(target.Addr()); reason != "" {
		return refusalf("%s is %s", target.Addr(), reason)
	}
	return nil
}
