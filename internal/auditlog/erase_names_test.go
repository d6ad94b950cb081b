package auditlog_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"countersign/internal/audit"
	"countersign/internal/auditlog"
	"countersign/signer"
	"countersign/store"
)

// odd are subjects that JSON writes otherwise than they are, or can write in several ways.
func odd() []string {
	return []string{
		"alice", `al"ice`, `al\ice`, `al\u0069ce`, "josé", "jose\u0301", "<alice>&'", "a\tb\nc", "\u2028line\u2029", "أليس", "🦊", "up-_=.:/ ?#", "al%ice_", strings.Repeat("é", 300),
	}
}

// namesErased records entries of a subject, and of one nearly called so, and demands that erasing reaches those of the one alone.
func (w *world) namesErased(t *testing.T, chain, subject, other string) {
	t.Helper()
	note := func(whose, reference, consent string) {
		t.Helper()
		body, err := json.Marshal(audit.Event{Kind: audit.SecurityEvent, Detail: map[string]string{
			"event": "consent_authorised", "subject": whose, "message": reference, "consent": consent,
		}})
		w.must(err)
		w.must(w.store.Record(t.Context(), store.Evidence{Chain: chain, At: w.Now(), Body: body}))
	}
	for _, whose := range []string{subject, other} {
		taken := w.signed(chain, "", map[string]any{"login_hint": whose, "of": chain})
		w.signed(chain, whose, map[string]any{"sub": whose, "of": chain})
		w.consented(chain, "", chain+" of "+whose, map[string]any{"data": whose})
		note(whose, taken, chain+" of "+whose)
	}
	w.must(w.sealer(chain).Seal(t.Context()))
	if erased, pending := w.erase(auditlog.Erasure{Subject: subject}, false); erased != 4 || pending != 0 {
		t.Errorf("%q: erased %d of 4, %d pending", subject, erased, pending)
	}
	if erased, _ := w.erase(auditlog.Erasure{Subject: other}, true); erased != 4 {
		t.Errorf("%q: %d of 4 of %q are left", subject, erased, other)
	}
}

// Covers: KA-16. Whoever is erased is found, whatever characters the subject has and however they are written, and nobody else is.
func TestKA16ErasedWhateverTheCharacters(t *testing.T) {
	w := newWorld(t, signer.UseEvidence)
	for i, subject := range odd() {
		t.Run(fmt.Sprintf("accepts %.20q", subject), func(t *testing.T) { w.namesErased(t, fmt.Sprint("n", i), subject, subject+"2") })
	}
	for i, other := range []string{"ALICE", "alice ", "alicé", `al\u0069ce`, "%", "_____", "ali*"} {
		t.Run(fmt.Sprintf("refuses to take %q for alice", other), func(t *testing.T) { w.namesErased(t, fmt.Sprint("o", i), "alice", other+"!") })
	}
	w.must(w.sealer("n0").Seal(t.Context()))
	w.wantFindings(t, 4*(len(odd())+7))
}

// FuzzErase: a subject of any characters is found.
func FuzzErase(f *testing.F) {
	for _, subject := range odd() {
		f.Add(subject)
	}
	chains := 0
	f.Fuzz(func(t *testing.T, subject string) {
		if !utf8.ValidString(subject) || strings.TrimSpace(subject) == "" {
			return
		}
		chains++
		newWorld(t, signer.UseEvidence).namesErased(t, fmt.Sprint("f", chains), subject, subject+"x")
	})
}
