package mtls

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// forwardedFor is the header in which ingresses tell the client's address, each after those of the ones before it.
const forwardedFor = "X-Forwarded-For"

// from returns a request of the ingress with the address of its client; the request itself where nothing tells it. What comes
// first in X-Forwarded-For is the client's own word: the client's address is the last that is no ingress'.
func (g Gate) from(admitted, sent *http.Request) *http.Request {
	client, ok := proxiedAddress(sent)
	if !ok && g.ForwardedFor {
		client, ok = g.forwarded(sent.Header.Values(forwardedFor))
	}
	if !ok {
		return admitted
	}
	made := *admitted
	made.RemoteAddr = client.String()
	return &made
}

func (g Gate) forwarded(values []string) (client netip.AddrPort, ok bool) {
	for _, text := range slices.Backward(strings.Split(strings.Join(values, ","), ",")) {
		address, valid := parseAddress(strings.TrimSpace(text))
		if !valid {
			return client, ok // what stands before it is nobody's word
		}
		client, ok = address, true
		if !g.isProxy(address) {
			return client, ok
		}
	}
	return client, ok
}

func (g Gate) isProxy(address netip.AddrPort) bool {
	return slices.ContainsFunc(g.Proxies, func(network netip.Prefix) bool { return network.Contains(address.Addr()) })
}

// parseAddress reads an address with or without a port, as ingresses write them.
func parseAddress(text string) (netip.AddrPort, bool) {
	if parsed, err := netip.ParseAddrPort(text); err == nil {
		return netip.AddrPortFrom(parsed.Addr().Unmap(), parsed.Port()), true
	}
	parsed, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	return netip.AddrPortFrom(parsed.Unmap(), 0), err == nil
}

// proxiedAddress is the client's address in the PROXY header of the connection.
func proxiedAddress(r *http.Request) (netip.AddrPort, bool) {
	connection, ok := r.Context().Value(proxyKey{}).(*proxyConn)
	if !ok || !connection.client.IsValid() {
		return netip.AddrPort{}, false
	}
	return connection.client, true
}
