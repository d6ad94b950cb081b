package dpop

import (
	"strings"
	"testing"
)

func TestNormalise(t *testing.T) {
	for address, want := range map[string]string{
		"https://as.example/token":              "https://as.example/token",
		"HTTPS://AS.EXAMPLE/token":              "https://as.example/token",
		"https://as.example:443/token":          "https://as.example/token",
		"https://as.example:/token":             "https://as.example/token",
		"https://as.example:8443/token":         "https://as.example:8443/token",
		"https://as.example/token?a=b":          "https://as.example/token",
		"https://as.example/token#a?b":          "https://as.example/token",
		"https://as.example/token?":             "https://as.example/token",
		"https://as.example":                    "https://as.example/",
		"https://as.example?x":                  "https://as.example/",
		"https://as.example/":                   "https://as.example/",
		"https://as.example//":                  "https://as.example//",
		"https://as.example/%7etoken%41":        "https://as.example/~tokenA",
		"https://as.example/a%2fb":              "https://as.example/a%2Fb",
		"https://as.example/a%25":               "https://as.example/a%25",
		"https://as.example/%c3%a9":             "https://as.example/%C3%A9",
		"https://as.example/a;b=c,d:e@f!$&'()*": "https://as.example/a;b=c,d:e@f!$&'()*",
		"https://127.0.0.1:8443/token":          "https://127.0.0.1:8443/token",
		"https://[::1]/token":                   "https://[::1]/token",
		"https://[0:0:0:0:0:0:0:1]:8443/token":  "https://[::1]:8443/token",
		"https://[2001:DB8::A]:443":             "https://[2001:db8::a]/",
		"https://xn--bcher-kva.example/token":   "https://xn--bcher-kva.example/token",
	} {
		got, ok := normalise(address)
		if !ok || got != want {
			t.Errorf("%s: %q, %v, want %q", address, got, ok, want)
		}
		if again, ok := normalise(got); !ok || again != got {
			t.Errorf("%s: normal form %s becomes %s", address, got, again)
		}
	}
}

func TestNormaliseRefuses(t *testing.T) {
	for _, address := range []string{
		"", "/token", "as.example/token", "//as.example/token", "http://as.example/token", "https:/as.example/token", "https:as.example",
		"https://", "https:///token", "https://:443/token", " https://as.example/token", "https://as.example/token ",
		"https://user@as.example/token", "https://as.example@evil.example/token", "https://user:password@as.example/token",
		"https://as.example:0/token", "https://as.example:0443/token", "https://as.example:443443/token", "https://as.example:+443/token", "https://as.example:https/token",
		"https://as.example:443:443/token", "https://as.ex ample/token", "https://as.example\\token", "https://as.%65xample/token", "https://bücher.example/token",
		"https://::1/token", "https://[::1/token", "https://::1]/token", "https://[::1]x/token", "https://[127.0.0.1]/token", "https://[fe80::1%25eth0]/token", "https://[]/token",
		"https://as.example/%", "https://as.example/%4", "https://as.example/%4g", "https://as.example/%g4", "https://as.example/a b", "https://as.example/\"", "https://as.example/é", "https://as.example/a\x00", "https://as.example/a\nb", "https://as.example/a\\b",
		"https://as.example/./token", "https://as.example/a/../token", "https://as.example/%2e%2E/token", "https://as.example/..",
		"https://as.example/" + strings.Repeat("a", maxAddress),
	} {
		if got, ok := normalise(address); ok {
			t.Errorf("%q is accepted as %q", address, got)
		}
	}
}
