package authorize_test

import (
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
)

// Covers: FD-22. A client cannot make its request deniable by a member that evidence withholds, and a request object that
// others replay is evidence once.
func TestFD22EvidentRequestObject(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles, fapitest.WithAuditChain)
	c, first := w.Register("client-1", fapitest.OfProfile("fapi2-message-signing")), w.Register("first", fapitest.FAPI1Advanced)
	hybrid := fapitest.SetClaim("response_type", "code id_token")
	fapitest.TryAll(t, c.Push, fapitest.Good("a member that nobody knows", c.Signing(fapitest.SetClaim("x_user_code", "1234"))))
	for _, name := range []string{
		"user_code", "password", "client_secret", "code", "access_token", "refresh_token", "token", "client_assertion",
		"code_verifier", "registration_access_token", "client_notification_token",
	} {
		for kind, value := range map[string]any{"": "x", ", empty": "", ", an object": map[string]any{}, ", null": nil, ", a number": 7} {
			alter := func(claims fapitest.Claims) { claims[name] = value } // SetClaim leaves null out
			fapitest.TryAll(t, c.Push, fapitest.Bad(name+kind, c.Signing(alter), 400, "invalid_request_object"))
		}
		t.Run("refuses by value "+name, func(t *testing.T) {
			events := w.NewEvidence(t, func() {
				_, _, sentTo := w.Browser().Visit(first.ByValue(fapitest.ChangeClaims(hybrid, fapitest.SetClaim(name, "x"))))
				if q := fapitest.Fragment(t, sentTo); q.Get("error") != "invalid_request_object" {
					t.Errorf("answered %v", q)
				}
			})
			if len(objects(events)) != 0 {
				t.Errorf("recorded %v", events)
			}
		})
	}
	address, other := first.ByValue(hybrid), first.ByValue(fapitest.ChangeClaims(hybrid, fapitest.SetClaim("state", "other")))
	t.Run("accepts one object again, and records it once", func(t *testing.T) {
		events := w.NewEvidence(t, func() {
			for _, address := range []string{address, address, other, address} {
				_, _, sentTo := w.Browser().Visit(address)
				if q := fapitest.Fragment(t, sentTo); q.Get("code") == "" {
					t.Errorf("answered %v", q)
				}
			}
		})
		if kept := objects(events); len(kept) != 2 || kept[0] == kept[1] || kept[0] == "" || kept[1] == "" {
			t.Errorf("recorded %v", events)
		}
	})
}

// objects are the request objects among events.
func objects(events []audit.Event) []string {
	var all []string
	for _, event := range events {
		if event.Kind == audit.RequestObject {
			all = append(all, event.Message.JWS)
		}
	}
	return all
}
