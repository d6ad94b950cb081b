package backchannel_test

import (
	"errors"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/fapitest"
)

// Covers: FD-04. What was checked when a backchannel request was made is checked again when the user reads and decides
// it.
func TestFD04Decide(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles())
	for name, test := range fapitest.Sorted(map[string]struct {
		member string
		value  any
		valid  bool
	}{
		"accepts another name":            {"client_name", "Another", true},
		"refuses a scope less":            {"scope", "openid", false},
		"refuses a client without CIBA":   {"grant_types", []string{"client_credentials"}, false},
		"accepts a scope more, not asked": {"scope", "openid profile email accounts payments offline_access", true},
	}) {
		t.Run(name, func(t *testing.T) {
			c := w.Register("client-"+fapitest.RandomString(), fapitest.CIBAPoll)
			id := c.AuthReqID(nil)
			w.ChangeMember(c, test.member, test.value)
			if test.member == "grant_types" {
				w.ChangeMember(c, "backchannel_token_delivery_mode", "")
			}
			w.Clock.Advance(time.Second)
			_, err := w.Server.Backchannel().Request(t.Context(), fapitest.Reference(id), "sub-alice")
			if test.valid != (err == nil) || !test.valid && !errors.Is(err, backchannel.ErrNotFound) {
				t.Errorf("read: %v", err)
			}
			err = w.Server.Backchannel().Decide(t.Context(), w.ByAlice(id, true))
			if test.valid != (err == nil) || !test.valid && !errors.Is(err, backchannel.ErrNotFound) {
				t.Errorf("approved: %v", err)
			}
		})
	}
}
