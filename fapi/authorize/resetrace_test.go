package authorize_test

import (
	"context"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/authorize"
	"countersign/fapi/browser"
	"countersign/fapi/fapitest"
	builtin "countersign/internal/pages"
	"countersign/store"
)

// overtaken is a directory in which all sessions of the user end just after the password was compared, for "reset".
type overtaken struct{ store store.Store }

func (d overtaken) Authenticate(ctx context.Context, a browser.Attempt) (browser.Proven, error) {
	user, err := d.store.User(ctx, "sub-"+a.Username)
	if err != nil {
		return browser.Proven{}, err
	}
	if a.Password == "reset" {
		err = d.store.EndSessions(ctx, user.Subject)
	}
	return browser.Proven{Subject: user.Subject, Epoch: user.Epoch}, err
}

// Covers: KB-11. Who gave the old password just before all sessions ended is not signed in, in an interaction and on the device page.
func TestSignInOvertakenByReset(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, withPages, func(c *fapitest.Config) {
		shown, err := builtin.New(builtin.Config{Issuer: c.Issuer, Now: c.Now})
		if err != nil {
			panic(err)
		}
		c.Passwords = browser.Passwords{Directory: overtaken{c.Store}, Refused: errRefused, Throttled: errThrottled}
		if c.Interactor, err = authorize.NewForms(shown, c.Passwords, slog.New(slog.DiscardHandler)); err != nil {
			panic(err)
		}
	})
	c := w.Register("client-1", nil)
	b := w.DeviceBrowser(t)
	stays(w, b)
	on := beginIn(t, w, c, b)
	t.Run("refuses the consent page to who was overtaken", func(t *testing.T) {
		page := b.Send(on, on.Path, "sign-in", "username", "alice", "password", "reset")
		page.Has(t, http.StatusOK, `name="password"`)
		if strings.Contains(page.Body, `value="allow"`) {
			t.Error("the consent page is shown")
		}
	})
	t.Run("accepts the next sign-in", func(t *testing.T) {
		b.Send(b.Visit(on.Path), on.Path, "sign-in", "username", "alice", "password", "new").Has(t, http.StatusOK, `value="allow"`)
	})
	t.Run("refuses the device page to who was overtaken", func(t *testing.T) {
		other := w.DeviceBrowser(t)
		other.Send(other.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "reset").Has(t, http.StatusOK, `name="password"`)
		other.Send(other.Visit("/device"), "/device", "sign-in", "username", "alice", "password", "new").Has(t, http.StatusOK, "Signed in as")
	})
}
