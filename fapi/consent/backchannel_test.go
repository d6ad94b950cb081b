package consent_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"countersign/fapi/backchannel"
	"countersign/fapi/consent"
	"countersign/fapi/fapitest"
	"countersign/store"
)

// Covers: LC-16, LC-17. Over the backchannel a consent is named by login_hint: whose it is is asked, sees its content, and decides about it
// with the grant.
func TestBackchannel(t *testing.T) {
	t.Parallel()
	e := newEcosystem(t, fapitest.WithBackchannel(), fapitest.WithAuditChain)
	e.AddUser("sub-alice", "12345678901", `{"cpf":"12345678901"}`)
	received := e.NotificationEndpoint(fapitest.Answer(http.StatusNoContent))
	c := e.Register("ciba", fapitest.All(fapitest.InBrazil, fapitest.CIBAPing(received.URL)))
	ask := func(id string) fapitest.Reply {
		return c.Backchannel(fapitest.Changes(fapitest.WithNotificationToken, fapitest.Set("login_hint", id)))
	}
	asked := func(t *testing.T, id string) string {
		t.Helper()
		r := ask(id)
		fapitest.WantOK(t, r)
		return r.Text("auth_req_id")
	}
	hinted := func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "12345678901"} }
	see := func(t *testing.T, authReqID string) backchannel.View {
		t.Helper()
		view, err := e.Server.Backchannel().Request(t.Context(), fapitest.Reference(authReqID), "sub-alice")
		if err != nil {
			t.Fatal(err)
		}
		return view
	}
	t.Run("accepts a consent, shown to the user of its cpf", func(t *testing.T) {
		lodged := e.lodge(c, hinted)
		authReqID := asked(t, lodged.ID)
		view, err := see(t, authReqID).In("pt-BR")
		if err != nil || len(view.Details) != 1 || !strings.Contains(fapitest.JSON(view.Details), "Saldos") || len(view.ConsentValues) != 1 {
			t.Errorf("shown %s (%v)", fapitest.JSON(view.Details), err)
		}
		e.Decide(authReqID, true)
		tokens := c.Poll(authReqID, nil)
		fapitest.WantOK(t, tokens)
		if got := e.now(lodged.ID); got.Status != store.ConsentAuthorised || got.Subject != "sub-alice" {
			t.Errorf("the consent is %+v", got)
		}
		e.end(lodged.ID)
		fapitest.WantError(t, c.Refresh(tokens.Text("refresh_token"), nil), http.StatusBadRequest, "invalid_grant")
	})
	t.Run("accepts a denial, which rejects it", func(t *testing.T) {
		lodged := e.lodge(c, hinted)
		authReqID := asked(t, lodged.ID)
		e.Decide(authReqID, false)
		e.wantStatus(t, lodged.ID, store.ConsentRejected)
		fapitest.WantError(t, c.Poll(authReqID, nil), http.StatusBadRequest, "access_denied")
	})
	t.Run("refuses another client's, an unknown and an ended one", func(t *testing.T) {
		foreign, ended := e.lodge(e.brazil, hinted), e.lodge(c, hinted)
		e.end(ended.ID)
		for _, id := range []string{foreign.ID, "urn:bank:unknown", ended.ID} {
			fapitest.WantError(t, ask(id), http.StatusBadRequest, "invalid_request")
		}
		e.wantStatus(t, foreign.ID, store.ConsentAwaiting)
	})
	refuses := func(t *testing.T, authReqID string, allowed bool) {
		t.Helper()
		if err := e.Server.Backchannel().Decide(t.Context(), e.ByAlice(authReqID, allowed)); !errors.Is(err, backchannel.ErrNotFound) {
			t.Errorf("decided: %v", err)
		}
	}
	t.Run("refuses to allow one that ended meanwhile, or that another request has taken", func(t *testing.T) {
		ended, taken := e.lodge(c, hinted), e.lodge(c, hinted)
		first, second := asked(t, ended.ID), asked(t, taken.ID)
		third := asked(t, taken.ID)
		e.end(ended.ID)
		refuses(t, first, true)
		refuses(t, second, true)
		e.Decide(third, true)
		e.wantStatus(t, taken.ID, store.ConsentAuthorised)
	})
	t.Run("refuses a user who has other claims now", func(t *testing.T) {
		lodged := e.lodge(c, hinted)
		authReqID := asked(t, lodged.ID)
		e.AddUser("sub-alice", "12345678901", `{"cpf":"00000000000"}`)
		defer e.AddUser("sub-alice", "12345678901", `{"cpf":"12345678901"}`)
		refuses(t, authReqID, true)
		e.wantStatus(t, lodged.ID, store.ConsentAwaiting)
	})
	t.Run("accepts one for nobody here, and asks nobody", func(t *testing.T) {
		lodged := e.lodge(c, func(c *consent.Consent) { c.Hints = map[string]string{"cpf": "99999999999"} })
		authReqID := asked(t, lodged.ID)
		e.Clock.Advance(10 * time.Second)
		fapitest.WantError(t, c.Poll(authReqID, nil), http.StatusBadRequest, "authorization_pending")
	})
}
