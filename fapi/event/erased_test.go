package event_test

import (
	"net/http"
	"strings"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
)

// Covers: KY-24. What was signed in the flows of a user is erased with the user, and what is another's is not.
func TestKY24ErasedWithTheUser(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithBackchannelOfAllProfiles(), fapitest.WithAuditChain)
	signing := w.Register("signing", fapitest.OfProfile("fapi2-message-signing"))
	plain := w.Register("plain", fapitest.SignedUserInfo)
	device := w.Register("device", fapitest.CIBAAdvanced)
	first := w.Register("first", fapitest.FAPI1Advanced)

	pushed := signing.Push(signing.Signing(fapitest.ChangeClaims(fapitest.SetClaim("response_mode", "jwt"), fapitest.SetClaim("login_hint", "alice@bank.example"))))
	w.Browser().Visit(w.AuthorizeURL(signing.ID, pushed.Text("request_uri")))
	w.Browser().Visit(first.ByValue(fapitest.ChangeClaims(fapitest.SetClaim("response_type", "code id_token"))))
	plain.Get("/userinfo", plain.Tokens().Text("access_token"), nil)
	if r := device.BackchannelSigned(fapitest.SetClaim("binding_message", "Pay 7")); r.Status != http.StatusOK {
		t.Fatalf("answered %d %s", r.Status, r.Raw)
	}
	signing.Push(signing.Signing(fapitest.SetClaim("login_hint", "nobody@bank.example"))) // nobody takes it up
	seal := func() {
		t.Helper()
		if err := w.Sealer(t).Seal(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	kinds := func(t *testing.T) map[audit.Kind]int {
		t.Helper()
		report, all := w.Audited(t)
		if len(report.Findings) != 0 {
			t.Fatalf("found %v", report.Findings)
		}
		left := map[audit.Kind]int{}
		for text := range strings.Lines(all) {
			entry, err := audit.ParseEntry([]byte(strings.TrimSpace(text)))
			if err != nil {
				t.Fatal(err)
			}
			if entry.Message != nil && !entry.Erased() {
				left[entry.Kind]++
			}
		}
		return left
	}
	seal()
	t.Run("accepts all of them as evidence", func(t *testing.T) {
		left := kinds(t)
		if left[audit.RequestObject] != 3 || left[audit.AuthorizationResponse] != 1 || left[audit.IDToken] != 1 || left[audit.UserInfo] != 1 || left[audit.BackchannelRequest] != 1 {
			t.Errorf("%v", left)
		}
	})
	t.Run("accepts their erasure with the user", func(t *testing.T) {
		if _, _, err := auditlog.Erase(t.Context(), w.Store, auditlog.Erasure{Subject: "sub-alice", By: "test"}, w.Clock.Now(), false); err != nil {
			t.Fatal(err)
		}
		seal()
		if left := kinds(t); len(left) != 1 || left[audit.RequestObject] != 1 {
			t.Errorf("left are %v", left)
		}
		if _, all := w.Audited(t); strings.Contains(all, "alice@bank.example") || strings.Contains(all, "sub-alice") || strings.Contains(all, "Pay 7") {
			t.Error("something about the user is left")
		}
	})
	t.Run("refuses to erase what is another's", func(t *testing.T) {
		erased, _, err := auditlog.Erase(t.Context(), w.Store, auditlog.Erasure{Subject: "sub-bob", By: "test"}, w.Clock.Now(), false)
		if err != nil || erased != 0 {
			t.Errorf("erased %d, %v", erased, err)
		}
	})
}
