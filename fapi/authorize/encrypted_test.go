package authorize_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"countersign/fapi/fapitest"
	"countersign/internal/jose"
	"countersign/signer"
)

// Covers: F1-10, F1-11, RULE-22, ATTACK-26. Request objects that are encrypted to the server's key in the HSM, pushed and in the
// browser; and every other ciphertext has one answer.
func TestEncryptedRequestObjects(t *testing.T) {
	t.Parallel()
	w := fapitest.NewWorld(t, fapitest.AllProfiles)
	record, err := fapitest.SharedBackend(t).(interface {
		Generate(context.Context, signer.Algorithm) (signer.Record, error)
	}).Generate(t.Context(), signer.ECDHES)
	if err != nil {
		t.Fatal(err)
	}
	record.State, record.Uses = signer.Active, []signer.Use{signer.UseRequestObject}
	fapitest.AddKey(t, w.Store, record)
	w.Clock.Advance(11 * time.Second) // longer than the signer goes on with keys that it knows
	_, document, _ := w.Browser().Visit(w.Issuer + "/jwks")
	published, err := jose.ParseKeySet([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	encrypt := func(keys jose.KeySet, plaintext, alg string) string {
		sealed, err := keys.Encrypt([]byte(plaintext), alg, jose.A256GCM, "JWT")
		if err != nil {
			t.Fatal(err)
		}
		return sealed
	}
	c := w.Register("client-1", fapitest.FAPI1Advanced)
	hybrid := fapitest.SetClaim("response_type", "code id_token")
	encrypting := func(change func(signed string) string) fapitest.Change {
		return func(form url.Values, header http.Header) {
			c.Signing(hybrid)(form, header)
			form.Set("request", change(form.Get("request")))
		}
	}
	stranger := fapitest.NewRecipient(t, jose.ECDHES)
	strangers, err := jose.ParseKeySet([]byte(`{"keys":[` + string(stranger.Public) + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	spoilt := func(signed string) string {
		parts := strings.Split(encrypt(published, signed, jose.ECDHES), ".")
		parts[3] = strings.Repeat("A", len(parts[3])-len(parts[3])%4)
		return strings.Join(parts, ".")
	}
	fapitest.TryAll(t, c.Push,
		fapitest.Good("encrypted to the server", encrypting(func(signed string) string { return encrypt(published, signed, jose.ECDHES) })),
		fapitest.Bad("encrypted to another key", encrypting(func(signed string) string { return encrypt(strangers, signed, jose.ECDHES) }), 400, "invalid_request_object"),
		fapitest.Bad("spoilt", encrypting(spoilt), 400, "invalid_request_object"),
		fapitest.Bad("encrypted and not signed", encrypting(func(string) string {
			body, err := json.Marshal(c.RequestObjectClaims(c.AuthorizationForm(), hybrid))
			if err != nil {
				t.Fatal(err)
			}
			return encrypt(published, string(body), jose.ECDHES)
		}), 400, "invalid_request_object"),
		fapitest.Bad("encrypted twice", encrypting(func(signed string) string {
			return encrypt(published, encrypt(published, signed, jose.ECDHES), jose.ECDHES)
		}), 400, "invalid_request_object"),
	)
	t.Run("accepts one in the browser", func(t *testing.T) {
		address, err := url.Parse(c.ByValue(hybrid))
		if err != nil {
			t.Fatal(err)
		}
		query := address.Query()
		query.Set("request", encrypt(published, query.Get("request"), jose.ECDHES))
		_, _, sentTo := w.Browser().Visit(w.Issuer + "/authorize?" + query.Encode())
		if q := fapitest.Fragment(t, sentTo); q.Get("code") == "" {
			t.Errorf("answered %v", q)
		}
	})
	t.Run("accepts an encrypted ID token beside the code", func(t *testing.T) {
		key := fapitest.NewRecipient(t, jose.ECDHES)
		sealed := w.Register("client-2", fapitest.All(fapitest.FAPI1Advanced, func(c *fapitest.Client, m map[string]any) {
			m["jwks"], m["id_token_encrypted_response_alg"] = fapitest.KeySet(c.Key.PublicJWK(), key.Public), jose.ECDHES
		}))
		_, _, sentTo := w.Browser().Visit(sealed.ByValue(hybrid))
		q := fapitest.Fragment(t, sentTo)
		if front := w.VerifyType(t, key.Open(t, q.Get("id_token")), "JWT"); front["c_hash"] != fapitest.HalfHash(q.Get("code")) {
			t.Errorf("says %v", front)
		}
	})
}
