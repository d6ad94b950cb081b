package fapi_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/internal/jose"
	"countersign/signer"
)

// listed are the members of an array of the discovery document.
func (w *world) listed(member string) []string {
	w.t.Helper()
	values, _ := w.document()[member].([]any)
	var texts []string
	for _, value := range values {
		text, _ := value.(string)
		texts = append(texts, text)
	}
	return texts
}

// TestAlgorithmWithoutKey: an algorithm whose key was retired without a successor is offered to nobody. A client that
// registered it before is told to come again, spends nothing, and is served when there is a key.
func TestAlgorithmWithoutKey(t *testing.T) {
	w := newWorld(t, offersRegistration)
	registered := func(m map[string]any) { m["id_token_signed_response_alg"] = "EdDSA" }
	c := w.register("client-1", func(_ *client, m map[string]any) { registered(m) })
	other := w.register("client-2", nil)
	key := newKey(t, jose.ES256)
	applicant := w.applicant(nil)
	token := w.initialToken("Example", 3)
	applicant.enrolled(token, enrolment(key, registered))
	if got := w.listed("id_token_signing_alg_values_supported"); !slices.Equal(got, []string{"PS256", "ES256", "EdDSA"}) {
		t.Errorf("with all keys %q are offered", got)
	}

	old := shared.records[slices.IndexFunc(shared.records, func(r signer.Record) bool { return r.Algorithm == signer.EdDSA })]
	if err := w.store.MoveKey(t.Context(), old.ID, string(signer.Active), string(signer.Retiring), w.clock.Now()); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(15 * time.Second) // every node knows by now
	for _, member := range []string{
		"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "introspection_signing_alg_values_supported",
	} {
		if got := w.listed(member); slices.Contains(got, "EdDSA") || !slices.Contains(got, "PS256") {
			t.Errorf("without an EdDSA key %s is %q", member, got)
		}
	}
	if got := w.listed("dpop_signing_alg_values_supported"); !slices.Contains(got, "EdDSA") {
		t.Errorf("proofs, which clients sign, may no longer be EdDSA: %q", got)
	}
	for _, member := range []string{
		"id_token_signed_response_alg", "userinfo_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg",
	} {
		r := applicant.enrol(token, enrolment(key, func(m map[string]any) { m[member] = "EdDSA" }))
		wantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
		if said := r.text("error_description"); !strings.Contains(said, member) || !strings.Contains(said, "PS256") {
			t.Errorf("said %q", said)
		}
	}
	code := c.authorize()
	for range 3 {
		r := c.redeem(code, nil)
		wantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
		if r.header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
		}
	}
	if log := w.logs.String(); !strings.Contains(log, "keys generate --alg EdDSA") {
		t.Error("the log does not tell the operator what to do")
	}
	wantActive(t, other.tokens())

	next, err := sharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(t.Context(), signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	next.Uses, next.State = old.Uses, signer.Active
	addKey(t, w.store, next)
	w.clock.Advance(15 * time.Second)
	if r := c.redeem(code, nil); r.status != http.StatusOK {
		t.Errorf("with a key again: %d %s", r.status, r.raw)
	}
	if got := w.listed("id_token_signing_alg_values_supported"); !slices.Contains(got, "EdDSA") {
		t.Errorf("with a key again %q are offered", got)
	}
}
