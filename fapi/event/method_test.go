package event

import "testing"

// Covers: FD-89. The names of spans are few, whatever clients send.
func TestKnownMethod(t *testing.T) {
	for method, want := range map[string]string{
		"GET": "GET", "PATCH": "PATCH", "CONNECT": "CONNECT", "get": "HTTP", "PROPFIND": "HTTP", "X-1f2e": "HTTP", "": "HTTP", "GET ": "HTTP",
	} {
		verb := "accepts "
		if want == "HTTP" {
			verb = "refuses "
		}
		t.Run(verb+method, func(t *testing.T) {
			if got := knownMethod(method, "HTTP"); got != want {
				t.Errorf("%q: %q, want %q", method, got, want)
			}
		})
	}
}
