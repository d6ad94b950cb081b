package tokens_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/signer"
)

// TestAlgorithmWithoutKey: an algorithm whose key was retired without a successor is offered to nobody. A client that
// registered it before is told to come again, consumes nothing, and is served when there is a key.
func TestAlgorithmWithoutKey(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.WithRegistration)
	registered := func(m map[string]any) { m["id_token_signed_response_alg"] = "EdDSA" }
	c := w.Register("client-1", func(_ *fapitest.Client, m map[string]any) { registered(m) })
	other := w.Register("client-2", nil)
	key := fapitest.NewKey(t, jose.ES256)
	applicant := w.Applicant(nil)
	token := w.InitialToken("Example", 3)
	applicant.RegisteredSelf(token, fapitest.RegistrationRequest(key, registered))
	if got := listed(w, "id_token_signing_alg_values_supported"); !slices.Equal(got, []string{"PS256", "ES256", "EdDSA"}) {
		t.Errorf("with all keys %q are offered", got)
	}

	all := fapitest.SharedKeys(t)
	old := all[slices.IndexFunc(all, func(r signer.Record) bool { return r.Algorithm == signer.EdDSA })]
	if err := w.Store.MoveKey(t.Context(), old.ID, string(signer.Active), string(signer.Retiring), w.Clock.Now()); err != nil {
		t.Fatal(err)
	}
	w.Clock.Advance(15 * time.Second) // every node knows by now
	for _, member := range []string{
		"id_token_signing_alg_values_supported", "userinfo_signing_alg_values_supported", "introspection_signing_alg_values_supported",
	} {
		if got := listed(w, member); slices.Contains(got, "EdDSA") || !slices.Contains(got, "PS256") {
			t.Errorf("without an EdDSA key %s is %q", member, got)
		}
	}
	if got := listed(w, "dpop_signing_alg_values_supported"); !slices.Contains(got, "EdDSA") {
		t.Errorf("proofs, which clients sign, may no longer be EdDSA: %q", got)
	}
	for _, member := range []string{
		"id_token_signed_response_alg", "userinfo_signed_response_alg", "authorization_signed_response_alg", "introspection_signed_response_alg",
	} {
		r := applicant.RegisterSelf(token, fapitest.RegistrationRequest(key, func(m map[string]any) { m[member] = "EdDSA" }))
		fapitest.WantError(t, r, http.StatusBadRequest, "invalid_client_metadata")
		if said := r.Text("error_description"); !strings.Contains(said, member) || !strings.Contains(said, "PS256") {
			t.Errorf("said %q", said)
		}
	}
	code := c.Authorize()
	for range 3 {
		r := c.Redeem(code, nil)
		fapitest.WantError(t, r, http.StatusServiceUnavailable, "temporarily_unavailable")
		if r.Header.Get("Retry-After") != "60" {
			t.Errorf("Retry-After %q", r.Header.Get("Retry-After"))
		}
	}
	if log := w.Logs.String(); !strings.Contains(log, "keys generate --alg EdDSA") {
		t.Error("the log does not tell the operator what to do")
	}
	fapitest.WantOK(t, other.Tokens())

	next, err := fapitest.SharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(t.Context(), signer.EdDSA)
	if err != nil {
		t.Fatal(err)
	}
	next.Uses, next.State = old.Uses, signer.Active
	fapitest.AddKey(t, w.Store, next)
	w.Clock.Advance(15 * time.Second)
	if r := c.Redeem(code, nil); r.Status != http.StatusOK {
		t.Errorf("with a key again: %d %s", r.Status, r.Raw)
	}
	if got := listed(w, "id_token_signing_alg_values_supported"); !slices.Contains(got, "EdDSA") {
		t.Errorf("with a key again %q are offered", got)
	}
}

// listed are the members of an array of the discovery document.
func listed(w *fapitest.World, member string) []string {
	w.T.Helper()
	values, _ := w.Document()[member].([]any)
	var texts []string
	for _, value := range values {
		text, _ := value.(string)
		texts = append(texts, text)
	}
	return texts
}
