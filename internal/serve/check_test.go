package serve

import "testing"

// Covers: FD-136. TestStrictTransportHeader: what an operator writes becomes the header of RFC 6797 §6.1.
func TestFD136StrictTransportHeader(t *testing.T) {
	for scope, want := range map[string]string{
		"": "max-age=63072000", "host": "max-age=63072000",
		"subdomains": "max-age=63072000; includeSubDomains", "preload": "max-age=63072000; includeSubDomains; preload",
	} {
		t.Run("accepts "+scope, func(t *testing.T) {
			if got := strictTransport(scope); got != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
}
