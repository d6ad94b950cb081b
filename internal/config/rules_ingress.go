package config

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"

	"countersign/internal/config/value"
)

// ingress wants one way, and a whole one, in which an ingress proves itself before its headers are read.
func (c *collector) ingress(l *ListenMTLS) {
	const certificate, name, networks, secret = "listen_mtls.ingress_ca_file", "listen_mtls.ingress_name", "listen_mtls.ingress_networks", "listen_mtls.ingress_secret_file"
	c.networks(networks, l.IngressNetworks)
	socket := strings.HasPrefix(l.Address, value.SocketPrefix)
	ways := 0
	for _, given := range []bool{socket, l.IngressCAFile != "", l.IngressNetworks != "" || l.IngressSecret != ""} {
		if given {
			ways++
		}
	}
	switch {
	case c.bad("listen_mtls.source"):
	case l.Source == "direct" && ways > 0:
		c.add("listen_mtls.source", quote(l.Source), "there is a way for an ingress to prove itself, or a unix socket, but no kind of ingress; say which one it is")
	case l.Source != "direct" && ways == 0:
		c.add("listen_mtls.source", quote(l.Source), "an ingress has to prove itself before its headers are read: set ingress_ca_file and ingress_name, or ingress_networks and ingress_secret_file, or let it connect over a unix socket (address)")
	case ways > 1:
		c.add("listen_mtls.source", quote(l.Source), "there are two ways for the ingress to prove itself; keep one of ingress_ca_file, ingress_networks with ingress_secret_file, or a unix socket")
	}
	if l.ForwardedFor && l.Source == "direct" && !c.bad("listen_mtls.source") {
		c.add("listen_mtls.forwarded_for", "true", "has no meaning while clients connect themselves (source is direct): anybody can send the header")
	}
	pair(c, certificate, string(l.IngressCAFile), name, l.IngressName)
	pair(c, networks, l.IngressNetworks, secret, string(l.IngressSecret))
	if l.IngressOldSecret != "" && l.IngressSecret == "" {
		c.add("listen_mtls.ingress_old_secret_file", shown(l.IngressOldSecret), "has no meaning without listen_mtls.ingress_secret_file")
	}
	if l.CRLFile != "" && l.Revocation == "off" {
		c.add("listen_mtls.crl_file", quote(string(l.CRLFile)), "is not asked while listen_mtls.revocation is off; set it to soft or hard")
	}
}

// pair wants both keys or none.
func pair(c *collector, one, oneValue, other, otherValue string) {
	if c.bad(one) || c.bad(other) || (oneValue == "") == (otherValue == "") {
		return
	}
	if oneValue == "" {
		one, other = other, one
	}
	c.add(other, "", "missing: it belongs to %s", one)
}

func (c *collector) networks(key, text string) {
	if c.bad(key) {
		return
	}
	for name := range strings.FieldsSeq(text) {
		network, err := netip.ParsePrefix(name)
		switch {
		case err != nil || network != network.Masked():
			c.add(key, quote(name), `not a network, such as "10.1.2.0/28"`)
		case network.Bits() < 8:
			c.add(key, quote(name), "larger than any network of an ingress; name the addresses that it has")
		}
	}
}

// trustStoreName is what a trust store may be called.
var trustStoreName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (c *collector) trustStores(config *Config) {
	seen := map[string]bool{}
	for i, store := range config.TrustStores {
		key := fmt.Sprintf("trust_stores[%d].", i)
		name := key + "name"
		switch {
		case c.bad(name):
		case !trustStoreName.MatchString(store.Name):
			c.add(name, quote(store.Name), "not a name; use 1 to 64 letters, digits, dots, dashes and underscores")
		case seen[store.Name]:
			c.add(name, quote(store.Name), "described twice; keep one")
		case config.ListenMTLS.Address == "" && !c.bad("listen_mtls.address"):
			c.add(name, quote(store.Name), "has no meaning while the listener for client certificates is off; set listen_mtls.address too")
		}
		seen[store.Name] = true
		if store.CRLFile != "" && store.Revocation == "off" {
			c.add(key+"crl_file", quote(string(store.CRLFile)), "is not asked while revocation is off; set it to soft or hard")
		}
	}
}
