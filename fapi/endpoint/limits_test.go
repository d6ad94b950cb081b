package endpoint_test

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"countersign/fapi/endpoint"
	"countersign/fapi/fapitest"
)

// Covers: PA-05. Who comes too often is told when to come again (RFC 9126 §2.3), before the HSM has any work of it, and
// nobody else is.
func TestPA05TooOften(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, func(c *fapitest.Config) {
		c.Limits = endpoint.Limits{ClientPerSecond: 1, ClientBurst: 3, AddressFailuresPerSecond: 1, AddressFailureBurst: 5}
	})
	c, other := w.Register("client-1", nil), w.Register("client-2", nil)
	for range 3 {
		fapitest.TryAll(t, c.Push, fapitest.Good("as many as the burst allows", nil))
	}
	t.Run("refuses one more, with Retry-After", func(t *testing.T) {
		r := c.Push(nil)
		fapitest.WantError(t, r, http.StatusTooManyRequests, "temporarily_unavailable")
		if wait, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || wait < 1 || wait > 2 {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
	})
	fapitest.TryAll(t, other.Push, fapitest.Good("another client at the same time", nil))
	w.Clock.Advance(time.Second)
	fapitest.TryAll(t, c.Push, fapitest.Good("the first client after a second", nil), fapitest.Bad("it twice in that second", nil, http.StatusTooManyRequests, "temporarily_unavailable"))
	w.Clock.Advance(time.Minute)
	for range 5 {
		fapitest.TryAll(t, c.Push, fapitest.Bad("a guess", c.ReplaceAssertion(fapitest.SetClaim("aud", "https://elsewhere.example")), 401, "invalid_client"))
	}
	fapitest.TryAll(t, c.Push, fapitest.Bad("another guess from the same address", c.ReplaceAssertion(fapitest.SetClaim("aud", "https://elsewhere.example")), http.StatusTooManyRequests, "temporarily_unavailable"))
	fapitest.TryAll(t, c.Push, fapitest.Good("a right request from there at the same time: all may share the address", nil))
	w.Clock.Advance(time.Minute)
	fapitest.TryAll(t, c.Push, fapitest.Bad("a guess after a while", c.ReplaceAssertion(fapitest.SetClaim("aud", "https://elsewhere.example")), 401, "invalid_client"))
}

// Covers: RULE-05, PA-05. What is too long, too deep or of another kind is refused before anything is done with it.
func TestRule05Limits(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	c := w.Register("client-1", nil)
	many := func(count int) fapitest.Change {
		return func(form url.Values, _ http.Header) {
			for i := len(form); i < count; i++ {
				form.Set("unknown"+strings.Repeat("x", i), "1")
			}
		}
	}
	nested := func(depth int) func(fapitest.Claims) {
		value := any(1)
		for range depth {
			value = []any{value}
		}
		return fapitest.SetClaim("nested", value)
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Good("a body of 32 KiB", fapitest.Set("unknown", strings.Repeat("x", 32<<10))),
		fapitest.Bad("a body of 65 KiB", fapitest.Set("unknown", strings.Repeat("x", 65<<10)), 413, "invalid_request"),
		fapitest.Bad("a body of 1 MiB", fapitest.Set("unknown", strings.Repeat("x", 1<<20)), 413, "invalid_request"),
		fapitest.Good("100 parameters", many(100)),
		fapitest.Bad("101 parameters", many(101), 400, "invalid_request"),
		fapitest.Good("an assertion of 8 KiB", c.ReplaceAssertion(fapitest.SetClaim("filler", strings.Repeat("x", 6<<10)))),
		fapitest.Bad("an assertion of 20 KiB", c.ReplaceAssertion(fapitest.SetClaim("filler", strings.Repeat("x", 15<<10))), 401, "invalid_client"),
		fapitest.Good("claims that are a little nested", c.ReplaceAssertion(nested(3))),
		fapitest.Bad("claims that are nested 100 deep", c.ReplaceAssertion(nested(100)), 401, "invalid_client"),
		fapitest.Bad("a proof of 20 KiB", c.ReplaceProof("/par", fapitest.SetClaim("filler", strings.Repeat("x", 15<<10))), 400, "invalid_dpop_proof"),
		fapitest.Bad("another content type", fapitest.SetHeader("Content-Type", "text/plain"), 415, "invalid_request"),
		fapitest.Bad("a value that is not UTF-8", fapitest.Set("state", "\xff"), 400, "invalid_request"),
		fapitest.Bad("a value with a NUL", fapitest.Set("unknown", "a\x00b"), 400, "invalid_request"))
	t.Run("refuses another method with 405", func(t *testing.T) {
		for _, path := range []string{"/par", "/token"} {
			if response, _ := w.Request(t, "GET", w.Issuer+path, nil, ""); response.StatusCode != 405 || response.Header.Get("Allow") != "POST" {
				t.Errorf("%s: %d", path, response.StatusCode)
			}
		}
	})
	t.Run("refuses an access token of 20 KiB", func(t *testing.T) {
		if r := c.Get("/accounts", strings.Repeat("x", 20<<10), func(h http.Header) { h.Del("DPoP") }); r.Status != 400 && r.Status != 401 {
			t.Errorf("%d %s", r.Status, r.Raw)
		}
	})
}
