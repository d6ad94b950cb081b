package client_test

import (
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-21. A native app gets its port from the system: the rest of its address is compared to the byte, and the
// code is redeemed with the address that was pushed.
func TestFD21LoopbackPort(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t)
	native := func(id string, addresses ...string) *fapitest.Client {
		return w.Register(id, func(c *fapitest.Client, metadata map[string]any) {
			c.RedirectURI, metadata["redirect_uris"] = addresses[0], addresses
		})
	}
	text, err := os.ReadFile("testdata/loopback-port/par.form")
	if err != nil {
		t.Fatal(err)
	}
	form, err := url.ParseQuery(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	reported := form.Get("redirect_uri")
	withPort, without := native("with-port", "http://127.0.0.1:8080/cb"), native("without", "http://127.0.0.1/cb")
	six, query := native("six", "http://[::1]:8080/cb"), native("query", "http://127.0.0.1?a=b")
	usual := native("usual", "https://127.0.0.1:8443/cb", "http://127.0.0.2:8080/cb", "https://app.example/cb")
	to := func(address string) fapitest.Change { return fapitest.Set("redirect_uri", address) }
	bad := func(address string) fapitest.Attempt {
		return fapitest.Bad(address, to(address), http.StatusBadRequest, "invalid_request")
	}
	good := func(address string) fapitest.Attempt { return fapitest.Good(address, to(address)) }
	fapitest.TryAll(t, withPort.Push, good(reported), good("http://127.0.0.1:8080/cb"), good("http://127.0.0.1:65535/cb"),
		good("http://127.0.0.1:1/cb"), good("http://127.0.0.1/cb"),
		bad("http://127.0.0.1:0/cb"), bad("http://127.0.0.1:080/cb"), bad("http://127.0.0.1:65536/cb"), bad("http://127.0.0.1:/cb"),
		bad("http://127.0.0.1:+80/cb"), bad("http://127.0.0.1:99999999999999999999/cb"), bad("http://127.0.0.1:51234/cb/"),
		bad("http://127.0.0.1:51234/CB"), bad("http://127.0.0.1:51234/cb?x=y"), bad("http://127.0.0.1:51234/cb#x"),
		bad("http://127.0.0.1:51234"), bad("http://127.0.0.1:51234/%63b"), bad("http://127.0.0.1:51234/x/../cb"),
		bad("http://user@127.0.0.1:51234/cb"), bad("http://127.0.0.1:51234@evil.example/cb"), bad("http://127.0.0.1@evil.example/cb"),
		bad("http://127.0.0.1.evil.example:51234/cb"), bad("http://127.0.0.1:51234.evil.example/cb"), bad("http://127.0.0.1:51234:80/cb"),
		bad("http://127.0.0.1:51234\\@evil.example/cb"), bad("http://[::1]:51234/cb"), bad("http://localhost:51234/cb"),
		bad("http://127.1:51234/cb"), bad("http://2130706433:51234/cb"), bad("http://0x7f.0.0.1:51234/cb"),
		bad("http://127.0.0.01:51234/cb"), bad("http://127.0.0.2:51234/cb"), bad("HTTP://127.0.0.1:51234/cb"),
		bad("https://127.0.0.1:51234/cb"), bad("http://127.0.0.1.:51234/cb"), bad(" http://127.0.0.1:51234/cb"))
	fapitest.TryAll(t, without.Push, good(reported), good("http://127.0.0.1/cb"), bad("http://127.0.0.1:51234/"))
	fapitest.TryAll(t, six.Push, good("http://[::1]:51234/cb"), good("http://[::1]/cb"), bad("http://[::1]:51234/other"),
		bad("http://[0:0:0:0:0:0:0:1]:51234/cb"), bad("http://[::1%25lo]:51234/cb"), bad("http://[::ffff:127.0.0.1]:51234/cb"), bad(reported))
	fapitest.TryAll(t, query.Push, good("http://127.0.0.1:51234?a=b"), bad("http://127.0.0.1:51234"), bad("http://127.0.0.1:51234?a=c"))
	fapitest.TryAll(t, usual.Push, good("https://127.0.0.1:8443/cb"), bad("https://127.0.0.1:51234/cb"),
		bad("http://127.0.0.2:51234/cb"), bad("https://app.example:51234/cb"))

	withPort.RedirectURI = reported
	t.Run("accepts the code's redemption with the address that was pushed", func(t *testing.T) {
		fapitest.WantOK(t, withPort.Redeem(withPort.Authorize(), nil))
	})
	for _, address := range []string{"http://127.0.0.1:8080/cb", "http://127.0.0.1:51235/cb", "http://127.0.0.1/cb"} {
		t.Run("refuses the redemption with "+address, func(t *testing.T) {
			fapitest.WantError(t, withPort.Redeem(withPort.Authorize(), to(address)), http.StatusBadRequest, "invalid_grant")
		})
	}
}
