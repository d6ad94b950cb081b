package client

import (
	"slices"
	"strconv"
	"strings"

	"countersign/internal/outbound"
)

// HasRedirectURI reports whether an authorization request may name address as its redirect_uri: one that is registered, to the
// byte (RFC 9700 §2.1, FAPI 2.0 Security Profile §5.3.2.2-6), or one that differs from a registered one on
// http://127.0.0.1 or http://[::1] in its port alone, since native apps get theirs from the system (RFC 8252 §7.3).
func (c *Client) HasRedirectURI(address string) bool {
	if slices.Contains(c.Metadata.RedirectURIs, address) {
		return true
	}
	host, rest, loopback := withoutPort(address)
	return loopback && slices.ContainsFunc(c.Metadata.RedirectURIs, func(registered string) bool {
		itsHost, itsRest, itsLoopback := withoutPort(registered)
		return itsLoopback && itsHost == host && itsRest == rest
	})
}

// withoutPort splits an address of a native app into scheme with host, and what follows the port. Only these two spellings
// are told apart from text alone; all that is not exactly host, port and path or query is none.
func withoutPort(address string) (host, rest string, loopback bool) {
	for _, host := range [...]string{"http://127.0.0.1", "http://[::1]"} {
		rest, loopback := strings.CutPrefix(address, host)
		if !loopback {
			continue
		}
		if port, given := strings.CutPrefix(rest, ":"); given {
			rest = strings.TrimLeft(port, "0123456789")
			port = port[:len(port)-len(rest)]
			if number, err := strconv.ParseUint(port, 10, 16); err != nil || number == 0 || port[0] == '0' {
				return "", "", false
			}
		}
		return host, rest, rest == "" || rest[0] == '/' || rest[0] == '?'
	}
	return "", "", false
}

// HasPostLogoutRedirectURI reports whether a logout request may name address as its post_logout_redirect_uri: one that is
// registered, to the byte (OpenID Connect RP-Initiated Logout 1.0 §3).
func (c *Client) HasPostLogoutRedirectURI(address string) bool {
	return slices.Contains(c.Metadata.PostLogoutRedirectURIs, address)
}

// checkLogout checks what a client registers for the end of sessions. Both kinds of addresses are https, with the one exception
// that redirect_uris have.
func checkLogout(m *Metadata, problem func(string, string, ...any)) {
	checkRedirectURIs("post_logout_redirect_uris", m.PostLogoutRedirectURIs, problem)
	if m.BackchannelLogoutURI != "" {
		if err := outbound.CheckAddress(m.BackchannelLogoutURI); err != nil {
			problem("backchannel_logout_uri", "%v", err)
		}
		return
	}
	if m.BackchannelLogoutSessionRequired {
		problem("backchannel_logout_session_required", "needs a backchannel_logout_uri beside it")
	}
}
