package fapi_test

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"countersign/fapi"
)

// Covers: PA-05. Who comes too often is told when to come again (RFC 9126 §2.3), before the HSM has any work of it, and
// nobody else is.
func TestPA05TooOften(t *testing.T) {
	w := newWorld(t, func(c *fapiConfig, _ *autoInteractor) {
		c.Limits = fapi.Limits{ClientPerSecond: 1, ClientBurst: 3, AddressFailuresPerSecond: 1, AddressFailureBurst: 5}
	})
	c, other := w.register("client-1", nil), w.register("client-2", nil)
	for range 3 {
		tryAll(t, c.push, good("as many as the burst allows", nil))
	}
	t.Run("refuses one more, with Retry-After", func(t *testing.T) {
		r := c.push(nil)
		wantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if wait, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || wait < 1 || wait > 2 {
			t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
		}
	})
	tryAll(t, other.push, good("another client at the same time", nil))
	w.clock.Advance(time.Second)
	tryAll(t, c.push, good("the first client after a second", nil), bad("it twice in that second", nil, http.StatusTooManyRequests, "temporarily_unavailable"))
	w.clock.Advance(time.Minute)
	for range 5 {
		tryAll(t, c.push, bad("a guess", c.asserting(claim("aud", "https://elsewhere.example")), 401, "invalid_client"))
	}
	tryAll(t, c.push, bad("another guess from the same address", c.asserting(claim("aud", "https://elsewhere.example")), http.StatusTooManyRequests, "temporarily_unavailable"))
	tryAll(t, c.push, good("a right request from there at the same time: all may share the address", nil))
	w.clock.Advance(time.Minute)
	tryAll(t, c.push, bad("a guess after a while", c.asserting(claim("aud", "https://elsewhere.example")), 401, "invalid_client"))
}
