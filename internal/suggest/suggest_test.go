package suggest_test

import (
	"testing"

	"countersign/internal/suggest"
)

func TestNearest(t *testing.T) {
	known := []string{"scope", "jwks", "jwks_uri", "token_endpoint_auth_method"}
	for unknown, want := range map[string]string{
		"token_endpoint_auth_metod": "token_endpoint_auth_method", "scopes": "scope", "jwk_uri": "jwks_uri", "Scope": "scope",
		"flavour": "", "x": "", "": "", "software": "", "token_endpoint": "",
	} {
		if got := suggest.Nearest(unknown, known); got != want {
			t.Errorf("%q: %q, want %q", unknown, got, want)
		}
	}
}
