package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

// forbiddenAddresses has the first and the last address of each range, and the ways to write one address in another.
var forbiddenAddresses = []struct {
	address, reason string
	loopback        bool
}{
	{"127.0.0.1", "loopback", true}, {"127.0.0.0", "loopback", true}, {"127.255.255.255", "loopback", true}, {"::1", "loopback", true},
	{"::ffff:127.0.0.1", "loopback", true}, {"::ffff:7f00:1", "loopback", true},
	{"0.0.0.0", "unspecified", false}, {"0.255.255.255", "unspecified", false}, {"::", "unspecified", false}, {"::ffff:0.0.0.0", "unspecified", false},
	{"10.0.0.0", "RFC 1918", false}, {"10.255.255.255", "RFC 1918", false},
	{"172.16.0.0", "RFC 1918", false}, {"172.31.255.255", "RFC 1918", false},
	{"192.168.0.0", "RFC 1918", false}, {"192.168.255.255", "RFC 1918", false},
	{"::ffff:10.0.0.1", "RFC 1918", false}, {"::ffff:192.168.1.1", "RFC 1918", false},
	{"fc00::", "RFC 4193", false}, {"fdff:ffff::1", "RFC 4193", false}, {"fd00:ec2::254", "RFC 4193", false}, {"fd20:ce::254", "RFC 4193", false},
	{"169.254.0.0", "metadata", false}, {"169.254.169.254", "metadata", false}, {"169.254.255.255", "metadata", false}, {"::ffff:169.254.169.254", "metadata", false},
	{"168.63.129.16", "metadata", false}, {"100.100.100.200", "RFC 6598", false},
	{"fe80::1", "link-local", false}, {"febf::1", "link-local", false}, {"fec0::1", "site-local", false}, {"feff::1", "site-local", false},
	{"100.64.0.0", "RFC 6598", false}, {"100.127.255.255", "RFC 6598", false},
	{"224.0.0.0", "multicast", false}, {"239.255.255.255", "multicast", false}, {"ff02::1", "multicast", false}, {"ff00::", "multicast", false},
	{"192.0.2.1", "documentation", false}, {"198.51.100.255", "documentation", false}, {"203.0.113.0", "documentation", false},
	{"2001:db8::1", "documentation", false}, {"3fff::1", "documentation", false}, {"3fff:fff::1", "documentation", false},
	{"198.18.0.0", "benchmarking", false}, {"198.19.255.255", "benchmarking", false}, {"2001:2::1", "benchmarking", false},
	{"192.0.0.8", "reserved", false}, {"192.0.0.192", "reserved", false}, {"192.88.99.1", "reserved", false},
	{"240.0.0.0", "reserved", false}, {"255.255.255.255", "broadcast", false},
	{"::10.0.0.1", "IPv4-compatible", false}, {"::8.8.8.8", "IPv4-compatible", false}, {"::7f00:1", "IPv4-compatible", false},
	{"64:ff9b::10.0.0.1", "NAT64 form of a private", false}, {"64:ff9b::169.254.169.254", "NAT64 form of a link-local", false},
	{"64:ff9b::127.0.0.1", "NAT64 form of a loopback", false}, {"64:ff9b:1::10.0.0.1", "not a global unicast", false},
	{"2002:a00:1::", "6to4", false}, {"2002:7f00:1::1", "6to4", false}, {"2002:808:808::1", "6to4", false},
	{"2001::1", "Teredo", false}, {"2001:0:a00:1::f5ff:fffe", "Teredo", false},
	{"2001:20::1", "of a protocol", false}, {"2001:1::1", "of a protocol", false},
	{"100::1", "not a global unicast", false}, {"4000::1", "not a global unicast", false}, {"5f00::1", "not a global unicast", false},
	{"::ffff:0:10.0.0.1", "not a global unicast", false}, // IPv4-translated, RFC 2765
}

func TestForbidden(t *testing.T) {
	for _, test := range forbiddenAddresses {
		address := netip.MustParseAddr(test.address)
		if got := forbidden(address, false); !strings.Contains(got, test.reason) {
			t.Errorf("%s: %q, want %q", address, got, test.reason)
		}
		if got := forbidden(address, true); (got == "") != test.loopback {
			t.Errorf("%s where loopback is allowed: %q", address, got)
		}
	}
	for _, text := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255", "128.0.0.0",
		"169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0", "192.0.1.0", "192.0.3.0", "192.167.255.255", "192.169.0.0",
		"198.17.255.255", "198.20.0.0", "223.255.255.255", "168.63.129.15", "168.63.129.17",
		"2606:4700:4700::1111", "2a00:1450::1", "2001:200::1", "2001:4860:4860::8888", "2003::1", "3ffe:ffff::1",
		"::ffff:8.8.8.8", "64:ff9b::8.8.8.8",
	} {
		if got := forbidden(netip.MustParseAddr(text), false); got != "" {
			t.Errorf("%s is public: %q", text, got)
		}
	}
	if forbidden(netip.Addr{}, true) == "" || forbidden(netip.MustParseAddr("fe80::1%eth0"), true) == "" || forbidden(netip.MustParseAddr("2a00::1%1"), true) == "" {
		t.Error("no address, or one with a zone, passed")
	}
}
