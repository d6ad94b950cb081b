package event

import "testing"

// TestKnownMethod: the names of spans are few, whatever clients send.
func TestKnownMethod(t *testing.T) {
	for method, want := range map[string]string{"GET": "GET", "PATCH": "PATCH", "get": "HTTP", "PROPFIND": "HTTP", "X-1f2e": "HTTP", "": "HTTP"} {
		if got := knownMethod(method, "HTTP"); got != want {
			t.Errorf("%q: %q, want %q", method, got, want)
		}
	}
}
