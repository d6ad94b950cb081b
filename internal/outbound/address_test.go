package outbound

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

func TestCheckAddress(t *testing.T) {
	long := "https://" + name + "/"
	for _, address := range []string{
		"https://keys.example", "https://keys.example/", "https://keys.example:443/jwks.json", "https://keys.example:8443/a/b?c=d&e",
		"https://KEYS.example/%20", "HTTPS://keys.example/", "https://a_b.example/", "https://xn--bcher-kva.example/", "https://x/", "https://localhost:1024/",
		"https://1.1.1.1/", "https://[2606:4700:4700::1111]:8443/", "https://127.0.0.1:8443/", "https://[::1]:65535/", "https://1a.2b/", "https://0xg/",
		long + strings.Repeat("a", maxAddress-len(long)), "https://" + strings.Repeat("a", 63) + ".example/",
	} {
		if err := CheckAddress(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	for _, test := range []struct{ address, reason string }{
		{"", "https://"},
		{"keys.example", "https://"},
		{"/jwks", "https://"},
		{"http://keys.example/", "https://"},
		{"ftp://keys.example/", "https://"},
		{"javascript:alert(1)", "https://"},
		{"data:application/json,{}", "https://"},
		{"https:keys.example", "no host"},
		{"https:/keys.example", "no host"},
		{"https://", "no host"},
		{"https:///jwks", "no host"},
		{"https://:443/", "DNS"},
		{"https://?a", "no host"},
		{"https://user@keys.example/", "user information"},
		{"https://user:pw@keys.example/", "user information"},
		{"https://1.1.1.1@10.0.0.1/", "user information"},
		{"https://keys.example/#a", "fragment"},
		{"https://keys.example/#", "fragment"},
		{"https://keys.example#@evil.example/", "fragment"},
		{"https://keys.example:/", "colon"},
		{"https://keys.example:0/", "port"},
		{"https://keys.example:25/", "port"},
		{"https://keys.example:80/", "port"},
		{"https://keys.example:442/", "port"},
		{"https://keys.example:444/", "port"},
		{"https://keys.example:1023/", "port"},
		{"https://keys.example:0443/", "port"},
		{"https://keys.example:65536/", "port"},
		{"https://keys.example:99999999999999999999/", "port"},
		{"https://keys.example:-1/", "not a URL"},
		{"https://keys.example:443:443/", "not a URL"},
		{"https://keys.example./", "DNS"},
		{"https://.keys.example/", "DNS"},
		{"https://a..example/", "DNS"},
		{"https://-a.example/", "DNS"},
		{"https://a-.example/", "DNS"},
		{"https://a*.example/", "DNS"},
		{"https://a,b.example/", "DNS"},
		{"https://k%65ys.example/", ""},
		{"https://keys.example%00.evil.example/", ""},
		{"https://" + strings.Repeat("a", 64) + ".example/", "DNS"},
		{"https://" + strings.Repeat("a.", 127) + "example/", "253"},
		{"https://keys.example/ a", "characters"},
		{" https://keys.example/", "characters"},
		{"https://keys.example/\n", "characters"},
		{"https://keys.example\t/", "characters"},
		{"https://keys.example/\x00", "characters"},
		{"https://keys.example\\@evil.example/", "characters"},
		{"https://bücher.example/", "characters"},
		{"https://keys.example/é", "characters"},
		{"https://keys.example\u3002evil/", "characters"},
		{"https://keys.example/%zz", "not a URL"},
		{"https://10.0.0.1/", "RFC 1918"},
		{"https://169.254.169.254/latest/meta-data/", "metadata"},
		{"https://[::ffff:169.254.169.254]/", "metadata"},
		{"https://[fe80::1%25eth0]/", "neither a name"},
		{"https://[fd00::1]/", "RFC 4193"},
		{"https://2130706433/", "neither a name"},
		{"https://0x7f000001/", "neither a name"},
		{"https://0x7f.1/", "neither a name"},
		{"https://127.1/", "neither a name"},
		{"https://0177.0.0.1/", "neither a name"},
		{"https://127.0.0.1./", "DNS"},
		{"https://a.0x/", "neither a name"},
		{"https://[127.0.0.1]/", ""},
		{"https://[keys.example]/", ""},
		{"https://[::1/", ""},
		{"https://::1/", ""},
		{long + strings.Repeat("a", maxAddress-len(long)+1), "longer than 2048"},
	} {
		err := CheckAddress(test.address)
		failure, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(failure.Reason, test.reason) {
			t.Errorf("%q: %v, want %q", test.address, err, test.reason)
		}
	}
}

// FuzzCheckAddress: what is accepted is read the same by a parser that knows nothing of URLs but where a host ends,
// and net/http makes a request of it to that host.
func FuzzCheckAddress(f *testing.F) {
	f.Add("https://keys.example:8443/jwks?a=b")
	f.Fuzz(func(t *testing.T, address string) {
		if err := CheckAddress(address); err != nil {
			if _, ok := errors.AsType[*Error](err); !ok {
				t.Fatalf("%q: %T", address, err)
			}
			if strings.ContainsAny(err.Error(), "\r\n\x00\x1b") || len(err.Error()) > 400 {
				t.Fatalf("%q: the error is not fit to be shown: %q", address, err)
			}
			return
		}
		if len(address) > maxAddress || !strings.EqualFold(address[:8], "https://") || strings.ContainsAny(address, "#\\ \r\n") {
			t.Fatalf("%q was accepted", address)
		}
		authority, _, _ := strings.Cut(address[8:], "/")
		authority, _, _ = strings.Cut(authority, "?")
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, address, nil)
		if err != nil || request.URL.Host != authority || request.URL.User != nil || strings.Contains(authority, "@") {
			t.Fatalf("%q: host %q, %v", address, authority, err)
		}
		again, err := url.Parse(request.URL.String())
		if err != nil || again.Host != authority || CheckAddress(again.String()) != nil {
			t.Fatalf("%q does not survive being written again", address)
		}
		if literal, err := netip.ParseAddr(again.Hostname()); err == nil && forbidden(literal, true) != "" {
			t.Fatalf("%q leads to %s", address, literal)
		}
	})
}
