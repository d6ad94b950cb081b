package logout_test

import (
	"net/http"
	"testing"

	"countersign/fapi/fapitest"
	"countersign/fapi/tokens"
	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/store"
)

// Covers: KA-15. Logout tokens are erased with the user, also those that name the user as one client alone knows it.
func TestKA15LogoutTokensErased(t *testing.T) {
	t.Parallel()
	w, _ := fapitest.NewFullWorld(t, fapitest.WithAuditChain)
	received := w.NotificationEndpoint(fapitest.Answer(http.StatusOK))
	told := fapitest.All(fapitest.AllScopes, fapitest.Told(received.URL+"/out"))
	for id, kind := range map[string]string{"public": "public", "pairwise": "pairwise"} {
		signedIn(t, w.Register(id, fapitest.All(told, fapitest.SetMember("subject_type", kind))), w.Browser())
	}
	endSessions(t, w)
	send(t, w, 2)
	if err := w.Sealer(t).Seal(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := func() (count int) {
		t.Helper()
		err := auditlog.Each(t.Context(), w.Store, auditlog.Position{}, func(line store.AuditLine) error {
			entry, err := audit.ParseEntry(auditlog.Shown(line))
			if err == nil && entry.Kind == audit.LogoutToken && !entry.Erased() {
				count++
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return count
	}
	erase := func(subject string) {
		t.Helper()
		pairwise, err := tokens.PairwiseOf(t.Context(), w.Store, subject)
		if err != nil || len(pairwise) == 0 {
			t.Fatalf("%v %v", pairwise, err)
		}
		of := auditlog.Erasure{Subject: subject, Pairwise: pairwise, By: "test"}
		if _, _, err := auditlog.Erase(t.Context(), w.Store, of, w.Clock.Now(), false); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("refuses to erase them with another user", func(t *testing.T) {
		if erase("sub-bob"); left() != 2 {
			t.Errorf("%d are left", left())
		}
	})
	t.Run("accepts their erasure with the user, public and pairwise", func(t *testing.T) {
		if erase("sub-alice"); left() != 0 {
			t.Errorf("%d are left", left())
		}
		if none, err := tokens.PairwiseOf(t.Context(), w.Store, ""); err != nil || none != nil {
			t.Errorf("%v %v", none, err)
		}
	})
}
