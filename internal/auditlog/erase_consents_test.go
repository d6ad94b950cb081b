package auditlog_test

import (
	"encoding/json"
	"testing"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/internal/jose"
	"countersign/signer"
	"countersign/store"
)

// consented records a signed message about a consent.
func (w *world) consented(chain, subject, consent string, claims map[string]any) {
	w.t.Helper()
	key, err := jose.NewPrivateKey(jose.ES256)
	w.must(err)
	compact, err := jose.Sign(w.t.Context(), key.SigningKey(), "JWT", claims)
	w.must(err)
	message, err := audit.NewMessage(compact, "data")
	w.must(err)
	body, err := json.Marshal(audit.Event{
		Kind: audit.ConsentRequest, ClientID: "client-1", Key: key.Key().Thumbprint(), JWK: key.PublicJWK(), Message: message, Subject: subject, Consent: consent,
	})
	w.must(err)
	w.must(w.store.Record(w.t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
}

// happens records an event about a consent.
func (w *world) happens(chain, name, subject, consent string) {
	w.t.Helper()
	body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{"event": name, "subject": subject, "consent": consent}})
	w.must(err)
	w.must(w.store.Record(w.t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
}

// Covers: KA-15. Messages about a consent are erased with the user who decided about it, and those that name the user as a client knows it;
// nobody is erased with somebody else who only met the consent.
func TestKA15ErasedWithTheConsent(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	for _, id := range []string{"of-alice", "of-bob", "of-nobody", "decided"} {
		w.consented("a", "", id, map[string]any{"data": "about " + id})
	}
	w.consented("a", "", "", map[string]any{"data": "about none"})
	w.signed("a", "pairwise-of-alice", map[string]any{"sub": "pairwise-of-alice"})
	w.happens("b", "consent_authorised", "alice", "of-alice")
	w.happens("b", "lodged_consent_ended", "alice", "of-alice")
	w.happens("b", "consent_rejected", "bob", "of-bob")
	w.happens("b", "consent_of_another_user", "alice", "of-bob")
	w.happens("b", "grant_made", "alice", "decided") // which says there how it was decided
	of := auditlog.Erasure{Subject: "alice", Pairwise: []string{"pairwise-of-alice", "another"}}
	t.Run("refuses to call erased what is in no chain", func(t *testing.T) {
		if erased, pending := w.erase(of, false); erased != 0 || pending != 6 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
	})
	w.must(w.sealer("a").Seal(t.Context()))
	w.must(w.sealer("b").Seal(t.Context()))
	t.Run("accepts the message about a consent, what a client knows, and the events", func(t *testing.T) {
		if erased, pending := w.erase(of, false); erased != 6 || pending != 0 {
			t.Errorf("erased %d, %d pending", erased, pending)
		}
		w.must(w.sealer("a").Seal(t.Context()))
		w.wantFindings(t, 6)
	})
	t.Run("refuses to erase what is about others, or about nobody", func(t *testing.T) {
		for subject, want := range map[string]int{"bob": 2, "carol": 0, "another": 0} {
			if erased, _ := w.erase(auditlog.Erasure{Subject: subject}, true); erased != want {
				t.Errorf("%s: would erase %d, want %d", subject, erased, want)
			}
		}
		if erased, _ := w.erase(auditlog.Erasure{Before: w.Now().Add(1)}, true); erased != 5 {
			t.Errorf("%d are left", erased)
		}
	})
}
