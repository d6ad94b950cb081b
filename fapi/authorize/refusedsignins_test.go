package authorize_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
)

// guesser is in front of the browser, and proves nothing.
type guesser struct {
	*fapitest.User
	wrong int
}

// Interact implements [authorize.Interactor].
func (g guesser) Interact(w http.ResponseWriter, r *http.Request, _ authorize.Interaction, actions authorize.Actions) {
	for range g.wrong {
		if _, err := actions.SignInFailed(r.Context(), browser.Problem{Code: browser.WrongPassword}); err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
	}
	actions.Deny(w, r)
}

// Covers: FD-128. A client is told why nobody allowed its request: because the user denied it, or because nobody could sign in.
func TestReasonOfDenial(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		wrong int
		want  string
	}{
		"accepts that the user denied":                     {0, "the user denied the request"},
		"accepts that the user denied, after some tries":   {authorize.MaxSignInFailures - 1, "the user denied the request"},
		"refuses to say so of whom nobody knows to be one": {authorize.MaxSignInFailures, "nobody signed in: 5 sign-ins in a row were refused"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := fapitest.NewWorld(t, func(c *fapitest.Config) { c.Interactor = guesser{&fapitest.User{}, test.wrong} })
			c := w.Register("client-1", nil)
			pushed := c.Push(nil)
			_, _, sentTo := w.Browser().Visit(w.AuthorizeURL(c.ID, pushed.Text("request_uri")))
			if sentTo == nil {
				t.Fatal("the browser was not sent to the client")
			}
			if got := sentTo.Query(); got.Get("error") != "access_denied" || !strings.HasPrefix(got.Get("error_description"), test.want) {
				t.Errorf("the client gets %s", sentTo)
			}
			if logs := w.Logs.String(); !strings.Contains(logs, test.want) {
				t.Errorf("the log: %s", logs)
			}
		})
	}
}
