package mtls

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"countersign/mtls/internal/proxyheader"
)

// Covers: FD-123. The client's address is that which the ingress tells, and never what a client says of itself.
func TestAddressOfClient(t *testing.T) {
	secret := "0123456789012345678901234567890123456789abc"
	networks := []netip.Prefix{netip.MustParsePrefix("10.1.2.0/28"), netip.MustParsePrefix("2001:db8:ffff::/64")}
	ingress, err := NewIngressSecret(networks, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	source, err := Header(SourceRFC9440)
	if err != nil {
		t.Fatal(err)
	}
	browsers := Gate{ForwardedFor: true, Proxies: networks}
	behind := Gate{Source: source, Headers: SourceHeaders(SourceRFC9440), Ingress: ingress, ForwardedFor: true, Proxies: networks}
	silent := behind
	silent.ForwardedFor = false
	for name, test := range map[string]struct {
		gate      Gate
		sender    string
		secret    bool
		forwarded []string
		want      string
	}{
		"accepts what an ingress tells":                       {browsers, "10.1.2.3:4711", false, []string{"192.0.2.7"}, "192.0.2.7:0"},
		"accepts an address with a port":                      {browsers, "10.1.2.3:4711", false, []string{"192.0.2.7:5"}, "192.0.2.7:5"},
		"accepts IPv6":                                        {browsers, "[2001:db8:ffff::1]:4711", false, []string{"2001:db8::7"}, "[2001:db8::7]:0"},
		"accepts IPv6 in brackets":                            {browsers, "10.1.2.3:4711", false, []string{"[2001:db8::7]:5"}, "[2001:db8::7]:5"},
		"accepts IPv6 in brackets without a port":             {browsers, "10.1.2.3:4711", false, []string{"[2001:db8::7]"}, "[2001:db8::7]:0"},
		"accepts IPv4 in IPv6":                                {browsers, "[::ffff:10.1.2.3]:4711", false, []string{"::ffff:192.0.2.7"}, "192.0.2.7:0"},
		"accepts the last that is no ingress":                 {browsers, "10.1.2.3:4711", false, []string{"192.0.2.7, 10.1.2.4"}, "192.0.2.7:0"},
		"accepts the last of two headers":                     {browsers, "10.1.2.3:4711", false, []string{"198.51.100.1", "192.0.2.7"}, "192.0.2.7:0"},
		"accepts an ingress that asks itself":                 {browsers, "10.1.2.3:4711", false, []string{"10.1.2.4"}, "10.1.2.4:0"},
		"accepts the ingress of the certificates":             {behind, "10.1.2.3:4711", true, []string{"192.0.2.7"}, "192.0.2.7:0"},
		"refuses what a client says of itself":                {browsers, "10.1.2.3:4711", false, []string{"203.0.113.1, 192.0.2.7"}, "192.0.2.7:0"},
		"refuses a stranger's header":                         {browsers, "198.51.100.1:4711", false, []string{"192.0.2.7"}, "198.51.100.1:4711"},
		"refuses a header where no ingress is":                {Gate{}, "10.1.2.3:4711", false, []string{"192.0.2.7"}, "10.1.2.3:4711"},
		"refuses a header without a secret":                   {behind, "10.1.2.3:4711", false, []string{"192.0.2.7"}, "10.1.2.3:4711"},
		"refuses a header that is not configured":             {silent, "10.1.2.3:4711", true, []string{"192.0.2.7"}, "10.1.2.3:4711"},
		"refuses a listener whose clients connect themselves": {Gate{Source: Direct(), ForwardedFor: true}, "192.0.2.1:4711", false, []string{"192.0.2.7"}, "192.0.2.1:4711"},
		"refuses what is no address":                          {browsers, "10.1.2.3:4711", false, []string{"192.0.2.7, unknown"}, "10.1.2.3:4711"},
		"refuses what stands before no address":               {browsers, "10.1.2.3:4711", false, []string{"192.0.2.7, _x, 10.1.2.4"}, "10.1.2.4:0"},
		"refuses an empty header":                             {browsers, "10.1.2.3:4711", false, []string{""}, "10.1.2.3:4711"},
		"refuses to make one up":                              {browsers, "10.1.2.3:4711", false, nil, "10.1.2.3:4711"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "https://login.example/token", http.NoBody)
			r.RemoteAddr = test.sender
			for _, value := range test.forwarded {
				r.Header.Add("X-Forwarded-For", value)
			}
			if test.secret {
				r.Header.Set(SecretHeader, secret)
			}
			admitted, err := test.gate.Admit(r)
			if err != nil {
				t.Fatal(err)
			}
			if admitted.RemoteAddr != test.want {
				t.Errorf("%s, want %s", admitted.RemoteAddr, test.want)
			}
		})
	}
}

// Covers: FD-123. PROXY protocol tells the address of each connection.
func TestAddressInProxyHeader(t *testing.T) {
	header := func(command, family byte, rest string) []byte {
		return append([]byte(proxyheader.Signature), append([]byte{0x20 | command, family, 0, byte(len(rest))}, rest...)...)
	}
	const v4, v6 = "\xc0\x00\x02\x07\x0a\x01\x02\x03\x12\x67\x01\xbb", "\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x07"
	for name, test := range map[string]struct {
		block []byte
		want  string
	}{
		"accepts IPv4":                     {header(1, 0x11, v4), "192.0.2.7:4711"},
		"accepts IPv6":                     {header(1, 0x21, v6+v6+"\x12\x67\x01\xbb"), "[2001:db8::7]:4711"},
		"refuses a health check":           {header(0, 0x11, v4), "invalid AddrPort"},
		"refuses a unix socket":            {header(1, 0x31, v4), "invalid AddrPort"},
		"refuses a header that is cut off": {header(1, 0x11, v4[:8]), "invalid AddrPort"},
		"refuses nothing":                  {nil, "invalid AddrPort"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := proxyheader.Client(test.block).String(); got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
		})
	}
}
