package device_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
)

// Covers: FD-66. A page that looks at no password is 429 and says when to come again, for a sign-in and for a decision.
func TestThrottledPasswordsAre429(t *testing.T) {
	t.Parallel()
	w, c := fapitest.NewDeviceWorld(t)
	b := w.DeviceBrowser(t)
	retry := ""
	b.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	through := b.HTTP.Transport
	b.HTTP.Transport = roundTrip(func(r *http.Request) (*http.Response, error) {
		response, err := through.RoundTrip(r)
		if err == nil {
			retry = response.Header.Get("Retry-After")
		}
		return response, err
	})
	t.Run("refuses a sign-in", func(t *testing.T) {
		b.Send(b.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "busy").
			Has(t, http.StatusTooManyRequests, "There were too many attempts to sign in", `name="password"`)
		if retry != "60" {
			t.Errorf("Retry-After is %q", retry)
		}
		b.Send(b.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "wrong").Has(t, http.StatusOK, "do not belong together")
	})
	b.SignIn("alice").Has(t, http.StatusSeeOther)
	path := "/device/requests/" + fapitest.Reference(c.AuthReqID(nil))
	t.Run("refuses a decision", func(t *testing.T) {
		b.Send(b.Visit(path), path, "approve", "password", "busy").Has(t, http.StatusTooManyRequests, "There were too many attempts")
		if retry != "60" {
			t.Errorf("Retry-After is %q", retry)
		}
		b.Visit(path).Has(t, http.StatusOK, "Did you ask for this?")
	})
	t.Run("accepts the right password", func(t *testing.T) {
		b.Send(b.Visit(path), path, "approve", "password", "right").Has(t, http.StatusSeeOther)
		b.Visit(path).Has(t, http.StatusOK, "This was approved")
	})
}

// roundTrip is a function as transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
