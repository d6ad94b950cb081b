package consent_test

import (
	"net/http"
	"testing"
	"time"

	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/fapi/profile"
	"countersign/fapi/rar/display"
	"countersign/store"
)

// A grant lasts as long as its consent where the profile says so, and not longer than it in any case; what a consent says by a length does
// not depend on when it is asked.
func TestLifeOf(t *testing.T) {
	t.Parallel()
	ends := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	whole, own := profile.Profile{}, profile.Profile{Ecosystem: profile.Ecosystem{RefreshUntilConsentEnds: true}}
	for name, one := range map[string]struct {
		of   profile.Profile
		c    *consent.Consent
		want display.Life
	}{
		"accepts a grant without a consent":                  {own, nil, display.Life{For: time.Hour}},
		"accepts a consent that does not end":                {own, &consent.Consent{}, display.Life{For: time.Hour}},
		"accepts the shorter of both":                        {whole, &consent.Consent{Lasts: time.Minute, EndsAt: ends}, display.Life{For: time.Minute, Until: ends}},
		"refuses more than the whole":                        {whole, &consent.Consent{Lasts: 2 * time.Hour}, display.Life{For: time.Hour}},
		"accepts the end of the consent":                     {own, &consent.Consent{EndsAt: ends}, display.Life{Until: ends}},
		"accepts the length of the consent":                  {own, &consent.Consent{Lasts: 2 * time.Hour}, display.Life{For: 2 * time.Hour}},
		"accepts the length of the consent until its end":    {own, &consent.Consent{Lasts: 2 * time.Hour, EndsAt: ends}, display.Life{For: 2 * time.Hour, Until: ends}},
		"accepts the end of the consent, and the whole then": {whole, &consent.Consent{EndsAt: ends}, display.Life{For: time.Hour, Until: ends}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := consent.Life(one.of, one.c, time.Hour); got != one.want {
				t.Errorf("%+v, want %+v", got, one.want)
			}
		})
	}
}

// Covers: LC-10. A grant does not outlive its consent, and neither does an access token.
func TestLife(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	c := e.brazil
	ends := e.Clock.Now().Add(2 * time.Minute)
	lodged := e.lodge(c, func(c *consent.Consent) { c.EndsAt = ends })
	tokens := c.TokensFor(e.naming(c, lodged.ID))
	t.Run("accepts a token that ends with the consent", func(t *testing.T) {
		if left := tokens.Body["expires_in"].(float64); left > 120 {
			t.Errorf("it lasts %v seconds", left)
		}
		fapitest.WantOK(t, c.Refresh(tokens.Text("refresh_token"), nil))
	})
	e.Clock.Advance(2 * time.Minute)
	t.Run("refuses a refresh after it", func(t *testing.T) {
		fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
		e.wantStatus(t, lodged.ID, store.ConsentExpired)
	})
}

// Covers: LC-11. The end of a consent on one node ends its tokens on another one with the next request.
func TestTwoNodes(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t)
	n := e.Node(nil)
	c := e.uk
	rs := e.ResourceServer("rs", e.Issuer)
	there := n.Client(rs)
	lodged := e.lodge(c)
	tokens := c.TokensFor(e.naming(c, lodged.ID))
	t.Run("accepts the token on the other node before", func(t *testing.T) {
		r := there.Introspect(tokens.Text("access_token"), nil)
		if active, _ := r.Body["active"].(bool); !active {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
	e.end(lodged.ID)
	t.Run("refuses the tokens there at once", func(t *testing.T) {
		fapitest.WantInactive(t, there.Introspect(tokens.Text("access_token"), nil))
		fapitest.WantError(t, n.Client(c).Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
}
