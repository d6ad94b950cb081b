package rp_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"countersign/rp"
	"countersign/rp/client/providertest"
)

// TestBodies: no endpoint reads more than it needs.
func TestBodies(t *testing.T) {
	t.Parallel()
	s := newAttackedSite(t, providertest.New(t))
	large := url.Values{"return_to": {"/"}, "logout_token": {"x"}, "x": {strings.Repeat("x", 300<<10)}}
	for _, endpoint := range []string{"login", "callback", "backchannel-logout", "ciba-ping"} {
		t.Run("refuses a body that is too large at "+endpoint, func(t *testing.T) {
			if got := s.user().post("/auth/"+endpoint, large); got.status != http.StatusBadRequest {
				t.Errorf("%d at %s", got.status, got.address)
			}
			s.wantError(rp.ErrMalformed)
		})
	}
}
